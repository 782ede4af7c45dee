"""Messages of sound: stretches of the stream, what was heard in them, clips."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from beepwatch.messages.message import Message

if TYPE_CHECKING:
    # Supervisor and messenger never touch a sample; without numpy each is 15 MB smaller.
    import numpy as np
    from numpy.typing import NDArray


class Span(Message, frozen=True, kw_only=True):
    """A stretch of the microphone's stream, placed in samples and on both clocks.

    `first_sample` counts from the opening of the stream that `stream_id` names, lost samples
    included, so that two spans of one stream overlap exactly where their samples say so.
    """

    stream_id: str
    sequence: int  # windows cut since the stream was opened, dropped ones included
    first_sample: int
    rate_hz: int
    started_at: datetime  # UTC, of the first sample
    started_mono_s: float
    level_dbfs: float  # RMS; -inf for digital silence
    lost_samples: int  # since the last window, counted once
    source: str


class Window(Span, frozen=True, kw_only=True):
    """A few seconds of sound that the gate thought worth hearing."""

    pcm: bytes  # int16 little-endian mono

    @property
    def samples(self) -> int:
        """Length in samples."""
        return len(self.pcm) // 2

    def waveform(self) -> NDArray[np.int16]:
        """The samples as an array that shares the message's memory, shape [samples]."""
        import numpy as np

        return np.frombuffer(self.pcm, dtype="<i2")


class Quiet(Span, frozen=True, kw_only=True):
    """A window that the gate dropped: a known gap of known length."""

    samples: int


class Hum(Quiet, frozen=True, kw_only=True):
    """A window that the gate dropped, with its sound: a machine may be running in it."""

    pcm: bytes  # int16 little-endian mono

    def waveform(self) -> NDArray[np.int16]:
        """As that of a `Window`."""
        import numpy as np

        return np.frombuffer(self.pcm, dtype="<i2")


class Ended(Message, frozen=True, kw_only=True):
    """The source has no more sound: a file is at its end."""

    source: str


class Listening(Message, frozen=True, kw_only=True):
    """The source has been opened and its first samples have come."""

    source: str
    rate_hz: int  # of the device, before resampling
    channels: int


class Place(Message, frozen=True, kw_only=True):
    """How far a recording has been heard: to the end of which window, and when it began."""

    source: str
    stream_id: str
    until_sample: int  # of the stream; what it has before was heard
    began_at: datetime  # UTC, of the recording's first sample
    began_mono_s: float


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Label probabilities of one window's frames.

    `probabilities` is float32 [frames, labels]; frame i is centred (i + 0.5) · frame_s after the
    window's first sample. `pitch_hz` is float32 [frames, tones]: at what pitches the likeliest
    candidates sound, whether or not they are believed, 0 for none; None if the model tells none.
    """

    probabilities: NDArray[np.float32]
    pitch_hz: NDArray[np.float32] | None = None
    labels: tuple[str, ...]
    frame_s: float
    stream_id: str
    first_sample: int
    rate_hz: int
    started_at: datetime
    started_mono_s: float
    model_id: str


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """Sound cut out of the stream, gaps filled to their true length."""

    pcm: bytes  # int16 little-endian mono
    rate_hz: int
    started_at: datetime  # UTC, of the first sample

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / 2 / self.rate_hz
