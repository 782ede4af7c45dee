"""Messages by which the processes get along: lives, faults, work done, what has to be finished."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from beepwatch.messages.message import Message


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

    counts: dict[str, int] = msgspec.field(default_factory=dict)


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
