"""The last seconds of sound, from which clips are cut, with gaps filled to their true length."""

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from beepwatch.messages import Clip, Hum, Quiet, Span, Window


class AudioTrail:
    """A ring of int16 samples that overlapping windows are laid into, each at its own place.

    What the gate dropped or the queue lost is digital silence. A reopened stream goes on where
    the monotonic clock says.
    """

    def __init__(self, *, rate_hz: int, keep_s: float) -> None:
        self._rate_hz = rate_hz
        self._ring: NDArray[np.int16] = np.zeros(round(keep_s * rate_hz), dtype=np.int16)
        self._end = 0  # position after the newest sample, counted from the trail's beginning
        self._stream_id: str | None = None
        self._stream_at = 0  # position of the stream's sample 0
        self._anchor = 0  # position whose times are known
        self._anchor_s = 0.0
        self._anchor_at: datetime | None = None

    @property
    def end_s(self) -> float:
        """Monotonic time of the end of the newest sound."""
        return self._anchor_s + (self._end - self._anchor) / self._rate_hz

    def lay(self, span: Window | Quiet) -> None:
        """Lay a window in its place; a dropped one only moves the end on."""
        position = self._position(span)
        self._anchor, self._anchor_s = position, span.started_mono_s
        self._anchor_at = span.started_at
        end = position + span.samples
        if end > self._end:
            self._clear(max(self._end, end - len(self._ring)), end)
            self._end = end
        if isinstance(span, Window | Hum):
            self._write(position, span.waveform())

    def cut(self, start_s: float, stop_s: float) -> Clip | None:
        """The sound between two monotonic times, as far as it is still here; None if none is."""
        if self._anchor_at is None:
            return None
        start = self._anchor + round((start_s - self._anchor_s) * self._rate_hz)
        stop = self._anchor + round((stop_s - self._anchor_s) * self._rate_hz)
        start = max(start, self._end - len(self._ring), 0)
        stop = min(stop, self._end)
        if stop <= start:
            return None
        return Clip(
            pcm=b"".join(self._ring[part].tobytes() for part in self._parts(start, stop)),
            rate_hz=self._rate_hz,
            started_at=self._anchor_at + timedelta(seconds=(start - self._anchor) / self._rate_hz),
        )

    def _position(self, span: Span) -> int:
        if span.stream_id != self._stream_id:
            position = 0
            if self._stream_id is not None:
                after_s = span.started_mono_s - self._anchor_s
                position = self._anchor + round(after_s * self._rate_hz)
            self._stream_id = span.stream_id
            self._stream_at = position - span.first_sample
        return self._stream_at + span.first_sample

    def _clear(self, start: int, end: int) -> None:
        for part in self._parts(start, end):
            self._ring[part] = 0

    def _write(self, position: int, samples: NDArray[np.int16]) -> None:
        too_old = max(0, self._end - len(self._ring) - position)
        samples = samples[too_old:]
        start = position + too_old
        laid = 0
        for part in self._parts(start, start + len(samples)):
            length = part.stop - part.start
            self._ring[part] = samples[laid : laid + length]
            laid += length

    def _parts(self, start: int, stop: int) -> list[slice]:
        """Where these positions lie in the ring, no more than it is long: in one or two pieces.

        A list of indices would take four times as much memory as the sound.
        """
        length = len(self._ring)
        first = start % length
        end = first + stop - start
        whole = [slice(first, min(end, length)), slice(0, max(0, end - length))]
        return [part for part in whole if part.stop > part.start]
