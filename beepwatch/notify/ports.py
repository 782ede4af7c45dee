"""What the messenger asks of the store, which it does not import: outbox and clips."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from beepwatch.messages import Chosen, Clip, Delivery, Event


class OutboxReader(Protocol):
    """The consumer's side of the outbox; every method may raise StoreError."""

    def due(self, channel: str, now: datetime) -> Delivery | None:
        """The oldest alert to be told now."""
        ...

    def next_due_at(self, channel: str, now: datetime) -> datetime | None:
        """When there may next be something to do."""
        ...

    def tellable(self, channel: str, now: datetime, at_most: int) -> list[Delivery]:
        """What may be told now, oldest first, whether or not its next try is due."""
        ...

    def sent(
        self, delivery_id: int, *, reference: str | None, revision: int, sent_at: datetime
    ) -> None:
        """The channel has taken it."""
        ...

    def sent_together(
        self, deliveries: Sequence[Delivery], *, reference: str, sent_at: datetime
    ) -> None:
        """The channel has taken one message that tells of them all."""
        ...

    def failed(
        self, delivery_id: int, *, error: str, tried_at: datetime, next_try_at: datetime
    ) -> None:
        """Tried again later."""
        ...

    def refused(self, delivery_id: int, *, error: str) -> None:
        """Never taken."""
        ...

    def expired(self, delivery_id: int, *, error: str, and_before: datetime) -> int:
        """Tried for too long, with what is as old on its channel; how many those were."""
        ...

    def edit_due(self, channel: str, now: datetime) -> Delivery | None:
        """The oldest sent message that can say more."""
        ...

    def edited(self, delivery_id: int, *, revision: int) -> None:
        """Up to date, or given up."""
        ...

    def edit_failed(
        self, delivery_id: int, *, error: str, tried_at: datetime, next_try_at: datetime
    ) -> None:
        """Edited later."""
        ...

    def events_of(self, alert_id: int) -> list[Event]:
        """The episodes that an alert tells of."""
        ...

    def picture(self, event_id: int) -> bytes | None:
        """The PNG that goes with an event."""
        ...

    def chosen(self, alert_id: int, channel: str) -> Chosen:
        """What was chosen under an alert's message on this channel."""
        ...


class ClipStore(Protocol):
    """Where raw sound waits and files are kept; every method may raise StoreError."""

    def pending(self) -> list[int]:
        """Events whose sound waits to be encoded."""
        ...

    def pending_pcm(self, event_id: int) -> tuple[int, Clip] | None:
        """Revision and sound that waits to be encoded."""
        ...

    def path(self, event_id: int) -> Path | None:
        """The file, once it is kept."""
        ...

    def keep(self, event_id: int, revision: int, sound: bytes, suffix: str) -> Path:
        """Put the encoded sound into its file and let go of the raw one."""
        ...
