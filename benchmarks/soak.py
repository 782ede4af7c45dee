"""What grows in the daemon over a day or a month of sound: python -m benchmarks.soak [OPTIONS].

`beepwatch run`, all four processes, hears a household (benchmarks/household.py) through a pipe as
fast as it can and tells the console and a stand-in of the Bot API (tests/bot_api.py). Its time is
that of the sound, which waits only while the messenger has many clips to encode. Every second each
process is asked for its memory, open files and threads. What it has in the hour of sound after the
first is held against its last hour. The exit code is 1 if anything fails.

The state lies on a small file system of its own where the system allows a mount, so that keeping
within `store.min_free_mb` is part of the run: retention by age and size looks only once an hour of
real time.
"""

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, cast

from beepwatch.store.database import Database
from beepwatch.store.library import Library
from benchmarks.household import RATE_HZ, Beep, Household
from benchmarks.soak_verdict import (
    Sample,
    Told,
    judge_processes,
    judge_store,
    judge_work,
    process_of,
)
from tests.bot_api import FILE_KINDS, BotApi
from tests.bot_api import Fault as Answer
from tests.bot_http import Request
from tests.end_to_end.daemon import Daemon, daemon

ENDS_WITHIN_S = 600.0
_CLIPS_WAITING = 8  # more than so many unencoded ones, and the sound waits for the messenger
_LOOKS_EVERY_S = 0.1
_SLOWLY_S = 1.0  # for a minute of sound
_MIN_FREE_MB = 32
_DISK_MB = 64.0  # and one more for every day: events stay, only clips go
_LIBRARIES = {"onnxruntime": "classifier", "soxr": "recorder"}


class ForgetfulApi(BotApi):
    """Counts requests and forgets them with their files: a month of clips is a gigabyte."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def remember(self, request: Request) -> None:
        """Count it."""
        self.counts[request.method] += 1

    def answer(self, request: Request) -> Answer:
        """As usual; the message's file is not kept."""
        answer = super().answer(request)
        if request.method in FILE_KINDS and self.messages:
            self.messages[-1].file = None
        return answer


class Feeder:
    """Writes the household into the daemon's standard input from a thread."""

    def __init__(self, pipe: IO[bytes], state: Path, hours: float, seed: int) -> None:
        self.hours = hours
        self.fed_h = 0.0
        self.beeps: list[Beep] = []
        self.ended = threading.Event()  # set it when nobody hears any more
        self.waited_s = 0.0
        self.at_once_until_h = math.inf  # what comes later is fed slowly
        self._pipe = pipe
        self._state = state
        self._minutes = Household(seed).minutes(hours)
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether there is more to come."""
        return self._thread.is_alive()

    def _feed(self) -> None:
        try:
            with closing(Database(self._state)) as database, self._pipe:
                library = Library(database)
                for minute in self._minutes:
                    self._let_catch_up(library)
                    if self.fed_h >= self.at_once_until_h:
                        self.ended.wait(_SLOWLY_S)
                    self._pipe.write(minute.pcm.tobytes())
                    self.beeps += minute.beeps
                    self.fed_h += minute.pcm.size / RATE_HZ / 3_600
        except BrokenPipeError:
            return  # the daemon is gone, which its exit code tells

    def _let_catch_up(self, library: Library) -> None:
        """A day in minutes has more beeps a second than a messenger can encode."""
        while len(library.pending()) > _CLIPS_WAITING and not self.ended.wait(_LOOKS_EVERY_S):
            self.waited_s += _LOOKS_EVERY_S


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0, help="of sound")
    parser.add_argument("--days", type=float, help="of sound, instead of --hours; 30 is a month")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-s", type=float, default=1.0, help="real time between two looks")
    parser.add_argument("--program", type=Path, help="the beepwatch executable to measure")
    parser.add_argument("--samples", type=Path, help="write every look into this CSV file")
    parser.add_argument("--log", type=Path, help="keep the daemon's log in this file")
    options = parser.parse_args()
    hours = options.hours if options.days is None else options.days * 24
    told = Told()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        disk_mb = _DISK_MB + hours / 24
        bounded = stack.enter_context(small_disk(directory / "state", disk_mb))
        api = ForgetfulApi()
        stack.enter_context(api)
        one = stack.enter_context(daemon(directory))
        one.configure("", api)
        if bounded:
            text = one.config.read_text()
            one.config.write_text(text.replace("= 1\n", f"= {_MIN_FREE_MB}\n"))
        begun_s = time.monotonic()
        pipe = start(one, options.program)
        names = names_of(one)
        feeder = Feeder(pipe, one.state, hours, options.seed)
        samples = watch(one, names, feeder, options.every_s)
        _report_run(feeder, time.monotonic() - begun_s)
        if options.samples:
            _write(options.samples, samples)
        judge_processes(told, samples, hours)
        judge_work(told, one, api.counts, feeder)
        judge_store(told, one, bounded)
        if options.log:
            shutil.copy(one.log, options.log)
    sys.exit(1 if told.failures else 0)


@contextmanager
def small_disk(path: Path, size_mb: float) -> Iterator[bool]:
    """A file system of its own at `path`; False, and an ordinary directory, where that may not be.

    Mounting takes CAP_SYS_ADMIN.
    """
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={round(size_mb * 1e6)},mode=700", "none"]
    if subprocess.run([*command, path], capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def start(one: Daemon, program: Path | None) -> IO[bytes]:
    """The daemon with a pipe as its microphone; what is written into the pipe is heard."""
    begin = [program] if program else [sys.executable, "-m", "beepwatch"]
    with one.log.open("ab") as log:
        one.process = subprocess.Popen(
            [*begin, "run", "--config", one.config, "--source", "stdin", "--speed", "max"],
            env=one.environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return cast(IO[bytes], one.process.stdin)


def names_of(one: Daemon) -> dict[int, str]:
    """Process ids with what they are, told by the libraries that they have loaded."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        names = {one.pid: "supervisor"} | {pid: _name(pid) for pid in one.children()}
        if sorted(names.values()) == ["classifier", "messenger", "recorder", "supervisor"]:
            return names
        time.sleep(0.1)
    raise SystemExit(f"the daemon did not start:\n{one.log.read_text()}")


def _name(pid: int) -> str:
    mapped = Path(f"/proc/{pid}/maps").read_text()
    return next((name for library, name in _LIBRARIES.items() if library in mapped), "messenger")


def watch(
    one: Daemon, names: dict[int, str], feeder: Feeder, every_s: float
) -> dict[str, list[Sample]]:
    """Look at every process until the daemon has ended."""
    samples: dict[str, list[Sample]] = {name: [] for name in names.values()}
    process = process_of(one)
    all_fed_s: float | None = None
    days = 0
    while True:
        try:
            process.wait(every_s)
        except subprocess.TimeoutExpired:
            _look_at_all(names, feeder.fed_h, samples)
            if feeder.fed_h >= 24 * (days + 1):
                days = int(feeder.fed_h / 24)
                _report_day(days, samples, one.state)
        else:
            feeder.ended.set()
            return samples
        if feeder.alive:
            continue
        all_fed_s = all_fed_s or time.monotonic()
        if time.monotonic() - all_fed_s > ENDS_WITHIN_S:
            raise SystemExit(f"the daemon does not end; its log is {one.log}")


def _look_at_all(names: dict[int, str], at_h: float, samples: dict[str, list[Sample]]) -> None:
    for pid, name in names.items():
        if sample := look(pid, at_h):
            samples[name].append(sample)


def look(pid: int, at_h: float) -> Sample | None:
    """What a process has now; None if it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        kb = {line.split()[0]: int(line.split()[1]) for line in rollup}
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    mb = {key: value * 1_024 / 1e6 for key, value in kb.items()}
    return Sample(
        at_h=at_h,
        set_mb=mb["Rss:"],
        share_mb=mb["Pss:"],
        own_mb=mb["Anonymous:"],
        files=files,
        threads=threads,
    )


def _report_day(day: int, samples: dict[str, list[Sample]], state: Path) -> None:
    """How each process stands, and how full the disk is."""
    latest = ", ".join(
        f"{name} {looks[-1].set_mb:.1f} MB {looks[-1].files} files {looks[-1].threads} threads"
        for name, looks in samples.items()
        if looks
    )
    disk = shutil.disk_usage(state)
    print(f"day {day}: {latest}; {disk.used / 1e6:.1f} of {disk.total / 1e6:.1f} MB", flush=True)


def _report_run(feeder: Feeder, wall_s: float) -> None:
    print(
        f"{feeder.fed_h:.1f} h of sound in {wall_s:.0f} s, {feeder.fed_h * 3_600 / wall_s:.0f} "
        f"times real time, {len(feeder.beeps)} beeps; "
        f"{feeder.waited_s:.0f} s waited for the messenger"
    )


def _write(path: Path, samples: dict[str, list[Sample]]) -> None:
    fields = ("at_h", "set_mb", "share_mb", "own_mb", "files", "threads")
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(("process", *fields)) + "\n")
        for name, looks in samples.items():
            for one in looks:
                values = (f"{getattr(one, key):g}" for key in fields)
                file.write(",".join((name, *values)) + "\n")


if __name__ == "__main__":
    main()
