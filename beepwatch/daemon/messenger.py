"""The messenger process: the outbox in, messages out, on one event loop."""

import asyncio
import contextlib
import sys
from multiprocessing.connection import Connection
from typing import Any

import structlog

from beepwatch.clock import LocalZone, SystemClock
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.errors import StoreError
from beepwatch.logs import configure_logging
from beepwatch.messages import Alert, Finish, Finished, Heartbeat, Poke, Ready
from beepwatch.notify.channels import Channel, ConsoleChannel
from beepwatch.notify.clips import Encoder
from beepwatch.notify.dispatcher import Dispatcher
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox

TIDY_EVERY_S = 3_600.0
STORE_AGAIN_S = 1.0

_log = structlog.get_logger()


def main(connection: Connection, settings: MessengerSettings) -> None:
    """The process: until it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    try:
        asyncio.run(Messenger(Link(connection, SystemClock()), settings).run())
    except SupervisorGone:
        _log.warning("supervisor_gone", process="messenger")
    except StoreError as error:
        _log.error("store_unusable", process="messenger", error=str(error))
        sys.exit(error.exit_code)  # the supervisor tries again, less and less often


class Messenger:
    """One life of the messenger."""

    def __init__(self, link: Link, settings: MessengerSettings) -> None:
        database = Database(settings.store.path)
        self._link = link
        self._settings = settings
        self._clock = SystemClock()
        self._outbox = Outbox(database)
        self._library = Library(database)
        self._channels = settings.channels
        self._dispatcher = Dispatcher(
            self._outbox,
            self._library,
            _open_channels(settings),
            clock=self._clock,
            encode=Encoder().encode,
            room=settings.notify.room,
            zone=LocalZone(),
            report=link.send,
            beat=lambda: link.beat(self._dispatcher.counts),
        )
        self._finish: asyncio.Future[Finish] | None = None
        self._unwritten: list[Alert] = []
        self._write_again: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Deliver until told to finish, then for as long as was allowed."""
        loop = asyncio.get_running_loop()
        self._finish = loop.create_future()
        loop.add_reader(self._link.fileno(), self._on_message)
        stop = asyncio.Event()
        delivering = asyncio.create_task(self._dispatcher.run(stop))
        tidying = asyncio.create_task(self._tidy())
        self._link.send(Ready())
        try:
            ends: set[asyncio.Future[Any]] = {delivering, self._finish}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._finish.done():
                await self._dispatcher.drain(self._finish.result().within_s)
        finally:
            loop.remove_reader(self._link.fileno())
            tidying.cancel()
            stop.set()
            await delivering
        self._link.send(Heartbeat(counts=self._dispatcher.counts))
        self._link.send(Finished())

    def _on_message(self) -> None:
        try:
            message = self._link.receive(0.0)
        except SupervisorGone as gone:
            self._end(gone)
            return
        match message:
            case Alert():
                self._unwritten.append(message)
                self._write()
            case Finish():
                self._end(message)
            case Poke():
                self._dispatcher.poke()

    def _end(self, reason: Finish | SupervisorGone) -> None:
        if self._finish is None or self._finish.done():
            return
        if isinstance(reason, Finish):
            self._finish.set_result(reason)
        else:
            self._finish.set_exception(reason)

    def _write(self) -> None:
        """Put the supervisor's notices and faults into the outbox, in order."""
        if self._write_again is not None:
            self._write_again.cancel()
        try:
            while self._unwritten:
                self._outbox.write(alert=self._unwritten[0], channels=self._channels)
                self._unwritten.pop(0)
        except StoreError as error:
            _log.warning("notice_not_written", error=str(error))
            loop = asyncio.get_running_loop()
            self._write_again = loop.call_later(STORE_AGAIN_S, self._write)
            return
        self._dispatcher.poke()

    async def _tidy(self) -> None:
        """Keep the clips within their limits."""
        store = self._settings.store
        while True:
            with contextlib.suppress(StoreError):  # said by whoever writes; tried again in an hour
                await asyncio.to_thread(
                    self._library.tidy,
                    self._clock.utc(),
                    keep_days=store.keep_days,
                    max_mb=store.max_mb,
                    min_free_mb=store.min_free_mb,
                )
            await asyncio.sleep(TIDY_EVERY_S)


def _open_channels(settings: MessengerSettings) -> list[Channel]:
    notify = settings.notify
    channels: list[Channel] = []
    if notify.console.enabled:
        channels.append(ConsoleChannel(sys.stdout, LocalZone()))
    if notify.telegram.chat_ids and settings.token is not None:
        # python-telegram-bot costs 20 MB: loaded only where a chat is configured.
        from beepwatch.notify.telegram import TelegramChannel

        channels += [
            TelegramChannel(settings.token, chat_id, notify.telegram.base_url)
            for chat_id in notify.telegram.chat_ids
        ]
    return channels
