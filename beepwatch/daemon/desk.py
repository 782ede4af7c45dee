"""The bot's desk: what is done and said when a configured chat writes, or taps a button."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.inquiries import Inquiries
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, Clip, Verdict, Watch
from beepwatch.notify.buttons import QUIET_S, Choice, read
from beepwatch.notify.captions import heard
from beepwatch.notify.channels import Sound
from beepwatch.notify.commands import Asked, Command, help_text, understood
from beepwatch.notify.door import Answer, Question
from beepwatch.notify.replies import Facts, duration, moment, status
from beepwatch.store.corrections import Corrections
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from beepwatch.store.standing import standing
from beepwatch.store.wishes import Watching, Wishes

#: The server keeps what was written to a box that is off for so long.
_SERVER_KEEPS = timedelta(days=1)
_ANOTHER_DATABASE = "I do not know this message any more: the database is a new one"

_log = structlog.get_logger()


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk reads and writes."""

    database: Database
    outbox: Outbox
    library: Library
    corrections: Corrections
    wishes: Wishes


class BotDesk:
    """Answers questions and takes taps, as `notify.door.Desk`.

    `sound` fetches an event's clip, `encode` makes one fit for a phone (in a thread), `watch` tells
    the classifier, `changed` tells the lanes that messages have something new to show.
    """

    def __init__(
        self,
        stores: Stores,
        inquiries: Inquiries,
        *,
        clock: Clock,
        zone: tzinfo,
        room: str,
        sound: Callable[[int], Awaitable[Sound | None]],
        encode: Callable[[Clip], Sound],
        watch: Callable[[Watch], None],
        changed: Callable[[], None],
    ) -> None:
        self._stores = stores
        self._inquiries = inquiries
        self._clock = clock
        self._zone = zone
        self._room = room
        self._sound = sound
        self._encode = encode
        self._watch = watch
        self._changed = changed

    # Questions

    async def answer(self, question: Question) -> Answer:
        """The answer to what was written."""
        asked = understood(question.text)
        if isinstance(asked, str):
            return Answer(text=asked)
        try:
            return await self._does(asked, question)
        except StoreError as error:
            return Answer(text=f"not now: {error}")

    async def _does(self, asked: Asked, question: Question) -> Answer:
        match asked.command:
            case Command.MUTE | Command.UNMUTE | Command.WATCH:
                return Answer(text=self._wish(asked, question))
            case Command.STATUS:
                return Answer(text=await self._status(_channel(question.chat_id)))
            case Command.LAST:
                return await self._last()
            case Command.LISTEN:
                return await self._listen(asked.length_s)
            case _:
                return Answer(text=help_text())

    def _wish(self, asked: Asked, question: Question) -> str:
        since = self._asked_at(question)
        match asked.command:
            case Command.MUTE:
                return self._mute(_channel(question.chat_id), since, asked.length_s)
            case Command.WATCH:
                return self._watch_from(since, asked.length_s)
            case _:
                return self._unmute(_channel(question.chat_id))

    async def _status(self, channel: str) -> str:
        condition = await self._inquiries.condition()
        now = self._clock.utc()
        stores = self._stores
        watching = self._watching()
        facts = Facts(
            now=now,
            condition=condition,
            up_since=now - timedelta(seconds=condition.up_s) if condition else None,
            last_heard=stores.outbox.last_heard(),
            untold=standing(stores.database).waiting,
            free_bytes=stores.library.free_bytes(),
            muted_until=stores.wishes.muted_until(channel, now),
            watched_until=watching.until if watching else None,
        )
        return status(facts, self._room, self._zone)

    async def _last(self) -> Answer:
        event = self._stores.outbox.last_event()
        if event is None or event.id is None:
            return Answer(text="nothing heard yet")
        text = heard(event.label, [event], self._room, self._zone)
        return Answer(text=text, sound=await self._sound(event.id))

    async def _listen(self, length_s: float) -> Answer:
        if self._inquiries.is_listening:
            return Answer(text="I am listening already; a moment")
        clip = await self._inquiries.sound(length_s)
        if clip is None:
            return Answer(text="no sound comes. /status says more")
        sound = await asyncio.to_thread(self._encode, clip)
        began = f"{clip.started_at.astimezone(self._zone):%H:%M:%S}"
        return Answer(text=f"{clip.duration_s:.0f} s from {began}", sound=sound)

    # Wishes

    def _asked_at(self, question: Question) -> datetime:
        """When it was wished, which may be hours ago; now, if one of the clocks is wrong."""
        now = self._clock.utc()
        return question.asked_at if now - _SERVER_KEEPS < question.asked_at < now else now

    def _mute(self, channel: str, since: datetime, length_s: float) -> str:
        now = self._clock.utc()
        until = since + timedelta(seconds=length_s)
        if until <= now:
            return f"you asked {duration((now - since).total_seconds())} ago: that time is over"
        self._stores.wishes.mute(channel, since, until, boot_id=self._clock.boot_id())
        self._changed()
        return (
            f"quiet here until {moment(until, now, self._zone)}. What is heard is recorded, "
            "and not told later; of a machine that sounds unusual I tell you then, if it still "
            "does; faults are told. /unmute ends it"
        )

    def _unmute(self, channel: str) -> str:
        self._stores.wishes.unmute(channel)
        self._changed()
        return "what is heard is told again"

    def _watch_from(self, since: datetime, for_s: float) -> str:
        number = self._stores.wishes.watch(since, for_s, boot_id=self._clock.boot_id())
        now = self._clock.utc()
        since_s = self._clock.mono_s() - (now - since).total_seconds()
        self._watch(Watch(number=number, since_mono_s=since_s, for_s=for_s))
        if not for_s:
            return "I do not wait for a sound any more"
        until = moment(since + timedelta(seconds=for_s), now, self._zone)
        return f"if nothing is heard until {until}, I tell you. /watch off ends it"

    def _watching(self) -> Watching | None:
        watching = self._stores.wishes.watching()
        if watching is None or self._stores.wishes.heard_since(watching.since):
            return None
        return watching

    # Taps

    def tapped(self, chat_id: int, data: str) -> str:
        """Do what a button says; the same tap once more changes nothing."""
        tap = read(data)
        if tap is None:
            return "I do not know this button"
        try:
            alert = self._stores.outbox.alert(tap.alert_id)
            if alert is None or alert.event_id is None or not tap.is_of(alert):
                return _ANOTHER_DATABASE
            text = self._choose(tap.choice, alert, alert.event_id, chat_id)
        except StoreError as error:
            return f"not now: {error}"
        self._changed()
        return text

    def _choose(self, choice: Choice, alert: Alert, event_id: int, chat_id: int) -> str:
        match choice:
            case Choice.RIGHT | Choice.WRONG:
                verdict = Verdict(choice.value)
                now = self._clock.utc()
                if self._stores.corrections.judge(event_id, verdict, chat_id, now):
                    _log.info("event_judged", event_id=event_id, verdict=verdict.value)
                return f"{verdict.value}: kept with its sound"
            case Choice.QUIET:
                return self._quiet(_channel(chat_id), alert.id)
            case _:
                return self._unmute(_channel(chat_id))

    def _quiet(self, channel: str, alert_id: int | None) -> str:
        """A longer quiet that somebody has asked for stays."""
        now = self._clock.utc()
        until = now + timedelta(seconds=QUIET_S)
        muted_until = self._stores.wishes.muted_until(channel, now)
        # A second tap a moment later is the same wish.
        if muted_until is None or until - muted_until > timedelta(minutes=1):
            muted_until = until
            boot_id = self._clock.boot_id()
            self._stores.wishes.mute(channel, now, until, alert_id=alert_id, boot_id=boot_id)
        return f"quiet until {moment(muted_until, now, self._zone)}"


def _channel(chat_id: int) -> str:
    """As deliveries name it."""
    return f"telegram:{chat_id}"
