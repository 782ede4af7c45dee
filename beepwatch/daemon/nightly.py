"""Learns every night from what was tapped right and wrong, in a process of its own.

That process gives way to everything else, may take so much of the processor and no more, and ends
with it: `python -m beepwatch.daemon.nightly STATE BUNDLE`. The daemon picks up what it has put on
the shelf as it does after `beepwatch teach`.
"""

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path

import msgspec
import structlog

from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import BeepwatchError, StoreError
from beepwatch.logs import LogSettings, configure_logging
from beepwatch.store.corrections import corrections
from beepwatch.store.database import Database

NICE = 19
MOST_CPU_S = 900  # half an hour on a machine that has something else to do
MOST_S = 3_600.0
LOOK_S = 60.0  # between looks at the clock, which may be set
LONGEST_TEXT = 400
MODULE = "beepwatch.daemon.nightly"

_log = structlog.get_logger()


class Learnt(msgspec.Struct, frozen=True, kw_only=True):
    """What the process has to say."""

    told: list[str] = []
    refused: list[str] = []

    def text(self) -> str:
        """In one line; empty if there is nothing to tell."""
        told = f"learnt from your taps: {' '.join(self.told)}" if self.told else ""
        refused = f"not learnt: {' '.join(self.refused)}" if self.refused else ""
        text = " ".join(part for part in (told, refused) if part)
        return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def next_night(now: datetime, at: time, zone: tzinfo) -> datetime:
    """When it is this time of day next, after `now`; both UTC or aware."""
    local = now.astimezone(zone)
    today = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return today if today > local else today + timedelta(days=1)


class Nightly:
    """Waits for the night and starts the process, if there is something new to learn from."""

    def __init__(
        self, at: time, zone: tzinfo, clock: Clock, database: Database, bundle: Path
    ) -> None:
        self._at = at
        self._zone = zone
        self._clock = clock
        self._database = database
        self._bundle = bundle
        self._tried: set[tuple[int, str]] = set()

    async def lines(self) -> AsyncIterator[str]:
        """A line after each night on which something was learnt, or could not be."""
        due = next_night(self._clock.utc(), self._at, self._zone)
        while True:
            left_s = (due - self._clock.utc()).total_seconds()
            if left_s > 0:
                await asyncio.sleep(min(left_s, LOOK_S))
                # Of a clock that was set back meanwhile an earlier night is the next one.
                due = min(due, next_night(self._clock.utc(), self._at, self._zone))
                continue
            due = next_night(self._clock.utc(), self._at, self._zone)
            try:
                text = await self.learn()
            except (StoreError, OSError) as error:
                _log.warning("not_learnt", error=str(error))
                continue
            if text:
                yield text

    async def learn(self) -> str:
        """The line of one night; empty without anything new since the last try."""
        everything = await asyncio.to_thread(corrections, self._database)
        new = {(one.event_id, one.verdict.value) for one in everything if not one.used}
        if not new - self._tried:
            return ""
        learnt = await self._run()
        self._tried = new
        _log.info("learnt", told=learnt.told, refused=learnt.refused)
        return learnt.text()

    async def _run(self) -> Learnt:
        places = (self._database.directory, self._bundle)
        words = [sys.executable, "-P", "-m", MODULE, *map(str, places)]
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            written, _ = await asyncio.wait_for(process.communicate(), MOST_S)
        except TimeoutError:
            return Learnt(refused=[f"it took more than {MOST_S / 60:.0f} minutes."])
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        try:
            return msgspec.json.decode(written, type=Learnt)
        except msgspec.DecodeError:
            return Learnt(refused=[f"the process ended with {process.returncode}; see the log."])


def main(state: Path, bundle: Path) -> None:
    """Learn, and print what came of it as JSON."""
    with contextlib.suppress(OSError):  # where a sandbox forbids it
        os.nice(NICE)
    with contextlib.suppress(OSError):  # where memory is short, this goes and not the daemon
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
    configure_logging(LogSettings(level="warning"))
    from beepwatch.sections import Config, Model, Store
    from beepwatch.train.teaching.feedback import learn

    config = Config(model=Model(bundle=str(bundle)), store=Store(directory=str(state)))
    try:
        outcome = learn(
            config, SystemClock().utc(), lambda line: _log.warning("learning", text=line)
        )
        learnt = Learnt(told=outcome.told, refused=outcome.refused)
    except BeepwatchError as error:
        learnt = Learnt(refused=[str(error)])
    sys.stdout.write(msgspec.json.encode(learnt).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
