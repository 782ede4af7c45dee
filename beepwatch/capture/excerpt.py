"""The next seconds of the room for somebody who wants to hear it, whatever the gate thinks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from beepwatch.messages import PIECE_BYTES, Listen, Piece

_BYTES_PER_SAMPLE = 2


class Excerpt:
    """Takes samples as they come, and gives them away in pieces that fit a connection."""

    def __init__(self, asked: Listen) -> None:
        self._asked = asked
        self._left_s = asked.length_s
        self._pieces: list[Piece] = []

    @property
    def over(self) -> bool:
        """Whether all that was asked for has come and was taken."""
        return self._left_s <= 0 and not self._pieces

    def hear(self, samples: NDArray[np.int16], rate_hz: int, started_at: datetime) -> None:
        """What has been heard since the last call, int16, shape [samples]."""
        wanted = samples[: max(0, round(self._left_s * rate_hz))]
        self._left_s -= wanted.size / rate_hz
        all_heard = round(self._left_s * rate_hz) <= 0
        at_once = PIECE_BYTES // _BYTES_PER_SAMPLE
        for start in range(0, wanted.size, at_once):
            part = wanted[start : start + at_once]
            self._pieces.append(
                Piece(
                    number=self._asked.number,
                    pcm=part.astype("<i2").tobytes(),
                    rate_hz=rate_hz,
                    started_at=started_at + timedelta(seconds=start / rate_hz),
                    last=all_heard and start + at_once >= wanted.size,
                )
            )
        if all_heard:
            self._left_s = 0.0

    def take(self) -> Iterator[Piece]:
        """The pieces so far, each once."""
        while self._pieces:
            yield self._pieces.pop(0)
