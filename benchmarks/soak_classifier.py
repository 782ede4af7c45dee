"""What grows in the classifier over days of events: python -m benchmarks.soak_classifier [OPTIONS].

The daemon's own classifier, in a process of its own as the supervisor starts it, without the quiet
that takes a soak (benchmarks/soak.py) most of its time: a day of it has as many events as five days
of a household. What the recorder makes of an hour of sound (benchmarks/household.py) is cut
where it is quiet, and the pieces come again and again in an order of their own. Its memory in the
second hour of sound is held against the last; the exit code is 1 if it has grown.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import wait
from pathlib import Path

import msgspec

from beepwatch.capture.listening import Listener
from beepwatch.classify.bundle import find_bundle
from beepwatch.clock import SystemClock
from beepwatch.config import tell_libraries
from beepwatch.daemon.child import Child
from beepwatch.daemon.running import ONE_HEAP
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.logs import LogSettings, configure_logging
from beepwatch.messages import Done, Finish, Quiet, Ready, Window
from beepwatch.sections import Capture, Model, Rule
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from benchmarks.household import RATE_HZ, Household
from benchmarks.messenger import CHANNELS
from benchmarks.soak import look, small_disk
from benchmarks.soak_verdict import Sample, Told, judge_processes

BEEPS_PER_H = 400.0
POOL_MINUTES = 60
QUIET_WINDOWS = 6  # in a row end a piece: no episode goes on over so long a pause
UNDER_WAY = 8  # windows, that are not answered yet
LOOKS_EVERY = 100  # windows; then its clips are filed, too
_DISK_MB = 64.0
_LOOK_S = 0.05
_PATIENCE_S = 60.0
_START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0, help="of sound with many beeps")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    told = Told()
    configure_logging(LogSettings(level="error"))
    tell_libraries(*ONE_HEAP)
    heard = pieces(options.seed)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "state"
        stack.enter_context(small_disk(directory, _DISK_MB))
        child = Child(
            "classifier",
            "beepwatch.daemon.classifier",
            ClassifierSettings(
                bundle=find_bundle("beep"),
                model=Model(),
                rules=(Rule(label="beep"),),
                missing_after_s=0.0,
                directory=directory,
                channels=CHANNELS,
                since_s=time.monotonic(),
                live=False,
                logs=LogSettings(level="error"),
                alone=True,
            ),
        )
        stack.callback(child.put_to_rest)
        child.start(time.monotonic())
        begun_s = time.monotonic()
        with closing(Database(directory)) as database:
            samples = feed(child, database, in_a_row(heard, options.seed), options.hours)
            with database.reading() as sql:
                (events,) = sql.execute("SELECT count(*) FROM events").fetchone()
        print(f"{options.hours:g} h, {events} events, in {time.monotonic() - begun_s:.0f} s")
        judge_processes(told, {"classifier": samples}, options.hours)
    sys.exit(1 if told.failures else 0)


def pieces(seed: int) -> list[list[Window | Quiet]]:
    """What the recorder makes of the household, from quiet to quiet."""
    ours, theirs = os.pipe()
    writing = threading.Thread(target=_write, args=(theirs, seed))
    writing.start()
    os.dup2(ours, 0)  # where a source "stdin" reads
    os.close(ours)
    listener = Listener(
        Capture(source="stdin"),
        rate_hz=RATE_HZ,
        clock=SystemClock(),
        speed="max",
        stop=threading.Event(),
    )
    heard: list[list[Window | Quiet]] = [[]]
    quiet = 0
    for span in listener:
        if isinstance(span, Window | Quiet):
            heard[-1].append(span)
            quiet = quiet + 1 if isinstance(span, Quiet) else 0
            if quiet == QUIET_WINDOWS:
                heard.append([])
    writing.join()
    return [piece for piece in heard if any(isinstance(span, Window) for span in piece)]


def _write(pipe: int, seed: int) -> None:
    with os.fdopen(pipe, "wb") as file:
        for minute in Household(seed, BEEPS_PER_H).minutes(POOL_MINUTES / 60):
            file.write(minute.pcm.tobytes())


def in_a_row(heard: list[list[Window | Quiet]], seed: int) -> Iterator[Window | Quiet]:
    """For ever, in any order, each window where it belongs in one long stream."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    hop = RATE_HZ  # of samples, as it is configured by default
    numbers = itertools.count()
    while True:
        for span in chance.choice(heard):
            number = next(numbers)
            at_s = number * hop / RATE_HZ
            yield msgspec.structs.replace(
                span,
                stream_id="one",
                sequence=number,
                first_sample=number * hop,
                started_mono_s=at_s,
                started_at=_START + timedelta(seconds=at_s),
            )


def feed(
    child: Child, database: Database, spans: Iterator[Window | Quiet], hours: float
) -> list[Sample]:
    """So many hours of them, no faster than they are answered, with looks at the process."""
    library = Library(database)
    samples = []
    sent = done = 0
    ready = False
    heard_s = time.monotonic()
    while done < hours * 3_600:
        if ready and sent - done < UNDER_WAY:
            child.send(next(spans))
            sent += 1
            continue
        wait([one for one in (child.connection, child.sentinel) if one], _LOOK_S)
        while (message := child.receive(time.monotonic())) is not None:
            heard_s = time.monotonic()
            ready = ready or isinstance(message, Ready)
            done += isinstance(message, Done)
            if isinstance(message, Done) and done % LOOKS_EVERY == 0:
                file_clips(library)
                if sample := look(child.pid or 0, done / 3_600):
                    samples.append(sample)
        if time.monotonic() - heard_s > _PATIENCE_S or not child.alive:
            raise SystemExit("the classifier has ended, or hangs")
    child.send(Finish(within_s=5.0))
    return samples


def file_clips(library: Library) -> None:
    """As the messenger does it, and retention after it."""
    for event_id in library.pending():
        waiting = library.pending_pcm(event_id)
        if waiting is not None:
            library.keep(event_id, waiting[0], b"", ".mp3")
    library.tidy(_START, keep_days=1.0, max_mb=1e-6, min_free_mb=0.0)


if __name__ == "__main__":
    main()
