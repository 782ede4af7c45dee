"""When the end of a trouble is told: what comes back again and again is told as one that lasts."""

from collections import deque
from collections.abc import Sequence

LATELY_S = 6 * 3_600.0


class Proof:
    """How long an end has to last to be told: the longer, the more ends were told lately."""

    def __init__(self, lasting_s: Sequence[float]) -> None:
        """For the first end of `LATELY_S`, the second … and all further ones."""
        self._lasting_s = lasting_s
        self._since_s: float | None = None
        self._told_s: deque[float] = deque()

    def fails(self) -> None:
        """It is not over."""
        self._since_s = None

    def holds(self, now_s: float) -> bool:
        """It seems to be over; True, once, when that has lasted."""
        if self._since_s is None:
            self._since_s = now_s
        while self._told_s and self._told_s[0] < now_s - LATELY_S:
            self._told_s.popleft()
        lasting_s = self._lasting_s[min(len(self._told_s), len(self._lasting_s) - 1)]
        if now_s - self._since_s < lasting_s:
            return False
        self._since_s = None
        self._told_s.append(now_s)
        return True
