"""Alerts on their way into the outbox, told without it when it cannot be written.

On a disk that the kernel has made read-only nothing gets into the outbox any more, and so nothing
out of it: not even that. What has waited for long enough is told from memory, and marked as sent
as soon as it can be written.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, tzinfo

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.errors import StoreError
from beepwatch.messages import Alert
from beepwatch.notify.backoff import Backoff, Waits
from beepwatch.notify.captions import caption
from beepwatch.notify.channels import Channel, NotSent, Outgoing, Unreachable
from beepwatch.store.outbox import Outbox

STORE_AGAIN_S = 1.0
TELL_ANYWAY_S = 10.0  # a database that is locked is free again by then
AT_ONCE_S = 1.0  # then the loop turns: a slow disk takes minutes for a thousand of them
KEPT = 1_000  # hours of beeps; the oldest go
WITHOUT_STORE = "told without the store, which cannot be written; it may come again"

_log = structlog.get_logger()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """That a channel has taken an alert."""

    reference: str | None
    at: datetime


class Waiting:
    """One alert, and what has become of it on each of its channels."""

    def __init__(self, alert: Alert, channels: Sequence[str], now_s: float) -> None:
        self.alert = alert
        self.channels = tuple(channels)
        self.told: dict[str, Told] = {}
        self.attempts = 0
        self.next_try_s = now_s + TELL_ANYWAY_S
        self.on_its_way = False

    @property
    def untold(self) -> list[str]:
        """The channels that have not taken it."""
        return [name for name in self.channels if name not in self.told]


class Unwritten:
    """Keeps alerts in order until they are written.

    `noted` is called with the key of one that was written or told everywhere, `written` when there
    is something new in the outbox.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Iterable[Channel],
        *,
        clock: Clock,
        room: str,
        zone: tzinfo | None,
        noted: Callable[[str], None],
        written: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._channels = {channel.name: channel for channel in channels}
        self._turns = {name: asyncio.Lock() for name in self._channels}
        self._clock = clock
        self._room = room
        self._zone = zone
        self._noted = noted
        self._written = written
        self._waiting: dict[str, Waiting] = {}  # by dedupe_key
        self._backoff = Backoff(Waits(first_s=STORE_AGAIN_S))
        self._trying: asyncio.Task[None] | None = None
        self._reason = ""  # why nothing could be written the last time

    def write(self, alert: Alert, channels: Sequence[str]) -> None:
        """Put it into the outbox, now or as soon as that is possible."""
        known = self._waiting.get(alert.dedupe_key)
        if known is None:
            waiting = Waiting(alert, channels, self._clock.mono_s())
            self._waiting[alert.dedupe_key] = waiting
        elif not known.untold:
            self._noted(alert.dedupe_key)
        while len(self._waiting) > KEPT:
            dropped = self._waiting.pop(next(iter(self._waiting)))
            _log.error("notice_dropped", text=dropped.alert.text, untold=dropped.untold)
        self.write_all()

    def write_all(self) -> bool:
        """Write what waits, in order, as far as a moment reaches; what was told already is marked
        so before it can be sent. Whether there is more that can be written.
        """
        # What is on its way to a channel just now would be sent there a second time.
        at_rest = [one for one in self._waiting.values() if not one.on_its_way]
        written = self._written_of(at_rest)
        for one in written:
            del self._waiting[one.alert.dedupe_key]
            if one.untold:
                self._noted(one.alert.dedupe_key)
        if written:
            self._written()
        if self._waiting and (self._trying is None or self._trying.done()):
            self._trying = asyncio.create_task(self._try())
        return not self._reason and len(written) < len(at_rest)

    def _written_of(self, at_rest: Sequence[Waiting]) -> list[Waiting]:
        """Those that could be written just now."""
        enough_s = self._clock.mono_s() + AT_ONCE_S
        put: list[Waiting] = []
        reason = ""
        try:
            for one in at_rest:
                self._put(one)
                put.append(one)
                if self._clock.mono_s() >= enough_s:
                    break
        except StoreError as error:
            reason = str(error)
        try:
            # Of a pulled disk SQLite may know enough to find it there, and no more.
            for name in {name for one in put for name in one.channels}:
                self._outbox.tellable(name, self._clock.utc(), KEPT)
        except StoreError as error:
            reason, put = str(error), []
        if reason and reason != self._reason:  # once, and not every second for days
            _log.warning("notice_not_written", error=reason)
        self._reason = reason
        return put

    def has_in_hand(self, key: str, channel: str) -> bool:
        """Whether the channel has taken this alert, or is being told it, without the outbox."""
        one = self._waiting.get(key)
        return one is not None and (one.on_its_way or channel in one.told)

    async def tell_all(self, within_s: float) -> None:
        """At the end: what cannot be written is told now, since there is no later for it."""
        give_up_s = self._clock.mono_s() + within_s
        while self.write_all() and self._clock.mono_s() < give_up_s:
            await asyncio.sleep(0)
        now = self._clock.utc()
        untold = [one for one in self._waiting.values() if one.untold and not one.on_its_way]
        telling = [
            asyncio.create_task(self._tell(one)) for one in untold if one.alert.due_at <= now
        ]
        if telling:
            await asyncio.wait(telling, timeout=max(0.0, give_up_s - self._clock.mono_s()))

    def _put(self, one: Waiting) -> None:
        written = self._outbox.write(alert=one.alert, channels=one.channels)
        if not one.told:
            return
        for delivery in self._outbox.untold(written.alert_id):
            if told := one.told.get(delivery.channel):
                self._outbox.sent(
                    delivery.id, reference=told.reference, revision=0, sent_at=told.at
                )

    async def _try(self) -> None:
        """Until all is written: again and again, and tell meanwhile what has waited for too long.

        A try that a slow server holds up holds up no other.
        """
        telling: set[asyncio.Task[None]] = set()
        try:
            while self._waiting:
                await asyncio.sleep(STORE_AGAIN_S)
                self.write_all()
                for one in self._overdue():
                    one.on_its_way = True
                    task = asyncio.create_task(self._tell(one))
                    telling.add(task)
                    task.add_done_callback(telling.discard)
        finally:
            for task in telling:
                task.cancel()

    def _overdue(self) -> list[Waiting]:
        if not self._reason:
            return []  # the store takes them, in their turn
        now_s, now = self._clock.mono_s(), self._clock.utc()
        return [
            one
            for one in self._waiting.values()
            if one.untold and not one.on_its_way
            if one.next_try_s <= now_s and one.alert.due_at <= now
        ]

    async def _tell(self, one: Waiting) -> None:
        """One try on each channel that has not taken it."""
        one.on_its_way = True
        alert = msgspec.structs.replace(one.alert, text=f"{one.alert.text} ({WITHOUT_STORE})")
        message = Outgoing(text=caption(alert, (), self._room, self._zone), alert=alert)
        sent = [self._send(one, self._channels[name], message) for name in one.untold]
        try:
            errors = [error for error in await asyncio.gather(*sent) if error is not None]
        finally:
            one.on_its_way = False
        one.attempts += 1
        if errors:
            waits_s = (self._backoff.after_s(one.attempts, error) for error in errors)
            one.next_try_s = self._clock.mono_s() + max(waits_s)
        else:
            self._noted(one.alert.dedupe_key)

    async def _send(self, one: Waiting, channel: Channel, message: Outgoing) -> NotSent | None:
        try:
            async with self._turns[channel.name]:  # so that none overtakes another
                reference = await channel.send(message)
        except NotSent as error:
            _log.warning("alert_not_sent", channel=channel.name, error=str(error))
            return error
        except Exception as error:  # noqa: BLE001 - a channel's bug: logged, tried again
            _log.error("channel_bug", channel=channel.name, error_type=type(error).__name__)
            return Unreachable(f"unexpected {type(error).__name__}")
        one.told[channel.name] = Told(reference=reference, at=self._clock.utc())
        _log.info("alert_sent_without_store", channel=channel.name)
        return None
