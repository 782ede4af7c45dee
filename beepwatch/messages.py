"""The types that travel between stations and processes.

Every message is frozen, keyword-only and complete, with its units in the names. On the wire it is
msgpack with a tag (`encode`, `decode`), so that nothing is ever unpickled.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    # Supervisor and messenger never touch a sample; without numpy each is 15 MB smaller.
    import numpy as np
    from numpy.typing import NDArray


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What goes over a connection; its class name is its tag."""


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


class FaultKind(enum.StrEnum):
    """What may be wrong while everything still runs."""

    NO_DEVICE = "no device"
    STALLED = "stalled"
    ALL_ZERO = "all zero"
    CLIPPING = "clipping"
    OVERFLOW = "overflow"
    QUEUE_FULL = "queue full"
    DISK_FULL = "disk full"
    MODEL = "model"
    PROCESS = "process"
    CHANNEL = "channel"


class Fault(Message, frozen=True, kw_only=True):
    """Something is wrong since `since`; sent again with `cleared` once it is over."""

    kind: FaultKind
    text: str  # the value, what was found, what to do
    since: datetime  # UTC
    count: int = 1
    cleared: bool = False


class Failed(Message, frozen=True, kw_only=True):
    """A child cannot do its work and trying again would not help."""

    text: str
    exit_code: int


class Heartbeat(Message, frozen=True, kw_only=True):
    """A child is alive and its main loop turns."""

    counts: dict[str, int] = {}


class Ready(Message, frozen=True, kw_only=True):
    """A child has loaded what it needs and takes work."""

    model: str = ""  # of the classifier, for people


class Done(Message, frozen=True, kw_only=True):
    """The classifier has dealt with this window.

    While it is not `at_rest`, something is open that a next life would have to hear once more.
    """

    stream_id: str
    sequence: int
    at_rest: bool = True


class Place(Message, frozen=True, kw_only=True):
    """How far a recording has been heard: its last window that came, and when the first began."""

    stream_id: str
    sequence: int
    began_at: datetime  # UTC, of the recording's first sample
    began_mono_s: float


class Finish(Message, frozen=True, kw_only=True):
    """Finish what is begun, then end; if another life follows, leave it what is open."""

    within_s: float
    for_good: bool = True


class Finished(Message, frozen=True, kw_only=True):
    """All that was begun is finished."""


class Poke(Message, frozen=True, kw_only=True):
    """There is something new in the outbox."""


class Noted(Message, frozen=True, kw_only=True):
    """The alert of this key is in the outbox; whoever sent it may forget it."""

    dedupe_key: str


class Inquiry(Message, frozen=True, kw_only=True):
    """The messenger asks how the listening stands."""

    number: int  # comes back with the answer


class MachineStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How a learned machine stands; times are UTC, None where there is none."""

    name: str
    usable: bool = True
    unusual_since: datetime | None = None  # when it was told
    heard_at: datetime | None = None  # running, last
    off_since: datetime | None = None
    strangeness: float | None = None  # median of the last minute that it ran


class MachineStandings(Message, frozen=True, kw_only=True):
    """The classifier tells how all learned machines stand."""

    machines: tuple[MachineStanding, ...]


class Condition(Message, frozen=True, kw_only=True):
    """The supervisor's answer: what it sees of source, queue and model; `machines` as told."""

    number: int
    up_s: float  # since the daemon's start
    source: str = ""  # "" before the first window
    level_dbfs: float = float("-inf")  # of the newest window
    level_age_s: float | None = None  # since that window's beginning; None before the first
    waiting_windows: int = 0
    lag_s: float = 0.0  # of the classifier behind the newest window
    dropped_windows: int = 0
    model: str = ""  # "" before one is loaded
    machines: tuple[MachineStanding, ...] = ()


class Listen(Message, frozen=True, kw_only=True):
    """The messenger wants to hear the room, gate or no gate, from now on and for so long."""

    number: int
    length_s: float


class Piece(Message, frozen=True, kw_only=True):
    """What the recorder has heard since the piece before; at most `PIECE_BYTES`."""

    number: int  # of the Listen that asked for it
    pcm: bytes  # int16 little-endian mono
    rate_hz: int
    started_at: datetime  # UTC, of the first sample
    last: bool


PIECE_BYTES = 32 * 1024  # a quarter of what an empty socket takes


class Taken(Message, frozen=True, kw_only=True):
    """The messenger has the piece and can take the next."""


class Watch(Message, frozen=True, kw_only=True):
    """Somebody wants to be told if nothing is heard for so long; a `for_s` of 0 calls it off."""

    number: int  # of the wish in the store
    since_mono_s: float
    for_s: float


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


class Event(Message, frozen=True, kw_only=True):
    """One episode of one label: when, how many pulses, how sure.

    The event is written when its first rule is satisfied and again, with `final` set, when the
    episode has ended.
    """

    label: str
    onset: datetime  # UTC, start of the first pulse
    offset: datetime  # UTC, end of the last pulse so far
    pulses: int
    peak_score: float
    model_id: str
    final: bool = False
    id: int | None = None  # given by the store
    clip: str | None = None  # path below the state directory

    @property
    def duration_s(self) -> float:
        """From the first pulse's onset to the last one's offset."""
        return (self.offset - self.onset).total_seconds()


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """Sound cut out of the stream, gaps filled to their true length."""

    pcm: bytes  # int16 little-endian mono
    rate_hz: int
    started_at: datetime  # UTC, of the first sample

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.pcm) / 2 / self.rate_hz


class Verdict(enum.StrEnum):
    """What a person says of an event."""

    RIGHT = "right"
    WRONG = "wrong"


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen with the buttons of a message."""

    verdict: Verdict | None = None
    quiet_until: datetime | None = None  # UTC; of the message's own chat


class AlertKind(enum.StrEnum):
    """Why the phone buzzes."""

    HEARD = "heard"
    MISSED = "missed"
    STARTED = "started"
    STOPPED = "stopped"
    FAULT = "fault"
    RECOVERED = "recovered"
    LEARNT = "learnt"
    UNUSUAL = "unusual"  # a machine sounds otherwise than when it is well


class Alert(Message, frozen=True, kw_only=True):
    """One thing to tell, once.

    `dedupe_key` is unique in the store: the same alert written twice is told once. It is told at
    `due_at` at the earliest (quiet hours).
    """

    kind: AlertKind
    text: str
    created_at: datetime  # UTC
    due_at: datetime  # UTC
    dedupe_key: str
    id: int | None = None
    event_id: int | None = None


class DeliveryState(enum.StrEnum):
    """Where an alert stands on one channel."""

    PENDING = "pending"
    MUTED = "muted"  # its chat did not want to be told, or it was over before its time
    SENT = "sent"
    REFUSED = "refused"
    EXPIRED = "expired"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on one channel."""

    id: int
    alert: Alert
    channel: str  # "console", "telegram:123456"
    state: DeliveryState
    attempts: int
    next_try_at: datetime | None  # UTC
    last_error: str | None
    reference: str | None  # what the channel calls the message, for editing it
    revision: int = 0  # of what the alert's events tell, when this was read


AnyMessage = (
    Window
    | Quiet
    | Hum
    | Ended
    | Listening
    | Fault
    | Failed
    | Heartbeat
    | Ready
    | Done
    | Finish
    | Finished
    | Poke
    | Noted
    | Alert
    | Inquiry
    | MachineStandings
    | Condition
    | Listen
    | Piece
    | Taken
    | Watch
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """The message as tagged msgpack."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage:
    """The message that `encode` wrote; msgspec.DecodeError when it is none."""
    return _decoder.decode(data)
