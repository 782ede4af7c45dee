"""Whether a soak (benchmarks/soak.py) was passed: what grew, was heard, was told and is kept."""

import json
import statistics
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from benchmarks.household import Beep
from tests.bot_api import FILE_KINDS
from tests.end_to_end.daemon import Daemon

MOST_GROWTH_MB = 2.0
SETTLES_H = 1.0
NEAR_S = 4.0  # an event this close to a beep is of that beep
LATE_BY = 0.1  # of the beeps: so many fewer may be heard in the last quarter than in the first


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One process at one moment; `at_h` is the time of the sound."""

    at_h: float
    set_mb: float  # resident: all pages, shared ones too
    share_mb: float  # proportional
    own_mb: float  # anonymous: what it has allocated
    files: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Course:
    """One figure of one process: its level after it has settled, at the end, and its most since."""

    settled: float
    end: float
    most: float

    @property
    def growth(self) -> float:
        """What came on top since it had settled."""
        return self.end - self.settled


@dataclass
class Told:
    """What the run says about itself."""

    failures: list[str] = field(default_factory=list)

    def check(self, what: str, passed: bool, found: str) -> None:
        """Print a criterion's verdict, and remember it."""
        print(f"{'PASS' if passed else 'FAIL'}  {what}: {found}")
        if not passed:
            self.failures.append(what)


class Fed(Protocol):
    """What the daemon was given to hear."""

    hours: float  # to be fed
    fed_h: float
    beeps: list[Beep]


def process_of(one: Daemon) -> "subprocess.Popen[bytes]":
    """The supervisor. Raises RuntimeError before it was started."""
    if one.process is None:
        raise RuntimeError("the daemon was not started")
    return one.process


def course(samples: Sequence[Sample], figure: str, hours: float) -> Course:
    """How a figure went: medians over the hour after the first one, and over the last.

    Of a run that is shorter than three hours, thirds stand for hours.
    """
    settles_h = min(SETTLES_H, hours / 3)
    after = [getattr(one, figure) for one in samples if one.at_h >= settles_h]
    settled = [
        getattr(one, figure) for one in samples if settles_h <= one.at_h < 2 * settles_h
    ] or after[:1]
    end = [getattr(one, figure) for one in samples if one.at_h >= hours - settles_h]
    if not settled or not end:
        raise SystemExit("the sound was over before anybody looked; give more --hours")
    return Course(settled=statistics.median(settled), end=statistics.median(end), most=max(after))


def judge_processes(told: Told, samples: dict[str, list[Sample]], hours: float) -> None:
    """A table of every process, and whether one has grown."""
    figures = {"set_mb": "MB", "share_mb": "MB", "own_mb": "MB", "files": "", "threads": ""}
    print(f"\n{'process':12} {'figure':10} {'first hour':>11} {'end':>8} {'growth':>8} {'most':>8}")
    for name, looks in samples.items():
        courses = {figure: course(looks, figure, hours) for figure in figures}
        for figure, unit in figures.items():
            one = courses[figure]
            print(
                f"{name:12} {figure.removesuffix('_mb') + ' ' + unit:10} {one.settled:11.1f} "
                f"{one.end:8.1f} {one.growth:+8.2f} {one.most:8.1f}"
            )
        growth_mb = courses["set_mb"].growth
        told.check(f"{name}: set size", growth_mb <= MOST_GROWTH_MB, f"{growth_mb:+.2f} MB")
        for figure in ("files", "threads"):
            growth = courses[figure].growth
            told.check(f"{name}: {figure}", growth <= 0, f"{growth:+g}")


def judge_work(told: Told, one: Daemon, counts: Counter[str], fed: Fed) -> None:
    """Whether it went on hearing and telling to the end, and lost nothing."""
    lines = log_of(one)
    told.check("all was fed", fed.fed_h >= fed.hours - 1e-6, f"{fed.fed_h:.1f} h")
    exit_code = process_of(one).returncode
    told.check("exit code", exit_code == 0, str(exit_code))
    died = [line for line in lines if line["event"] in ("process_died", "process_hangs")]
    told.check("no process died", not died, f"{len(died)} deaths")
    stopped = [line for line in lines if line["event"] == "stopped"]
    dropped = stopped[-1]["dropped_windows"] if stopped else None
    told.check("dropped windows", dropped == 0, str(dropped))
    print("counted:", {key: stopped[-1][key] for key in samples_of(stopped)} if stopped else {})

    events = one.events()
    opened = next(line["timestamp"] for line in lines if line["event"] == "source_opened")
    heard = heard_of(fed.beeps, events, datetime.fromisoformat(opened))
    quarter = max(1, len(heard) // 4)
    first, last = sum(heard[:quarter]) / quarter, sum(heard[-quarter:]) / quarter
    told.check(
        "heard to the end",
        last >= first - LATE_BY,
        f"{sum(heard)} of {len(heard)} beeps, the first quarter of them {100 * first:.0f} %, "
        f"the last {100 * last:.0f} %; {len(events)} events",
    )
    # Several events may be told by one alert: those of a burst.
    alerts = {
        (alert["id"], alert["channel"]): alert["state"]
        for event in events
        for alert in event["alerts"]
    }
    by_channel = Counter(channel for _, channel in alerts)
    unsent = sum(state != "sent" for state in alerts.values())
    told.check("alerts all sent", bool(alerts) and not unsent, f"{dict(by_channel)}")
    voices = sum(counts[method] for method in FILE_KINDS)
    telegram = sum(count for name, count in by_channel.items() if name.startswith("telegram"))
    told.check("none twice", voices == telegram, f"{voices} sent with sound, {dict(counts)}")


def samples_of(stopped: Sequence[dict[str, Any]]) -> list[str]:
    """The keys of the last line that hold a process's counts."""
    return [key for key, value in stopped[-1].items() if isinstance(value, dict)]


def heard_of(beeps: Sequence[Beep], events: Sequence[dict[str, Any]], zero: datetime) -> list[bool]:
    """For each beep whether an event is near it; `zero` is when the sound began."""
    spans_s = sorted(
        tuple(
            (datetime.fromisoformat(event[end]) - zero).total_seconds()
            for end in ("onset", "offset")
        )
        for event in events
    )
    heard = []
    index = 0
    for beep in beeps:
        while index < len(spans_s) and spans_s[index][1] < beep.onset_s - NEAR_S:
            index += 1
        heard.append(index < len(spans_s) and spans_s[index][0] <= beep.offset_s + NEAR_S)
    return heard


def judge_store(told: Told, one: Daemon, bounded: bool) -> None:
    """Whether retention kept the state within its bounds."""
    clips = [path.stat().st_size for path in one.state.rglob("*.mp3")]
    database = sum(path.stat().st_size for path in one.state.glob("beepwatch.db*"))
    lines = log_of(one)
    taken = [line for line in lines if line["event"] == "clips_deleted"]
    deleted = sum(line["clips"] for line in taken)
    print(
        f"store: {len(clips)} clips of {sum(clips) / 1e6:.1f} MB, "
        f"database {database / 1e6:.1f} MB, {deleted} clips deleted in {len(taken)} turns, "
        f"log {one.log.stat().st_size / 1e6:.1f} MB"
    )
    full = [line for line in lines if line["event"] == "fault" and line["kind"] == "disk full"]
    told.check("disk never full", not full, f"{len(full)} faults")
    if not bounded:
        print("no mount allowed here: retention by free space was not part of this run")


def log_of(one: Daemon) -> list[dict[str, Any]]:
    """The daemon's log, without the console's alerts."""
    lines = one.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]
