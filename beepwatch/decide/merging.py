"""Overlapping windows become one row of frames.

Most frames are seen several times. Each stretch of the stream is taken once, from the first window
that holds enough sound after it, so it cannot matter how the stream was cut into windows.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.messages import Quiet, Scores


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """A run of frames that nobody has seen yet; `probabilities` is float32 [frames, labels].

    `first_s` and `first_at` are the centre of the first frame on both clocks; `pitch_hz` [frames,
    tones] may be unknown.
    """

    probabilities: NDArray[np.float32]
    pitch_hz: NDArray[np.float32] | None = None
    frame_s: float
    first_s: float
    first_at: datetime


class FrameMerger:
    """Takes every stretch of the stream exactly once out of overlapping windows.

    The last `context_s` of a window are held back until the next window shows them with what
    follows; if that one was dropped as silent they count as they are.
    """

    def __init__(self, context_s: float) -> None:
        self._context_s = context_s
        self._stream_id: str | None = None
        self._taken_until = 0  # sample position: everything before it is settled
        self._pending: Scores | None = None

    def hear(self, scores: Scores) -> Iterator[Frames]:
        """The frames of this window that are new and settled, after any that it proves final."""
        yield from self._move_to(scores.stream_id, scores.first_sample)
        settled_until = _end_of(scores) - round(self._context_s * scores.rate_hz)
        yield from self._take(scores, settled_until)
        self._pending = scores

    def skip(self, quiet: Quiet) -> Iterator[Frames]:
        """What the window before the silence still held back."""
        yield from self._move_to(quiet.stream_id, quiet.first_sample)
        yield from self.flush()

    def flush(self) -> Iterator[Frames]:
        """All that is held back: nothing that follows can tell more about it."""
        if self._pending is not None:
            yield from self._take(self._pending, _end_of(self._pending))
            self._pending = None

    def _move_to(self, stream_id: str, first_sample: int) -> Iterator[Frames]:
        if stream_id != self._stream_id:
            yield from self.flush()
            self._stream_id = stream_id
            self._taken_until = first_sample
        elif first_sample > self._taken_until:
            if self._pending is not None:
                yield from self._take(self._pending, first_sample)
            self._taken_until = first_sample

    def _take(self, scores: Scores, until: int) -> Iterator[Frames]:
        """Frames whose centres lie from what is taken to `until` (sample positions)."""
        frame_samples = scores.frame_s * scores.rate_hz
        count = len(scores.probabilities)
        start = _frames_before(self._taken_until - scores.first_sample, frame_samples, count)
        stop = _frames_before(until - scores.first_sample, frame_samples, count)
        if start >= stop:
            return
        centre_s = (start + 0.5) * scores.frame_s
        yield Frames(
            probabilities=scores.probabilities[start:stop],
            pitch_hz=None if scores.pitch_hz is None else scores.pitch_hz[start:stop],
            frame_s=scores.frame_s,
            first_s=scores.started_mono_s + centre_s,
            first_at=scores.started_at + timedelta(seconds=centre_s),
        )
        self._taken_until = scores.first_sample + round(stop * frame_samples)


def _end_of(scores: Scores) -> int:
    """Sample position after the window's last frame."""
    return scores.first_sample + round(len(scores.probabilities) * scores.frame_s * scores.rate_hz)


def _frames_before(samples: int, frame_samples: float, count: int) -> int:
    """How many of a window's frames have their centre before `samples` from its start."""
    return min(count, max(0, int(np.ceil(samples / frame_samples - 0.5))))
