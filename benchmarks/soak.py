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
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from beepwatch.store.database import Database
from beepwatch.store.library import Library
from benchmarks.household import RATE_HZ, Beep, Household
from tests.bot_api import FILE_KINDS, BotApi, Request
from tests.bot_api import Fault as Answer
from tests.end_to_end.daemon import Daemon, daemon

MOST_GROWTH_MB = 2.0
SETTLES_H = 1.0
NEAR_S = 4.0  # an event this close to a beep is of that beep
ENDS_WITHIN_S = 600.0
LATE_BY = 0.1  # of the beeps: so many fewer may be heard in the last quarter than in the first
_CLIPS_WAITING = 8  # more than so many unencoded ones, and the sound waits for the messenger
_LOOKS_EVERY_S = 0.1
_MIN_FREE_MB = 32
_DISK_MB = 64.0  # and one more for every day: events stay, only clips go
_LIBRARIES = {"onnxruntime": "classifier", "soxr": "recorder"}


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
        _report_run(one, feeder, time.monotonic() - begun_s)
        if options.samples:
            _write(options.samples, samples)
        judge_processes(told, samples, hours)
        judge_work(told, one, api, feeder)
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


def process_of(one: Daemon) -> "subprocess.Popen[bytes]":
    """The supervisor. Raises RuntimeError before it was started."""
    if one.process is None:
        raise RuntimeError("the daemon was not started")
    return one.process


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
    while True:
        try:
            process.wait(every_s)
        except subprocess.TimeoutExpired:
            for pid, name in names.items():
                if sample := look(pid, feeder.fed_h):
                    samples[name].append(sample)
        else:
            feeder.ended.set()
            return samples
        if feeder.alive:
            continue
        all_fed_s = all_fed_s or time.monotonic()
        if time.monotonic() - all_fed_s > ENDS_WITHIN_S:
            raise SystemExit(f"the daemon does not end; its log is {one.log}")


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


def judge_work(told: Told, one: Daemon, api: ForgetfulApi, feeder: Feeder) -> None:
    """Whether it went on hearing and telling to the end, and lost nothing."""
    lines = _log(one)
    told.check("all was fed", feeder.fed_h >= feeder.hours - 1e-6, f"{feeder.fed_h:.1f} h")
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
    heard = heard_of(feeder.beeps, events, datetime.fromisoformat(opened))
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
    voices = sum(api.counts[method] for method in FILE_KINDS)
    telegram = sum(count for name, count in by_channel.items() if name.startswith("telegram"))
    told.check("none twice", voices == telegram, f"{voices} sent with sound, {dict(api.counts)}")


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
    lines = _log(one)
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


def _report_run(one: Daemon, feeder: Feeder, wall_s: float) -> None:
    print(
        f"{feeder.fed_h:.1f} h of sound in {wall_s:.0f} s, {feeder.fed_h * 3_600 / wall_s:.0f} "
        f"times real time, {len(feeder.beeps)} beeps; "
        f"{feeder.waited_s:.0f} s waited for the messenger"
    )


def _log(one: Daemon) -> list[dict[str, Any]]:
    """The daemon's log, without the console's alerts."""
    lines = one.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


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
