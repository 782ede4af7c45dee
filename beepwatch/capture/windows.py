"""From blocks of any size and rate to windows that begin on exact samples.

The cut depends on the sound alone: the same samples give the same windows however the driver
delivered them. What was lost is filled with zeros of its true length, so that a sample's number
still tells its time.
"""

import math
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import soxr
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block

_SLEW_S = 0.000_5  # most that a window may move the stream's anchor; 500 ppm at a hop of 1 s
_STEP_S = 1.0  # a wall clock that is further off has been set, and is followed at once
_MEMORY_WINDOWS = 30  # the least delayed arrival among so many tells the drift


class Resampler:
    """Mono float to int16 at another rate, as one unbroken stream."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, num_channels=1, dtype="float32")
        )

    def push(self, mono: NDArray[np.float32], *, last: bool = False) -> NDArray[np.int16]:
        """What can be told so far, int16, shape [samples]; `last` empties the filter."""
        if self._stream is not None:
            mono = self._stream.resample_chunk(mono, last=last)
        steps = np.rint(mono * np.float32(32_768))
        pcm: NDArray[np.int16] = np.clip(steps, -32_768, 32_767).astype(np.int16)
        return pcm


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One window of the stream and the part of it that no earlier window held."""

    sequence: int
    first_sample: int
    pcm: NDArray[np.int16]  # [window_samples], zeros after the end of the sound
    fresh: NDArray[np.int16]  # the samples that follow what the last cut showed; no padding
    lost_samples: int


class WindowCutter:
    """Cuts one opening of a source into windows of `window_s` every `hop_s`.

    The end of the sound is not lost: `finish` gives what no whole window covered as one more
    window on the same grid, filled with zeros to its full length.
    """

    def __init__(self, *, from_hz: int, rate_hz: int, window_s: float, hop_s: float) -> None:
        self.stream_id = uuid.uuid4().hex
        self.rate_hz = rate_hz
        self.window_samples = max(1, round(window_s * rate_hz))
        self.hop_samples = min(self.window_samples, max(1, round(hop_s * rate_hz)))
        self._from_hz = from_hz
        self._resampler = Resampler(from_hz, rate_hz)
        self._pending = np.zeros(0, dtype=np.int16)  # from the next window's first sample on
        self._chunks: list[NDArray[np.int16]] = []  # after _pending, not joined to it yet
        self._chunk_samples = 0
        self._first_sample = 0
        self._shown = 0  # end of the last cut, in samples of the stream
        self._sequence = 0
        self._lost_frames = 0
        self._frames = 0  # heard and lost, at from_hz

    @property
    def heard_s(self) -> float:
        """How much of the stream has come, lost stretches included."""
        return self._frames / self._from_hz

    @property
    def received_samples(self) -> int:
        """Samples so far at `rate_hz`, lost ones included."""
        return self._first_sample + self._pending.size + self._chunk_samples

    @property
    def missing_s(self) -> float:
        """How much more sound the next window takes, at the least."""
        missing = self.window_samples - self._pending.size - self._chunk_samples
        return max(0, missing) / self.rate_hz

    def beginning(self, step_s: float) -> Cut:
        """What has come of the next window, in whole steps. It comes again, whole."""
        self._join()
        step_samples = max(1, round(step_s * self.rate_hz))
        pcm = self._pending[: self._pending.size // step_samples * step_samples]
        return Cut(
            sequence=self._sequence,
            first_sample=self._first_sample,
            pcm=pcm,
            fresh=pcm[self._shown - self._first_sample :],
            lost_samples=0,  # the whole window tells of them
        )

    def push(self, block: Block, mono: NDArray[np.float32] | None = None) -> Iterator[Cut]:
        """The windows that this block completes; `mono` is its mix, if it is at hand."""
        self._frames += block.lost_frames + block.frames
        if block.lost_frames:
            self._lost_frames += block.lost_frames
            self._take(self._resampler.push(np.zeros(block.lost_frames, dtype=np.float32)))
        self._take(self._resampler.push(block.mono() if mono is None else mono))
        yield from self._whole_windows()

    def finish(self) -> Iterator[Cut]:
        """The windows that the end of the sound completes, the last one padded."""
        self._take(self._resampler.push(np.zeros(0, dtype=np.float32), last=True))
        yield from self._whole_windows()
        end = self.received_samples
        if end > self._shown:
            self._join()
            pcm = np.zeros(self.window_samples, dtype=np.int16)
            pcm[: self._pending.size] = self._pending
            yield self._cut(pcm, end)

    def leave(self) -> Iterator[Cut]:
        """What no window held yet, with what came before it, shorter than a window.

        For who goes on with the sound elsewhere: zeros after its end would lie where that begins.
        """
        self._join()
        if self.received_samples > self._shown and self._pending.size >= self.hop_samples:
            yield self._cut(self._pending, self.received_samples)

    def _take(self, samples: NDArray[np.int16]) -> None:
        self._chunks.append(samples)
        self._chunk_samples += samples.size

    def _join(self) -> None:
        self._pending = np.concatenate([self._pending, *self._chunks])
        self._chunks.clear()
        self._chunk_samples = 0

    def _whole_windows(self) -> Iterator[Cut]:
        if self._pending.size + self._chunk_samples < self.window_samples:
            return
        self._join()
        while self._pending.size >= self.window_samples:
            cut = self._cut(
                self._pending[: self.window_samples], self._first_sample + self.window_samples
            )
            self._pending = self._pending[self.hop_samples :]
            self._first_sample += self.hop_samples
            yield cut

    def _cut(self, pcm: NDArray[np.int16], end: int) -> Cut:
        fresh_from = self._shown - self._first_sample
        cut = Cut(
            sequence=self._sequence,
            first_sample=self._first_sample,
            pcm=pcm,
            fresh=pcm[fresh_from : end - self._first_sample],
            lost_samples=round(self._lost_frames * self.rate_hz / self._from_hz),
        )
        self._sequence += 1
        self._shown = end
        self._lost_frames = 0
        return cut


class StreamTime:
    """Which moment a sample of the stream was heard, on both clocks.

    A file's time is the stream's own. A sound card's crystal and the machine's differ by some tens
    of ppm, minutes in a year, so that a live stream's anchor follows the clock: by the least
    delayed of the last arrivals, and never by more than half a millisecond per window.
    """

    def __init__(self, mono_s: float, utc: datetime) -> None:
        """The first sample was heard at `mono_s`, when the wall clock said `utc`."""
        self.mono_s = mono_s
        self.utc = utc
        self._late_s: deque[float] = deque(maxlen=_MEMORY_WINDOWS)

    def at(self, stream_s: float) -> tuple[float, datetime]:
        """Monotonic seconds and UTC of the sample `stream_s` after the first."""
        return self.mono_s + stream_s, self.utc + timedelta(seconds=stream_s)

    def follow(self, stream_s: float, heard_mono_s: float, mono_s: float, utc: datetime) -> None:
        """The sample at `stream_s` was heard at `heard_mono_s`; now it is `mono_s` and `utc`.

        Called once per window. A wall clock that is off by more than a second has been set, and is
        believed at once.
        """
        self._late_s.append(heard_mono_s - self.mono_s - stream_s)
        slew_s = _at_most(min(self._late_s), _SLEW_S)
        self.mono_s += slew_s
        self._late_s = deque((late_s - slew_s for late_s in self._late_s), maxlen=_MEMORY_WINDOWS)
        off_s = (utc - self.utc).total_seconds() - (mono_s - self.mono_s)
        if abs(off_s) < _STEP_S:
            off_s = _at_most(off_s, _SLEW_S)
        self.utc += timedelta(seconds=off_s)


def _at_most(value_s: float, limit_s: float) -> float:
    return math.copysign(min(abs(value_s), limit_s), value_s)
