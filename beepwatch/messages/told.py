"""Messages of what is told: events, alerts and their deliveries, and what people say of them."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec

from beepwatch.messages.message import Message


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
