"""Messages of what people ask through the bot, and what is answered."""

from __future__ import annotations

from datetime import datetime

import msgspec

from beepwatch.messages.message import Message

PIECE_BYTES = 32 * 1024  # a quarter of what an empty socket takes


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


class Taken(Message, frozen=True, kw_only=True):
    """The messenger has the piece and can take the next."""


class Watch(Message, frozen=True, kw_only=True):
    """Somebody wants to be told if nothing is heard for so long; a `for_s` of 0 calls it off."""

    number: int  # of the wish in the store
    since_mono_s: float
    for_s: float
