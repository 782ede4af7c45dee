"""The soak test says PASS and FAIL where it should, and runs the real daemon."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.household import Beep
from benchmarks.soak import Feeder, ForgetfulApi, names_of, start, watch
from benchmarks.soak_verdict import Sample, Told, course, heard_of, judge_processes, judge_work
from tests.end_to_end.daemon import daemon

ZERO = datetime(2026, 1, 1, tzinfo=UTC)


def looks(*, grows_mb_per_h: float = 0.0, files_per_h: float = 0.0) -> list[Sample]:
    """A process over 24 h, looked at every six minutes; it takes 10 MB in its first hour."""
    return [
        Sample(
            at_h=tenth / 10,
            set_mb=50 + 10 * min(1, tenth / 10) + grows_mb_per_h * tenth / 10,
            share_mb=40,
            own_mb=30,
            files=10 + round(files_per_h * tenth / 10),
            threads=3,
        )
        for tenth in range(241)
    ]


def failures_of(samples: list[Sample]) -> list[str]:
    told = Told()
    judge_processes(told, {"recorder": samples}, 24)
    return told.failures


def test_what_a_process_takes_in_its_first_hour_is_no_growth() -> None:
    assert failures_of(looks()) == []


def test_a_tenth_of_a_megabyte_an_hour_is_too_much() -> None:
    """From the middle of the second hour to that of the last: 22 h, 2.2 MB."""
    assert course(looks(grows_mb_per_h=0.1), "set_mb", 24).growth == pytest.approx(2.2, abs=0.1)
    assert failures_of(looks(grows_mb_per_h=0.1)) == ["recorder: set size"]


def test_one_descriptor_in_twelve_hours_is_too_much() -> None:
    assert failures_of(looks(files_per_h=1 / 12)) == ["recorder: files"]


def test_a_beep_without_an_event_near_it_was_not_heard() -> None:
    beeps = [Beep(what="timer", onset_s=at_s, offset_s=at_s + 2) for at_s in (10, 60, 90)]
    events = [
        {"onset": (ZERO + timedelta(seconds=at_s)).isoformat(), "offset": end.isoformat()}
        for at_s in (10.3, 92.0)
        for end in [ZERO + timedelta(seconds=at_s + 1)]
    ]
    assert heard_of(beeps, events, ZERO) == [True, False, True]


@pytest.mark.slow
def test_the_real_daemon_hears_three_minutes_while_each_process_is_looked_at(
    tmp_path: Path,
) -> None:
    told = Told()
    with ForgetfulApi() as api, daemon(tmp_path) as one:
        assert isinstance(api, ForgetfulApi)
        one.configure("", api)
        pipe = start(one, None)
        names = names_of(one)
        (messenger,) = (pid for pid, name in names.items() if name == "messenger")
        inherited = Path(f"/proc/{messenger}/environ").read_bytes().split(b"\0")
        feeder = Feeder(pipe, one.state, hours=0.05, seed=1)
        samples = watch(one, names, feeder, every_s=0.05)
        judge_work(told, one, api.counts, feeder)
    assert b"MALLOC_ARENA_MAX=1" in inherited  # else each of its threads keeps its largest clip
    assert feeder.fed_h == pytest.approx(0.05)
    for name in ("supervisor", "recorder", "classifier", "messenger"):
        first = samples[name][0]
        assert first.set_mb > first.own_mb > 5  # an interpreter alone has more
        assert first.files >= 3
    # What is heard is the model's business; that all of it was heard and told is the daemon's.
    assert not set(told.failures) & {
        "exit code",
        "no process died",
        "dropped windows",
        "none twice",
    }
