"""What is still to be told, as far as it is known: for a disk that cannot be read any more."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from beepwatch.daemon.memo import Memo, Untold
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, Delivery
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox

KEPT = 1_000  # of each channel; the newest stay unread until most of these are told
_ENOUGH = KEPT // 2
_LOOK_AGAIN = timedelta(seconds=1)


class LanesOutbox(Outbox):
    """The outbox as the channels see it.

    What was told without it, or is just being (`in_hand`, of an alert's key and a channel), is not
    sent again; `settle` tries to mark it. What the channels are done with is known here, whether or
    not they could mark it.
    """

    def __init__(
        self,
        database: Database,
        in_hand: Callable[[str, str], bool],
        settle: Callable[[], object],
    ) -> None:
        super().__init__(database)
        self._in_hand = in_hand
        self._settle = settle
        self.over: set[int] = set()  # deliveries; emptied by whoever reads what is not

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
        self.over.add(delivery_id)
        super().sent(delivery_id, reference=reference, revision=revision, sent_at=sent_at)

    def sent_together(
        self, deliveries: Sequence[Delivery], *, reference: str, sent_at: datetime
    ) -> None:
        """For many."""
        self.over.update(one.id for one in deliveries)
        super().sent_together(deliveries, reference=reference, sent_at=sent_at)

    def refused(self, delivery_id: int, *, error: str) -> None:
        """For good."""
        self.over.add(delivery_id)
        super().refused(delivery_id, error=error)

    def expired(self, delivery_id: int, *, error: str, and_before: datetime) -> int:
        """For too long."""
        self.over.add(delivery_id)
        return super().expired(delivery_id, error=error, and_before=and_before)


class Recollection:
    """Reads what is still to be told when there is something new, and puts it into the memo, less
    what the channels are done with since.

    When it cannot be read, `tell` is given, once, the alerts of the last time that are not told
    yet, each with the channels that wait for it; in a life that could never read it, those of the
    life before.
    """

    def __init__(
        self,
        outbox: LanesOutbox,
        channels: Sequence[str],
        tell: Callable[[Alert, Sequence[str]], None],
        memo: Memo,
    ) -> None:
        self._outbox = outbox
        self._channels = channels
        self._tell = tell
        self._memo = memo
        self._known: list[Delivery] | None = None  # before the first reading
        self._more = False  # there are some that were not read
        self._elsewhere: set[str] = set()  # told without the store, by dedupe_key
        self._handed_over = False
        self._news = True
        self._seen: Mapping[str, int] = {}  # what had been done then

    def poke(self) -> None:
        """There is something new in the outbox."""
        self._news = True

    def told(self, key: str) -> None:
        """This alert was told, on every channel, without the store."""
        self._elsewhere.add(key)

    def look(self, counts: Mapping[str, int]) -> None:
        """`counts` is what has been done so far."""
        if not self._news and counts == self._seen:
            return
        if self._news or self._is_short or self._has_changed(counts, "store_errors", "expired"):
            try:
                self._read()
            except StoreError:
                self._hand_over()
                self._news = True  # again with the next look
        self._seen = dict(counts)
        if self._known is not None:
            self._memo.write(self._untold())

    def _has_changed(self, counts: Mapping[str, int], *names: str) -> bool:
        return any(counts.get(name) != self._seen.get(name) for name in names)

    @property
    def _is_short(self) -> bool:
        known = self._known or []
        return self._more and sum(one.id not in self._outbox.over for one in known) < _ENOUGH

    def _read(self) -> None:
        read = {name: self._outbox.pending(name, KEPT) for name in self._channels}
        self._known = [one for listed in read.values() for one in listed]
        self._more = any(len(listed) == KEPT for listed in read.values())
        self._outbox.over.intersection_update(one.id for one in self._known)
        self._elsewhere.clear()
        self._handed_over = self._news = False

    def _hand_over(self) -> None:
        if self._handed_over:
            return
        self._handed_over = True
        for one in self._memo.untold if self._known is None else self._untold():
            if waiting := [name for name in one.channels if name in self._channels]:
                self._tell(one.alert, waiting)

    def _untold(self) -> list[Untold]:
        waiting: dict[str, tuple[Alert, list[str]]] = {}
        for one in sorted(self._known or [], key=lambda one: one.alert.id or 0):
            if one.id not in self._outbox.over and one.alert.dedupe_key not in self._elsewhere:
                # Another disk may have other events by these numbers.
                alert = msgspec.structs.replace(one.alert, id=None, event_id=None)
                waiting.setdefault(alert.dedupe_key, (alert, []))[1].append(one.channel)
        return [Untold(alert=alert, channels=tuple(names)) for alert, names in waiting.values()]
