"""What is missing between two blocks of a microphone: times come in, frames come out."""

from collections import deque
from typing import Final

_LEAST_GAP_S: Final = 0.2  # less, unannounced, is a sound server that was held up and stays late
_SURE_AFTER_S: Final = 1.0  # a gap that no flag announced must last so long to be believed
_BASELINE_S: Final = 10.0  # the clocks drift apart by less than a millisecond in this time


class _Ahead:
    """By how much a time runs ahead of the frames counted, over its least value lately.

    The difference never falls by itself, rises with each loss, drifts by some ppm and is thrown
    about by late times, which only ever add to it: its least value over the last seconds is where
    it really stands.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[float, float]] = deque()  # time_s, ahead_s; both rising

    def over_least(self, ahead_s: float) -> float:
        """The gap that `ahead_s` would mean."""
        return ahead_s - self._least[0][1] if self._least else 0.0

    def note(self, time_s: float, ahead_s: float) -> None:
        """Remember a value for ten seconds, or until a lesser one comes."""
        while self._least and self._least[-1][1] >= ahead_s:
            self._least.pop()
        self._least.append((time_s, ahead_s))
        while self._least[0][0] < time_s - _BASELINE_S:
            self._least.popleft()


class Losses:
    """Tells how many frames are missing between two blocks.

    Two times tell of each block, and both err: the converter's stamp, which sound servers correct
    by a fifth of a second after the start, and the moment of arrival, which is late when the
    machine is busy. What is really lost shows in both, so that the lesser gap counts.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._frames = 0  # counted and lost
        self._stamps = _Ahead()
        self._arrivals = _Ahead()
        self._suspected_s: list[float] = []
        self._suspected_since_s = 0.0

    def dropped(self, frames: int) -> None:
        """So many are known to be missing before the next block, besides what it tells."""
        self._frames += frames

    def before(self, frames: int, stamp_s: float, arrived_s: float, *, flagged: bool) -> int:
        """Frames lost before this block of `frames`, stamped and arrived at these times.

        A loss that the driver announced (`flagged`) is believed at once, any other when it has
        lasted for a second.
        """
        counted_s = self._frames / self._rate_hz
        stamp_ahead_s, arrival_ahead_s = stamp_s - counted_s, arrived_s - counted_s
        gap_s = min(
            self._stamps.over_least(stamp_ahead_s), self._arrivals.over_least(arrival_ahead_s)
        )
        lost = max(0, round(self._believed(gap_s, arrived_s, flagged=flagged) * self._rate_hz))
        self._frames += lost + frames
        if not self._suspected_s:
            self._stamps.note(arrived_s, stamp_ahead_s - lost / self._rate_hz)
            self._arrivals.note(arrived_s, arrival_ahead_s - lost / self._rate_hz)
        return lost

    def _believed(self, gap_s: float, now_s: float, *, flagged: bool) -> float:
        if flagged or gap_s < _LEAST_GAP_S:
            self._suspected_s.clear()
            return gap_s if flagged else 0.0
        if not self._suspected_s:
            self._suspected_since_s = now_s
        self._suspected_s.append(gap_s)
        if now_s - self._suspected_since_s < _SURE_AFTER_S:
            return 0.0
        least_s = min(self._suspected_s)
        self._suspected_s.clear()
        return least_s
