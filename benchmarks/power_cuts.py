"""The power goes 200 times under load, and comes again: python -m benchmarks.power_cuts [OPTIONS].

`beepwatch run`, all four processes, hears a household with many beeps (benchmarks/household.py) at
twenty times its speed and tells a stand-in of the Bot API (tests/bot_api.py). All of its processes
are killed at once: a quarter of the times while it starts, half within 40 ms of a request to the
server, else at any moment. Then it is started again on the same state. What it left behind is
looked at in a copy, so that the next life finds it as the cut has left it. The last life is left
to tell all. The exit code is 1 if an alert was lost or told anew, or a database was not sound.

SIGKILL shows what processes leave behind, not what a disk loses that says it has written.
"""

import argparse
import json
import random
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
import wave
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from beepwatch.store.database import FILE_NAME, Database
from beepwatch.store.listing import event_rows
from benchmarks.household import RATE_HZ, Household
from benchmarks.soak_verdict import Told
from tests.bot_api import BotApi
from tests.end_to_end.daemon import CHAT_ID, Daemon, daemon

SPEED = 20
BEEPS_PER_H = 240.0
MINUTES = 60
STARTS_S = 4.0  # until its first request, or so
ANY_S = 3.0
SOON_S = 0.04
NO_REQUEST_S = 60.0  # and the power goes all the same
LAST_LIVES = 10  # to tell what waits
SETTLES_S = 0.1  # what was sent before the cut, and the server has not yet read
NEAR = timedelta(seconds=5)  # an onset may have been heard better since it was logged
SETTINGS = """
[notify.console]
enabled = false
[[rules]]
label = "beep"
cooldown_s = 0
"""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a cut has left in the database."""

    problems: list[str]
    alerts: dict[int, str]  # dedupe_key of each
    message_of: dict[int, int]  # the chat's, of each alert that is marked as sent
    untold: int
    unencoded: int  # clips
    spans: list[tuple[datetime, datetime]]  # of events


@dataclass(kw_only=True)
class Course:
    """What was seen so far."""

    lives: Counter[str] = field(default_factory=Counter)  # by when the power went
    faults: list[str] = field(default_factory=list)
    doubled: int = 0
    waiting: list[int] = field(default_factory=list)  # alerts, at each cut
    back_s: list[float] = field(default_factory=list)  # from a start to its first request


def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="keep the daemon's log in this file")
    options = parser.parse_args()
    told = Told()
    with tempfile.TemporaryDirectory() as name, BotApi() as api, daemon(Path(name)) as one:
        one.configure(SETTINGS, api)
        household = Path(name) / "household.wav"
        _write(household, options.seed)
        began_s = time.monotonic()
        chance = random.Random(options.seed)  # noqa: S311 - moments, no secrets
        course = Course()
        left = _cut_again_and_again(one, api, household, options.cuts, chance, course)
        last = _tell_the_rest(one, api, left, course)
        if options.log:
            shutil.copy(one.log, options.log)
        print(f"{options.cuts} cuts in {time.monotonic() - began_s:.0f} s: {dict(course.lives)}")
        _judge(told, one, api, last, course, options.cuts)
    sys.exit(1 if told.failures else 0)


def _write(path: Path, seed: int) -> None:
    minutes = Household(seed, beeps_per_h=BEEPS_PER_H).minutes(MINUTES / 60)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        for minute in minutes:
            file.writeframes(minute.pcm.tobytes())


def _cut_again_and_again(
    one: Daemon, api: BotApi, sound: Path, cuts: int, chance: random.Random, course: Course
) -> Left:
    left = Left(problems=[], alerts={}, message_of={}, untold=0, unencoded=0, spans=[])
    for number in range(1, cuts + 1):
        seen = len(api.messages)
        one.start("--source", f"file:{sound}", "--speed", str(SPEED))
        course.lives[_live(api, chance, course)] += 1
        if one.process is None or one.process.poll() is not None:
            course.faults.append(f"cut {number}: the daemon had ended by itself")
        one.cut_power()
        time.sleep(SETTLES_S)
        before, left = left, look(one.state)
        course.faults += [f"cut {number}: {text}" for text in wrong(before, left, api, seen)]
        course.doubled += len(unmarked(left, api, seen))
        course.waiting.append(left.untold)
        if number % 20 == 0:
            print(
                f"cut {number}: {len(left.alerts)} alerts, {left.untold} wait, "
                f"{course.doubled} messages without a mark, {len(course.faults)} faults",
                flush=True,
            )
    return left


def _live(api: BotApi, chance: random.Random, course: Course) -> str:
    """Until the power goes; which kind of moment that is."""
    first_s, began_s = 0.0, time.monotonic()
    asked = len(api.requests)
    kind = chance.choice(("starting", "after a request", "after a request", "any"))
    if kind == "starting":
        threading.Event().wait(chance.uniform(0, STARTS_S))
        return kind
    more = 1 if kind == "any" else chance.randint(1, 8)
    while len(api.requests) < asked + more and time.monotonic() - began_s < NO_REQUEST_S:
        threading.Event().wait(0.001)
        if len(api.requests) == asked:
            first_s = time.monotonic() - began_s
    course.back_s.append(first_s)
    threading.Event().wait(chance.uniform(0, ANY_S if kind == "any" else SOON_S))
    return kind


def look(state: Path) -> Left:
    """Into a copy: who opens a database that was cut off begins to mend it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for suffix in ("", "-wal"):
            file = state / (FILE_NAME + suffix)
            if file.exists():
                shutil.copy(file, directory)
        if not (directory / FILE_NAME).exists():
            return Left(problems=[], alerts={}, message_of={}, untold=0, unencoded=0, spans=[])
        with closing(Database(directory)) as database:
            return _look_into(database)


def _look_into(database: Database) -> Left:
    problems = database.integrity()
    rows = event_rows(database)
    with database.reading() as sql:
        alerts = dict(map(tuple, sql.execute("SELECT id, dedupe_key FROM alerts")))
        sent = sql.execute(
            "SELECT alert_id, reference FROM deliveries WHERE channel = ? AND state = 'sent'",
            (f"telegram:{CHAT_ID}",),
        ).fetchall()
        (untold,) = sql.execute("SELECT count(*) FROM deliveries WHERE state <> 'sent'").fetchone()
        (unencoded,) = sql.execute("SELECT count(*) FROM clips WHERE pcm IS NOT NULL").fetchone()
    return Left(
        problems=problems,
        alerts=alerts,
        message_of={row[0]: int(re.findall(r"\d+", row[1])[-1]) for row in sent},
        untold=untold,
        unencoded=unencoded,
        spans=[(row.onset, row.offset) for row in rows],
    )


def unmarked(left: Left, api: BotApi, seen: int) -> list[int]:
    """Messages of this life of which the database does not know; the next life sends them again."""
    marked = set(left.message_of.values())
    return [message.id for message in api.messages[seen:] if message.id not in marked]


def wrong(before: Left, left: Left, api: BotApi, seen: int) -> list[str]:
    """What must not be, after a cut."""
    found = list(left.problems)
    lost = before.alerts.items() - left.alerts.items()
    if lost:
        found.append(f"alerts were lost: {sorted(lost)}")
    anew = before.message_of.items() - left.message_of.items()
    if anew:
        found.append(f"told anew: {sorted(anew)}")
    unknown = unmarked(left, api, seen)
    if len(unknown) > 1 or (unknown and unknown[0] != api.messages[-1].id):
        found.append(f"more without a mark than what was on its way: {unknown}")
    return found


def _tell_the_rest(one: Daemon, api: BotApi, left: Left, course: Course) -> Left:
    """Lives that are left alone, with nothing to hear, until all is told and encoded."""
    silence = one.directory / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        file.writeframes(np.zeros(RATE_HZ, np.int16).tobytes())
    for _ in range(LAST_LIVES):
        seen = len(api.messages)
        one.start("--source", f"file:{silence}", "--speed", "max")
        exit_code = one.wait()
        before, left = left, look(one.state)
        course.faults += [f"last life: {text}" for text in wrong(before, left, api, seen)]
        course.doubled += len(unmarked(left, api, seen))
        if exit_code:
            course.faults.append(f"last life: exit code {exit_code}")
        if not left.untold and not left.unencoded:
            break
    return left


def _judge(told: Told, one: Daemon, api: BotApi, last: Left, course: Course, cuts: int) -> None:
    lines, torn = _log_of(one)
    tally = Counter(line["event"] for line in lines if line["level"] in ("warning", "error"))
    print(
        f"{len(last.alerts)} alerts, {len(api.messages)} messages; at a cut "
        f"{statistics.median(course.waiting):.0f} alerts waited (median; at most "
        f"{max(course.waiting)}); from a start to its first request "
        f"{statistics.median(course.back_s):.2f} s (median; at most {max(course.back_s):.2f} s)"
    )
    print(f"the log's warnings and errors: {dict(tally)}, {torn} lines torn by a cut")
    for fault in course.faults:
        print(f"  {fault}")
    told.check(
        "sound, none lost, none told anew", not course.faults, f"{len(course.faults)} faults"
    )
    told.check("all told", last.untold == 0, f"{last.untold} wait")
    told.check("all clips encoded", last.unencoded == 0, f"{last.unencoded} wait")
    came = {message.id for message in api.messages}
    missing = set(last.message_of.values()) - came
    told.check("each alert has its message", not missing, f"{sorted(missing)} never came")
    told.check(
        "one more message for a cut at the most",
        course.doubled <= cuts and len(came) == len(set(last.message_of.values())) + course.doubled,
        f"{course.doubled} of {cuts} cuts fell between sending and its mark",
    )
    unheard = _logged_and_not_there(lines, last)
    heard = sum(line["event"] == "heard" for line in lines)
    told.check("what was logged as heard is kept", not unheard, f"{len(unheard)} of {heard} gone")
    died = [line for line in lines if line["event"] in ("process_died", "process_crashed")]
    told.check("no process died by itself", not died, f"{died[:3]}")
    strays = _strays(one.state)
    told.check("no half files", not strays, f"{strays[:3]}")
    told.check("there was load", len(last.alerts) > cuts, f"{len(last.alerts)} alerts")


def _logged_and_not_there(lines: list[dict[str, Any]], last: Left) -> list[str]:
    """The classifier logs an event once it is written."""
    spans = sorted(last.spans)
    logged = [line["onset"] for line in lines if line["event"] == "heard"]
    return [
        onset
        for onset in logged
        if not any(a - NEAR <= datetime.fromisoformat(onset) <= b + NEAR for a, b in spans)
    ]


def _strays(state: Path) -> list[str]:
    """Clips that were begun, and a database that was put aside."""
    hidden = [str(path) for path in (state / "clips").rglob(".*")]
    return hidden + [str(path) for path in state.glob("*.corrupt-*")]


def _log_of(one: Daemon) -> tuple[list[dict[str, Any]], int]:
    """The lines that are whole, and the number of the others."""
    lines, torn = [], 0
    for line in one.log.read_text(errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            torn += 1
    return lines, torn


if __name__ == "__main__":
    main()
