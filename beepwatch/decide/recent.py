"""The sound of a recording that decisions look back at, while it goes by in pieces."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.hindsight import Cut, Hindsight, Span
from beepwatch.decide.pulses import Pulse
from beepwatch.decide.rehearing import Network

# The longest episode, its margins, the pause that ends it, a stretch of 28 s, what is read ahead.
KEPT_S = 80.0


class RecentSound(Hindsight):
    """The last minute of a recording: an episode is over within seconds, or a stretch, of it.

    Times are in seconds from the recording's beginning.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._blocks: deque[NDArray[np.int16]] = deque()
        self._ahead: NDArray[np.int16] = np.zeros(0, dtype=np.int16)
        self._start = 0  # the first block's first sample's place in the recording
        self._samples = 0  # in the blocks

    def add(self, sound: NDArray[np.int16], ahead: NDArray[np.int16] | None = None) -> None:
        """What follows, and what is known already of the sound after it."""
        self._blocks.append(sound)
        self._ahead = np.zeros(0, dtype=np.int16) if ahead is None else ahead
        self._samples += len(sound)
        while self._samples - len(self._blocks[0]) >= KEPT_S * self._rate_hz:
            dropped = len(self._blocks.popleft())
            self._start += dropped
            self._samples -= dropped

    def cut(self, span: Span, pulse: Pulse) -> Cut | None:
        """What there is of a span."""
        first, last = (round(time_s * self._rate_hz) for time_s in span)
        kept: list[NDArray[np.int16]] = []
        begin = end = self._start
        for block in (*self._blocks, self._ahead):
            start, end = end, end + len(block)
            if end > first and start < last:
                begin = begin if kept else max(start, first)
                kept.append(block[max(first - start, 0) : last - start])
        if not kept:
            return None
        sound = kept[0] if len(kept) == 1 else np.concatenate(kept)
        return sound, begin / self._rate_hz
