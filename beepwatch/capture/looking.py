"""When what has come of the next window is worth hearing before the window is whole.

A beep is told when it is over and what the network has to hear after it has come: a look at just
that moment is worth more than one at any other. What goes on sounding, a row of beeps or a machine,
is looked at half way from window to window, while it is new.
"""

import math
from typing import Final

_BEEP_OVER_S: Final = 0.4  # after its end it can be told; a third of a second is the network's
_TAUGHT_OVER_S: Final = 0.66  # and with taught sounds on the shelf
_LULL_S: Final = 0.2  # a shorter one is a pause in a row
_HALF_WAY: Final = 0.5  # of a hop
_WORTH_WAITING: Final = 0.15  # of a hop, for the whole window

Position = float  # a sample of the stream, or infinity


class Looks:
    """From window to window of one opening: when to look, and whether to pass on what is there."""

    def __init__(self, *, hop_samples: int, rate_hz: int) -> None:
        self._hop = hop_samples
        self._over = _BEEP_OVER_S * rate_hz, _TAUGHT_OVER_S * rate_hz
        self._lull = _LULL_S * rate_hz
        self._shown: Position = 0.0
        self._sounded_until: Position = -math.inf
        self._half_way: Position = math.inf  # there is no look before the first window
        self._too_late: Position = 0.0  # the next whole window comes as soon

    @property
    def due(self) -> Position:
        """From where on to look next; infinity if only the next window is worth it."""
        overs = [over for over in self._overs() if self._shown < over < self._too_late]
        return min([self._half_way, *overs])

    def whole(self, end: int, sounded_until: Position) -> None:
        """A window that ends at `end` was passed on, or dropped, and what the gate heard in it."""
        self._shown = end
        self._sounded_until = sounded_until
        self._half_way = end + _HALF_WAY * self._hop
        self._too_late = end + (1 - _WORTH_WAITING) * self._hop

    def worth(self, heard: int, sounded_until: Position, *, is_new: bool) -> bool:
        """Whether to pass on what has come up to `heard`; asked when a look is due.

        `sounded_until` is the end of what sounds so far, and `is_new` whether it began lately.
        """
        self._sounded_until = sounded_until
        half_way = heard >= self._half_way
        if half_way:
            self._half_way = math.inf
        first, last = self._overs()
        if any(self._shown < over <= heard for over in (first, last)):
            worth = True
        else:
            waits = sounded_until + self._lull <= heard < first < self._too_late  # until it is over
            worth = half_way and is_new and not waits and self._shown < last
        if worth:
            self._shown = heard
        return worth

    def _overs(self) -> tuple[Position, Position]:
        """From where on what sounded last can be told, if it was a beep or a taught sound."""
        beep, taught = self._over
        return self._sounded_until + beep, self._sounded_until + taught
