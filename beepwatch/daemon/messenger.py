"""The messenger process: the outbox in, messages out, on one event loop."""

import asyncio
import sys
from collections.abc import Awaitable
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from beepwatch.clock import LocalZone, SystemClock
from beepwatch.daemon.chores import Chores
from beepwatch.daemon.heap import BUFFERS_BYTES, keep_apart, settle
from beepwatch.daemon.inquiries import Inquiries
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.memo import Memo
from beepwatch.daemon.nightly import Nightly
from beepwatch.daemon.recollection import LanesOutbox, Recollection
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.daemon.storeless import Storeless
from beepwatch.daemon.threads import SteadyThreads
from beepwatch.daemon.unwritten import Unwritten
from beepwatch.errors import DiskFull, StoreDamaged, StoreError
from beepwatch.logs import configure_logging
from beepwatch.messages import (
    Alert,
    AlertKind,
    Condition,
    Fault,
    Finish,
    Finished,
    Heartbeat,
    Noted,
    Piece,
    Poke,
    Ready,
)
from beepwatch.notify.backoff import Waits
from beepwatch.notify.channels import Channel, ConsoleChannel
from beepwatch.notify.clips import Encoder
from beepwatch.notify.dispatcher import Dispatcher
from beepwatch.store.corrections import Corrections
from beepwatch.store.database import Database
from beepwatch.store.disk import check_answers
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from beepwatch.store.wishes import Wishes

if TYPE_CHECKING:
    from beepwatch.notify.door import Door

TIDY_EVERY_S = 3_600.0
LOOK_FOR_ROOM_S = 30.0
_THREADS = 32
_THREADS_BESIDES = 4  # the channels': tidying, filing, encoding, and a name to be resolved

_log = structlog.get_logger()


def main(connection: Connection, settings: MessengerSettings) -> None:
    """The process: until it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    if settings.alone:
        keep_apart(BUFFERS_BYTES)
    link = Link(connection, SystemClock())
    try:
        asyncio.run(_life(link, settings).run())
    except SupervisorGone:
        _log.warning("supervisor_gone", process="messenger")
    except StoreError as error:
        _log.error("store_unusable", process="messenger", error=str(error))
        sys.exit(error.exit_code)  # the supervisor tries again, less and less often


def _life(link: Link, settings: MessengerSettings) -> "Messenger | Storeless":
    """With the store, or, if it cannot be opened, without it until it can be."""
    try:
        check_answers(settings.store.path)
        try:
            return Messenger(link, settings)
        except DiskFull:
            return Messenger(link, settings)  # the first try has made it give up its reserve
    except StoreDamaged:
        raise  # the next start of the daemon puts it aside
    except StoreError as error:
        channels = _open_channels(settings)
        return Storeless(link, settings, channels, error, clock=SystemClock(), zone=LocalZone())


class Messenger:
    """One life of the messenger."""

    def __init__(self, link: Link, settings: MessengerSettings) -> None:
        database = Database(settings.store.path)
        self._database = database
        self._link = link
        self._settings = settings
        self._clock = SystemClock()
        self._outbox = Outbox(database)
        self._library = Library(database)
        self._corrections = Corrections(database)
        self._wishes = Wishes(database)
        self._inquiries = Inquiries(link.send)
        self._channels = settings.channels
        channels = _open_channels(settings)
        self._unwritten = Unwritten(
            self._outbox,
            channels,
            clock=self._clock,
            room=settings.notify.room,
            zone=LocalZone(),
            noted=self._note,
            written=self._poke,
        )
        lanes = LanesOutbox(database, self._unwritten.has_in_hand, self._unwritten.write_all)
        self._recollection = Recollection(
            lanes, self._channels, self._unwritten.write, Memo(settings.memo)
        )
        self._dispatcher = Dispatcher(
            lanes,
            self._library,
            channels,
            clock=self._clock,
            encode=Encoder().encode,
            room=settings.notify.room,
            zone=LocalZone(),
            report=self._report,
            beat=self._beat,
        )
        self._door = self._open_door()
        self._chores = Chores(self._clock)
        self._chosen = asyncio.Event()
        self._finish: asyncio.Future[Finish] | None = None

    async def run(self) -> None:
        """Deliver until told to finish, then for as long as was allowed."""
        loop = asyncio.get_running_loop()
        # More than Python gives a small machine: what hangs in one (a resolver, a stopped terminal)
        # must not keep the next channel's clip waiting.
        ready = len(self._channels) + _THREADS_BESIDES
        loop.set_default_executor(SteadyThreads(max_workers=_THREADS, ready=ready))
        self._finish = loop.create_future()
        loop.add_reader(self._link.fileno(), self._on_message)
        stop = asyncio.Event()
        delivering = asyncio.create_task(self._dispatcher.run(stop))
        self._chores.begin("housekeeping", self._tidy)
        self._chores.begin("learning", self._learn)
        if self._door is not None:
            self._chores.begin("answering", self._door.run)
        if self._settings.alone:
            settle()
        self._link.send(Ready())
        for fault in self._settings.faults:  # told by a life that had no store
            text = "the store can be opened again"
            self._link.send(msgspec.structs.replace(fault, text=text, cleared=True))
        try:
            ends: set[asyncio.Future[Any]] = {delivering, self._finish}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._finish.done():
                await self._drain(self._finish.result())
        finally:
            loop.remove_reader(self._link.fileno())
            self._chores.end()
            stop.set()
            await delivering
        self._link.send(Heartbeat(counts=self._counts))
        self._link.send(Finished())

    async def _drain(self, finish: Finish) -> None:
        jobs: list[Awaitable[object]] = [self._dispatcher.drain(finish.within_s)]
        if finish.for_good:
            jobs.append(self._unwritten.tell_all(finish.within_s))
        await asyncio.gather(*jobs)

    def _note(self, key: str) -> None:
        self._link.send(Noted(dedupe_key=key))
        self._recollection.told(key)

    def _beat(self) -> None:
        self._link.beat(self._counts)
        self._recollection.look(self._counts)

    @property
    def _counts(self) -> dict[str, int]:
        counts = self._dispatcher.counts | {"chore_bugs": self._chores.bugs}
        return counts | (self._door.counts if self._door else {})

    def _on_message(self) -> None:
        try:
            message = self._link.receive(0.0)
            self._link.beat(self._counts)  # a locked database takes seconds for each message
        except SupervisorGone as gone:
            self._end(gone)
            return
        match message:
            case Alert():
                self._unwritten.write(message, self._channels)
            case Finish():
                self._end(message)
            case Poke():
                self._unwritten.write_all()  # first: of what was told, nothing is sent again
                self._poke()
                self._recollection.look(self._counts)  # before the disk may be pulled
            case Condition() | Piece():
                self._inquiries.hears(message)

    def _end(self, reason: Finish | SupervisorGone) -> None:
        if self._finish is None or self._finish.done():
            return
        if isinstance(reason, Finish):
            self._finish.set_result(reason)
        else:
            self._finish.set_exception(reason)

    def _report(self, channel: str, fault: Fault) -> None:
        """A channel that is shut is news for the other channels, and so is its recovery."""
        self._link.send(fault)
        now = self._clock.utc()
        kind = AlertKind.RECOVERED if fault.cleared else AlertKind.FAULT
        key = f"{kind}:{now.isoformat()}:{fault.text}"
        alert = Alert(kind=kind, text=fault.text, created_at=now, due_at=now, dedupe_key=key)
        if others := [name for name in self._channels if name != channel]:
            self._unwritten.write(alert, others)

    async def _learn(self) -> None:
        """Every night, if it is configured, from what the chats have tapped."""
        at, bundle = self._settings.teaching.nightly_at(), self._settings.bundle
        if at is None or bundle is None:
            return
        nightly = Nightly(at, LocalZone(), self._clock, self._database, bundle)
        async for text in nightly.lines():
            now = self._clock.utc()
            key = f"{AlertKind.LEARNT}:{now.isoformat()}"
            alert = Alert(
                kind=AlertKind.LEARNT, text=text, created_at=now, due_at=now, dedupe_key=key
            )
            self._unwritten.write(alert, self._channels)

    def _open_door(self) -> "Door | None":
        """Where the configured chats can ask; None without any, or where nobody is to answer."""
        settings, telegram = self._settings, self._settings.notify.telegram
        if not telegram.chat_ids or not telegram.commands or settings.token is None:
            return None
        # As expensive as the channel below.
        from beepwatch.daemon.desk import BotDesk, Stores
        from beepwatch.notify.door import Door

        desk = BotDesk(
            Stores(
                database=self._database,
                outbox=self._outbox,
                library=self._library,
                corrections=self._corrections,
                wishes=self._wishes,
            ),
            self._inquiries,
            clock=self._clock,
            zone=LocalZone(),
            room=settings.notify.room,
            sound=self._dispatcher.sound,
            encode=Encoder().encode,
            watch=self._link.send,
            changed=self._on_choice,
        )
        return Door(
            settings.token, telegram.base_url, telegram.chat_ids, clock=self._clock, desk=desk
        )

    def _on_choice(self) -> None:
        """Messages have something new to show, and there may be a clip to keep."""
        self._dispatcher.poke()
        self._chosen.set()

    def _poke(self) -> None:
        self._recollection.poke()
        self._dispatcher.poke()

    async def _tidy(self) -> None:
        """Keep the clips within their limits: every hour, and whenever the disk gets full. Before
        that, and after a correction, those of corrected events are kept apart. What waits for a
        channel that is gone ends here. Whichever of these fails holds up none of the others.
        """
        hour_begun_s = float("-inf")
        do = self._chores.do
        while True:
            now_s = self._clock.mono_s()
            overdue = now_s - hour_begun_s >= TIDY_EVERY_S
            if overdue or self._chosen.is_set():
                self._chosen.clear()
                await do("keeping judged clips", self._corrections.keep_clips)
            tidied = await do("tidying", partial(self._keep_limits, even_with_room=overdue))
            if overdue:
                await do("giving up elsewhere", self._give_up_elsewhere)
                if tidied:
                    hour_begun_s = now_s
            await asyncio.sleep(LOOK_FOR_ROOM_S)

    def _keep_limits(self, *, even_with_room: bool) -> None:
        store = self._settings.store
        if even_with_room or self._library.is_short_of_room(store.min_free_mb):
            self._library.tidy(
                self._clock.utc(),
                keep_days=store.keep_days,
                max_mb=store.max_mb,
                min_free_mb=store.min_free_mb,
            )

    def _give_up_elsewhere(self) -> None:
        """A chat may come back into the configuration, but not after so long."""
        before = self._clock.utc() - timedelta(seconds=Waits().keep_trying_s)
        if given_up := self._outbox.expire_elsewhere(self._channels, before):
            _log.warning("alerts_of_no_channel_expired", deliveries=given_up)


def _open_channels(settings: MessengerSettings) -> list[Channel]:
    notify = settings.notify
    channels: list[Channel] = []
    if notify.console.enabled:
        channels.append(ConsoleChannel(sys.stdout, LocalZone()))
    if notify.telegram.chat_ids and settings.token is not None:
        # python-telegram-bot costs 20 MB: loaded only where a chat is configured.
        from beepwatch.notify.telegram import TelegramChannel

        channels += [
            TelegramChannel(
                settings.token,
                chat_id,
                notify.telegram.base_url,
                buttons=notify.telegram.commands,
                collects=settings.alone,
            )
            for chat_id in notify.telegram.chat_ids
        ]
    return channels
