"""What is still to be told, as it was last read: for a disk that cannot be read any more."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec

from beepwatch.errors import StoreError
from beepwatch.messages import Alert, Delivery
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox

KEPT = 1_000  # of each channel; the newest stay unread until these are told
_LOOK_AGAIN = timedelta(seconds=1)


class LanesOutbox(Outbox):
    """The outbox as the channels see it.

    What was told without it, or is just being (`in_hand`, of an alert's key and a channel), is not
    sent again; `settle` tries to mark it. What the channels could not mark is known here meanwhile.
    """

    def __init__(
        self,
        database: Database,
        in_hand: Callable[[str, str], bool],
        settle: Callable[[], None],
    ) -> None:
        super().__init__(database)
        self._in_hand = in_hand
        self._settle = settle
        self.unmarked: set[int] = set()  # deliveries that are over, and still pending in the store

    def due(self, channel: str, now: datetime) -> Delivery | None:
        """As ever."""
        delivery = super().due(channel, now)
        if delivery is None or not self._is_in_hand(delivery):
            return delivery
        self._settle()
        return next(iter(self.tellable(channel, now, KEPT)), None)

    def tellable(self, channel: str, now: datetime, at_most: int) -> list[Delivery]:
        """As ever."""
        listed = super().tellable(channel, now, at_most)
        return [one for one in listed if not self._is_in_hand(one)]

    def next_due_at(self, channel: str, now: datetime) -> datetime | None:
        """As ever; what is only to be marked is no reason to look again at once."""
        at = super().next_due_at(channel, now)
        if at is None or at > now or self.tellable(channel, now, KEPT):
            return at
        return now + _LOOK_AGAIN

    def _is_in_hand(self, delivery: Delivery) -> bool:
        return self._in_hand(delivery.alert.dedupe_key, delivery.channel)

    def sent(
        self, delivery_id: int, *, reference: str | None, revision: int, sent_at: datetime
    ) -> None:
        """As ever, and so are the others."""
        with self._marking([delivery_id]):
            super().sent(delivery_id, reference=reference, revision=revision, sent_at=sent_at)

    def sent_together(
        self, deliveries: Sequence[Delivery], *, reference: str, sent_at: datetime
    ) -> None:
        """For many."""
        with self._marking(one.id for one in deliveries):
            super().sent_together(deliveries, reference=reference, sent_at=sent_at)

    def refused(self, delivery_id: int, *, error: str) -> None:
        """For good."""
        with self._marking([delivery_id]):
            super().refused(delivery_id, error=error)

    def expired(self, delivery_id: int, *, error: str) -> None:
        """For too long."""
        with self._marking([delivery_id]):
            super().expired(delivery_id, error=error)

    @contextmanager
    def _marking(self, deliveries: Iterable[int]) -> Iterator[None]:
        marked = set(deliveries)
        self.unmarked |= marked
        yield
        self.unmarked -= marked


class Recollection:
    """Reads what is still to be told whenever something has changed.

    While that cannot be read, `tell` is given the alerts of the last time that are not told yet,
    each with the channels that wait for it.
    """

    def __init__(
        self,
        outbox: LanesOutbox,
        channels: Sequence[str],
        tell: Callable[[Alert, Sequence[str]], None],
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._tell = tell
        self._known: list[Delivery] = []
        self._seen: Mapping[str, int] | None = None  # what had been done then

    def poke(self) -> None:
        """There is something new in the outbox."""
        self._seen = None

    def look(self, counts: Mapping[str, int]) -> None:
        """`counts` is what has been done so far."""
        if counts == self._seen:
            return
        try:
            self._known = [
                one for name in self._channels for one in self._outbox.pending(name, KEPT)
            ]
            self._seen = dict(counts)
        except StoreError:
            self._hand_over()

    def _hand_over(self) -> None:
        waiting: dict[str, tuple[Alert, list[str]]] = {}
        for one in sorted(self._known, key=lambda one: one.alert.id or 0):
            if one.id not in self._outbox.unmarked:
                # Another disk may have other events by these numbers.
                alert = msgspec.structs.replace(one.alert, id=None, event_id=None)
                waiting.setdefault(alert.dedupe_key, (alert, []))[1].append(one.channel)
        for alert, channels in waiting.values():
            self._tell(alert, channels)
