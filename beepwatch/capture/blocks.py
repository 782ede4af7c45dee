"""What a source of sound hands over: blocks of samples as they came, losses counted.

Numpy is imported by who asks for samples: a microphone is opened while it is still being loaded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from beepwatch.errors import SourceError, UnreadableAudio
from beepwatch.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SampleFormat = Literal["int16", "int32", "float32"]
SIZE_BYTES: Final[dict[SampleFormat, int]] = {"int16": 2, "int32": 4, "float32": 4}
_FULL_SCALE: Final[dict[SampleFormat, float]] = {
    "int16": 32_768.0,
    "int32": 2_147_483_648.0,
    "float32": 1.0,
}
_LATE_S = 0.003  # after its end; most pieces have come by then
_ROUNDED_S = 0.000_1  # for so little no further piece is waited for
_LOUDEST = 1_000.0  # of float samples, whose full scale is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Interleaved samples as the device, the decoder or the pipe gave them."""

    data: bytes
    sample_format: SampleFormat
    channels: int
    rate_hz: int
    lost_frames: int = 0  # missing before this block, estimated from time stamps
    overflows: int = 0  # that the driver told of since the last block
    dropped_blocks: int = 0  # that the queue had no room for since the last block
    captured_mono_s: float | None = None  # when the last frame was heard; None: not live
    is_latest: bool = False  # no more had come when it was taken; its time is then the true one
    piece_s: float = 0.0  # a live source hands over so much at a time; 0: nobody knows

    @property
    def frames(self) -> int:
        """Samples per channel."""
        return len(self.data) // (SIZE_BYTES[self.sample_format] * self.channels)

    def comes_in_s(self, more_s: float) -> float:
        """How long after the last frame was heard so much more is likely to have come."""
        if more_s <= 0 or self.piece_s <= 0:
            return more_s
        return math.ceil((more_s - _ROUNDED_S) / self.piece_s) * self.piece_s + _LATE_S

    def with_next(self, following: Block) -> Block:
        """As one with what came next, before which nothing is missing."""
        return replace(
            self,
            data=self.data + following.data,
            overflows=self.overflows + following.overflows,
            dropped_blocks=self.dropped_blocks + following.dropped_blocks,
            captured_mono_s=following.captured_mono_s,
            is_latest=following.is_latest,
        )

    def mono(self) -> NDArray[np.float32]:
        """The mean of the channels, full scale ± 1, shape [frames]."""
        import numpy as np

        samples = np.frombuffer(self.data, dtype=self.sample_format).reshape(-1, self.channels)
        if self.sample_format == "float32":  # which can be anything in a damaged file
            loudest = np.float32(_LOUDEST)
            # Most often nothing is to be mended, and to see that takes a fifth of the time.
            if not (-loudest <= samples.min(initial=0) and samples.max(initial=0) <= loudest):
                samples = np.clip(np.nan_to_num(samples), -loudest, loudest)
        # Channel by channel: a mean over so short an axis takes ten times as long.
        mixed = samples[:, 0].astype(np.float32)
        for channel in range(1, self.channels):
            mixed += samples[:, channel]
        mixed *= np.float32(1 / (_FULL_SCALE[self.sample_format] * self.channels))
        return mixed


_RATES_HZ = (1_000, 768_000)
_MOST_CHANNELS = 64
_MOST_BLOCK_BYTES = 16_000_000


def frames_of(text: str, *, block_s: float, rate_hz: int, channels: int) -> int:
    """Frames in `block_s` of sound; fewer where that would be much memory.

    Raises UnreadableAudio for a form that no recording has, only a damaged or a lying header.
    """
    lowest_hz, highest_hz = _RATES_HZ
    if not (lowest_hz <= rate_hz <= highest_hz and 1 <= channels <= _MOST_CHANNELS):
        raise UnreadableAudio(
            f"{text} is said to have {counted(channels, 'channel')} at {rate_hz} Hz; "
            f"up to {_MOST_CHANNELS} "
            f"at {lowest_hz} to {highest_hz} Hz can be read. Record or copy it again."
        )
    widest = SIZE_BYTES["int32"] * channels
    return max(1, min(round(block_s * rate_hz), _MOST_BLOCK_BYTES // widest))


class Stalled(SourceError):
    """An open live source gives no samples any more, though it did not say that it ended."""


class EndOfSound:
    """There is no more to read: the file or the pipe is at its end."""


class Stream(Protocol):
    """An open source."""

    text: str  # which device or file it really is

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """The next block; None when none came `within_s`. Raises SourceError when it is lost."""
        ...

    def close(self) -> None:
        """Give the device, the process or the file back; a second time does nothing."""
        ...


class Source(Protocol):
    """Something that can be opened, again and again if it is live."""

    name: str  # as it was asked for, without secrets
    live: bool  # samples come by themselves and time is the clock's; else it waits to be read
    paced: bool  # read at the speed asked for, if live the clock's, rather than as it comes
    patience_s: float  # without a sample for so long, it is stalled

    def open(self) -> Stream:
        """Start the sound. Raises SourceError."""
        ...
