"""The messenger without a store: what comes is told from memory until the store can be opened.

For a disk that is gone, or not ours any more, when the messenger has to be started: a death and a
lost disk together would otherwise leave nobody who tells of either. What the life before knew to be
still to be told is told too.
"""

import asyncio
from collections.abc import Sequence
from datetime import tzinfo

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.chores import Chores
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.memo import Memo
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.daemon.unwritten import Unwritten
from beepwatch.errors import StoreError
from beepwatch.messages import (
    Alert,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Heartbeat,
    Noted,
    Ready,
)
from beepwatch.notify.channels import Channel
from beepwatch.store.absent import AbsentOutbox
from beepwatch.store.database import Database
from beepwatch.store.disk import ANSWERS_WITHIN_S, wait_for_answer

TRY_FIRST_S = 1.0  # to open the store again: it may only have been locked
TRY_AGAIN_S = 15.0
_BEAT_S = 1.0

_log = structlog.get_logger()


class Storeless:
    """A life of the messenger that ends when the next one can have its store."""

    def __init__(
        self,
        link: Link,
        settings: MessengerSettings,
        channels: Sequence[Channel],
        error: StoreError,
        *,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._link = link
        self._settings = settings
        self._channels = channels
        self._clock = clock
        self._fault = Fault(kind=FaultKind.DISK_FULL, text=str(error), since=clock.utc())
        self._told = 0
        self._chores = Chores(clock)
        self._memo = Memo(settings.memo)
        self._unwritten = Unwritten(
            AbsentOutbox(error),
            channels,
            clock=clock,
            room=settings.notify.room,
            zone=zone,
            noted=self._note,
            written=lambda: None,
        )
        self._opening: asyncio.Task[bool] | None = None
        self._over: asyncio.Future[Finish | None] | None = None

    async def run(self) -> None:
        """Until the store can be opened, or the supervisor wants an end or is gone."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        loop.add_reader(self._link.fileno(), self._on_message)
        self._chores.begin("opening the store", self._try_again)
        _log.error("without_store", error=self._fault.text)
        for one in self._memo.untold:
            if waiting := [name for name in one.channels if name in self._settings.channels]:
                self._unwritten.write(one.alert, waiting)
        try:
            for channel in self._channels:
                await channel.open()
            self._link.send(Ready())
            while not self._over.done():
                self._link.beat(self._counts)
                await asyncio.wait({self._over}, timeout=_BEAT_S)
            finish = self._over.result()
            if finish is not None and finish.for_good:
                await self._unwritten.tell_all(finish.within_s)
        finally:
            loop.remove_reader(self._link.fileno())
            self._chores.end()
            for channel in self._channels:
                await channel.close()
        self._link.send(Heartbeat(counts=self._counts))
        self._link.send(Finished())

    @property
    def _counts(self) -> dict[str, int]:
        return {"told_without_store": self._told, "chore_bugs": self._chores.bugs}

    def _note(self, key: str) -> None:
        self._told += 1
        self._link.send(Noted(dedupe_key=key))
        self._memo.write([one for one in self._memo.untold if one.alert.dedupe_key != key])

    def _on_message(self) -> None:
        try:
            message = self._link.receive(0.0)
        except SupervisorGone as gone:
            if self._over is not None and not self._over.done():
                self._over.set_exception(gone)
            return
        if isinstance(message, Alert):
            self._unwritten.write(message, self._settings.channels)
        elif isinstance(message, Finish):
            self._end(message)

    async def _try_again(self) -> None:
        """What is not told by then the supervisor gives to the next life."""
        wait_s = TRY_FIRST_S
        while not await self._can_be_opened(wait_s):
            if wait_s == TRY_FIRST_S:
                self._link.send(self._fault)
            wait_s = TRY_AGAIN_S
        if wait_s == TRY_AGAIN_S:
            text = "the store can be opened again"
            self._link.send(msgspec.structs.replace(self._fault, text=text, cleared=True))
        self._end(None)

    async def _can_be_opened(self, after_s: float) -> bool:
        await asyncio.sleep(after_s)
        self._opening = self._opening or asyncio.create_task(asyncio.to_thread(self._open))
        await asyncio.wait({self._opening}, timeout=ANSWERS_WITHIN_S)
        if not self._opening.done():
            return False  # the disk hangs, and so does the thread
        opening, self._opening = self._opening, None
        return opening.result()

    def _open(self) -> bool:
        directory = self._settings.store.path
        wait_for_answer(directory)
        try:
            Database(directory).close()
        except StoreError:
            return False
        return True

    def _end(self, reason: Finish | None) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(reason)
