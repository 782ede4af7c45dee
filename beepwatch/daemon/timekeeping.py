"""Notices that the wall clock was set, by the times that windows bring along."""

from datetime import datetime, timedelta

from beepwatch.clock import Clock
from beepwatch.messages import Quiet, Window
from beepwatch.store.timeline import SET_BY, Timeline


class Timekeeper:
    """Keeps the store's times in step with those of the windows that are being decided about.

    The windows' times rather than the clock's own: each window is written in the time it tells.
    """

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        """Raises StoreError."""
        self._timeline = timeline
        self._clock = clock
        self._pin = self._pin_at(clock.mono_s(), clock.utc())
        self._follow(self._pin)

    def is_set_anew(self, span: Window | Quiet) -> bool:
        """Whether this window tells another time than the last one; then `follow` it."""
        return abs(self._pin_at(span.started_mono_s, span.started_at) - self._pin) > SET_BY

    def follow(self, span: Window | Quiet) -> None:
        """Move what is written to this window's time. Raises StoreError, and can be repeated."""
        pin = self._pin_at(span.started_mono_s, span.started_at)
        self._follow(pin)
        self._pin = pin

    def _follow(self, pin: datetime) -> None:
        now_s = self._clock.mono_s() + self._clock.slept_s()
        self._timeline.follow(pin, pin + timedelta(seconds=now_s))

    def _pin_at(self, mono_s: float, utc: datetime) -> datetime:
        """The wall time at which the boot's clock stood at 0."""
        return utc - timedelta(seconds=mono_s + self._clock.slept_s())
