"""The only place that reads the clocks: durations are monotonic, wall time is UTC."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """A monotonic time for durations and a UTC time for people."""

    def mono_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def utc(self) -> datetime:
        """The time of day, which may jump when it is set."""
        ...

    def slept_s(self) -> float:
        """How long the machine was suspended since its start, which `mono_s` leaves out."""
        ...

    def boot_id(self) -> str:
        """Another one after each start of the machine, when `mono_s` begins anew."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def mono_s(self) -> float:
        """Seconds of CLOCK_MONOTONIC, the same in every process of this boot."""
        return time.monotonic()

    def utc(self) -> datetime:
        """The system's time of day, aware, in UTC."""
        return datetime.now(UTC)

    def slept_s(self) -> float:
        """What CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

    def boot_id(self) -> str:
        """The kernel's own."""
        return _BOOT_ID.read_text().strip()


class ManualClock:
    """A clock that stands still until it is told to move: for tests and virtual time."""

    def __init__(self, utc: datetime, mono_s: float = 0.0) -> None:
        self._utc = utc
        self._mono_s = mono_s
        self._slept_s = 0.0

    def mono_s(self) -> float:
        """Seconds moved so far."""
        return self._mono_s

    def utc(self) -> datetime:
        """The start time plus what was moved, plus what the wall clock was set by."""
        return self._utc

    def slept_s(self) -> float:
        """What it was told to sleep."""
        return self._slept_s

    def boot_id(self) -> str:
        """Always the same."""
        return "manual"

    def sleep(self, by_s: float) -> None:
        """Suspend the machine: only the wall clock goes on."""
        self._slept_s += by_s
        self._utc += timedelta(seconds=by_s)

    def advance(self, by_s: float) -> None:
        """Let both clocks run on by `by_s` seconds."""
        self._mono_s += by_s
        self._utc += timedelta(seconds=by_s)

    def set_utc(self, utc: datetime) -> None:
        """Set the wall clock, as NTP does; the monotonic clock is untouched."""
        self._utc = utc


class LocalZone(tzinfo):
    """The machine's time zone (TZ, else /etc/localtime), summer time included."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Offset of a local time from UTC."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Not known apart from the offset."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """Abbreviation of the zone at that time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """A UTC time, marked with this zone, as local time."""
        local = moment.replace(tzinfo=UTC).astimezone()
        wall = local.replace(tzinfo=None)
        # The hour that summer time's end repeats: the second pass is told by `fold`.
        second = wall.astimezone().utcoffset() != local.utcoffset()
        return wall.replace(tzinfo=self, fold=int(second))
