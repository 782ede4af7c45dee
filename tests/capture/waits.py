"""Waits that take no time, for listeners whose clock is a manual one."""

import threading

from beepwatch.clock import ManualClock


class Waits(threading.Event):
    """Whoever waits for it lets the clock go on."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Over at once."""
        self._clock.advance(timeout or 0.0)
        return self.is_set()
