"""What grows in the messenger over days of alerts: python -m benchmarks.messenger [OPTIONS].

The daemon's own messenger, in a process of its own as the supervisor starts it, without the sound
that takes a soak (benchmarks/soak.py) most of its time: a day in some minutes. Notes are written as
the classifier writes them: an alert with the clip so far, the episode's end with the whole clip,
and a second episode of the same burst, whose alert is edited. The console and a stand-in of the Bot
API are told, and a small disk keeps retention busy. Time is that of the alerts, 513 a day as in the
household's. Its memory in the second hour is held against the last; the exit code is 1 if it has
grown.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from beepwatch.clock import SystemClock
from beepwatch.config import tell_libraries
from beepwatch.daemon.child import Child
from beepwatch.daemon.pipeline import LONGEST_CLIP_S, Note
from beepwatch.daemon.running import ONE_HEAP
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.daemon.writing import NoteWriter
from beepwatch.logs import LogSettings
from beepwatch.messages import Alert, AlertKind, Clip, Event, Finish, Poke, Ready
from beepwatch.secrecy import Secret
from beepwatch.sections import Notify, Store, Telegram
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from benchmarks.soak import ForgetfulApi, look, small_disk
from benchmarks.soak_verdict import Sample, Told, judge_processes
from tests.bot_api import TOKEN

ALERTS_A_DAY = 513
CHAT_ID = 4711
CHANNELS = ("console", f"telegram:{CHAT_ID}")
RATE_HZ = 16_000
_DISK_MB = 64.0
_MIN_FREE_MB = 32
_LOOK_S = 0.02
_PATIENCE_S = 60.0
_HISS, _BEEP = 30.0, 6_000.0  # of int16


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=float, default=1.0, help="of alerts")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    hours = options.days * 24
    told = Told()
    tell_libraries(*ONE_HEAP)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "state"
        bounded = stack.enter_context(small_disk(directory, _DISK_MB))
        api = ForgetfulApi()
        stack.enter_context(api)
        messenger = Messenger(directory, api)
        stack.callback(messenger.child.put_to_rest)
        begun_s = time.monotonic()
        with closing(Database(directory)) as database:
            samples = tell(messenger, database, hours, random.Random(options.seed))  # noqa: S311 - lengths
        alerts = round(hours / 24 * ALERTS_A_DAY)
        print(
            f"{alerts} alerts in {time.monotonic() - begun_s:.0f} s, {dict(api.counts)}"
            f"{'' if bounded else '; no mount allowed here: no clip was deleted'}"
        )
        judge_processes(told, {"messenger": samples}, hours)
        told.check("all told", api.counts["sendVoice"] == alerts, str(api.counts["sendVoice"]))
        messenger.finish()
    sys.exit(1 if told.failures else 0)


class Messenger:
    """The process, and its connection served as the supervisor serves it."""

    def __init__(self, directory: Path, api: ForgetfulApi) -> None:
        self.api = api
        telegram = Telegram(chat_ids=(CHAT_ID,), base_url=api.base_url)
        self.child = Child(
            "messenger",
            "beepwatch.daemon.messenger",
            MessengerSettings(
                notify=Notify(telegram=telegram),
                store=Store(directory=str(directory), min_free_mb=_MIN_FREE_MB),
                token=Secret(TOKEN),
                channels=CHANNELS,
                logs=LogSettings(level="error"),
                alone=True,
            ),
        )
        self.child.start(time.monotonic())
        self._ready = False
        self.until(lambda: self._ready)

    def until(self, true: Callable[[], bool]) -> None:
        """Serve it until this holds. Raises SystemExit if it dies or that takes too long."""
        give_up_s = time.monotonic() + _PATIENCE_S
        while not true():
            if time.monotonic() > give_up_s or not self.child.alive:
                raise SystemExit("the messenger has ended, or hangs")
            wait([one for one in (self.child.connection, self.child.sentinel) if one], _LOOK_S)
            if isinstance(self.child.receive(time.monotonic()), Ready):
                self._ready = True

    def finish(self) -> None:
        """Let it end by itself."""
        self.child.send(Finish(within_s=5.0))
        self.until(lambda: not self.child.alive)


def tell(
    messenger: Messenger, database: Database, hours: float, chance: random.Random
) -> list[Sample]:
    """Write what is to be told, no faster than it is, and look at the process after each alert."""
    writer = NoteWriter(Outbox(database), CHANNELS)
    library = Library(database)
    samples = []
    for number in range(round(hours / 24 * ALERTS_A_DAY)):
        for note in notes(number, chance):
            writer.write([note])
            messenger.child.send(Poke())
            messenger.until(partial(_all_told, messenger.api, library, number + 1))
        if sample := look(messenger.child.pid or 0, (number + 1) / ALERTS_A_DAY * 24):
            samples.append(sample)
    return samples


def _all_told(api: ForgetfulApi, library: Library, alerts: int) -> bool:
    return api.counts["sendVoice"] >= alerts and not library.pending()


def notes(number: int, chance: random.Random) -> Iterator[Note]:
    """What the classifier writes of a burst of two episodes."""
    now = SystemClock().utc()
    whole = sound(chance)
    for part, of_burst in ((whole[: 2 * 3 * RATE_HZ], 0), (whole, 0), (sound(chance), 1)):
        first = part is not whole and not of_burst
        event = Event(
            label="beep",
            onset=now + timedelta(seconds=40 * of_burst),
            offset=now + timedelta(seconds=40 * of_burst + len(part) / 2 / RATE_HZ),
            pulses=3,
            peak_score=0.9,
            model_id="m",
            final=not first,
        )
        text = "beep"
        alert = Alert(
            kind=AlertKind.HEARD, text=text, created_at=now, due_at=now, dedupe_key=f"{number}"
        )
        yield Note(
            event=event,
            episode=("beep", event.onset),
            clip=Clip(pcm=part, rate_hz=RATE_HZ, started_at=event.onset),
            alert=alert if first else None,
            covered=bool(of_burst),
        )


def sound(chance: random.Random) -> bytes:
    """Beeps in hiss, int16, as long as clips are: seconds mostly, half a minute at the most."""
    length_s = min(LONGEST_CLIP_S, 3.0 + chance.expovariate(1 / 6.0))
    dice = np.random.default_rng(chance.randrange(2**32))
    at_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    beeps = np.sin(2 * np.pi * chance.uniform(1_000, 4_000) * at_s) * (at_s % 1.0 < 0.3)
    hiss = dice.standard_normal(len(at_s))
    return bytes((_BEEP * beeps + _HISS * hiss).astype(np.int16))


if __name__ == "__main__":
    main()
