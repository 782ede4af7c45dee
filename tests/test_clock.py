"""Durations are monotonic, wall time is UTC, local time knows of summer time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beepwatch.clock import LocalZone, ManualClock, SystemClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_system_clocks_run_forward_and_are_aware() -> None:
    clock = SystemClock()
    first_s, first = clock.mono_s(), clock.utc()
    assert clock.mono_s() >= first_s
    assert first.utcoffset() == timedelta(0)
    assert abs((clock.utc() - first).total_seconds()) < 60


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(NOON, mono_s=5.0)
    clock.advance(90)
    assert (clock.mono_s(), clock.utc()) == (95.0, NOON + timedelta(seconds=90))


def test_setting_the_wall_clock_leaves_durations_alone() -> None:
    clock = ManualClock(NOON)
    clock.set_utc(NOON - timedelta(days=1))
    clock.advance(1)
    assert (clock.mono_s(), clock.utc()) == (1.0, NOON - timedelta(days=1, seconds=-1))


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize(
    ("utc", "local", "name"),
    [
        ("2026-01-15T12:00", "2026-01-15T13:00", "CET"),
        ("2026-07-15T12:00", "2026-07-15T14:00", "CEST"),
        ("2026-10-25T00:30", "2026-10-25T02:30", "CEST"),
        ("2026-10-25T01:30", "2026-10-25T02:30", "CET"),
    ],
)
def test_local_time_is_that_of_the_machine(utc: str, local: str, name: str) -> None:
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(LocalZone())
    assert moment.strftime("%Y-%m-%dT%H:%M") == local
    assert moment.tzname() == name
    assert moment.dst() is None


@pytest.mark.usefixtures("_berlin")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.integers(-6_000, 6_000))
def test_local_times_around_the_end_of_summer_time_lead_back_to_the_same_moment(
    minutes: int,
) -> None:
    """Also in the hour that the night of 2026-10-25 has twice."""
    moment = datetime(2026, 10, 25, 1, 0, tzinfo=UTC) + timedelta(minutes=minutes)
    assert moment.astimezone(LocalZone()).astimezone(UTC) == moment


def test_no_moment_has_no_offset_and_no_name() -> None:
    zone = LocalZone()
    assert (zone.utcoffset(None), zone.tzname(None)) == (None, None)
