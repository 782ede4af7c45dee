"""The outbox as a lane sees it: asked until it answers, and written later when it takes nothing."""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

import structlog

from beepwatch.errors import StoreError
from beepwatch.notify.backoff import Waits
from beepwatch.notify.pause import Pause

_Result = TypeVar("_Result")
_log = structlog.get_logger()


class ErrorCount(Protocol):
    """Where errors of the store are counted."""

    store_errors: int


class Marks:
    """What became of deliveries, on its way into the outbox.

    A database that is locked is waited for: a crash before the mark tells twice. On a disk that
    takes nothing any more (`mark_within_s`) the marks wait here, in order, and the lane goes on:
    what is in the outbox can still be read there, and told.
    """

    def __init__(self, waits: Waits, counts: ErrorCount, pause: Pause) -> None:
        self._waits = waits
        self._counts = counts
        self._pause = pause
        self._waiting: list[tuple[Callable[[], None], Collection[int]]] = []
        self._reason = ""  # why the outbox did not answer the last time

    @property
    def settled(self) -> set[int]:
        """Deliveries that are over although the outbox does not know it yet."""
        return {one for _, deliveries in self._waiting for one in deliveries}

    async def ask(self, question: Callable[[], _Result]) -> _Result:
        """Ask the outbox until it answers."""
        while True:
            try:
                answer = question()
            except StoreError as error:
                self._count(error)
                await self._pause.wait(self._waits.locked_s, cut_short=False)
            else:
                self._reason = ""
                return answer

    async def write(self, mark: Callable[[], None], deliveries: Collection[int]) -> None:
        """Write that these deliveries are over; what a stop leaves undone `catch_up` knows of."""
        self._waiting.append((mark, deliveries))
        if len(self._waiting) > 1:
            return
        if await self._written(mark):
            del self._waiting[0]
        else:
            _log.error("store_not_written", goes_on_after_s=self._waits.mark_within_s)

    async def note(self, mark: Callable[[], None]) -> None:
        """Write what only another life would miss: dropped when it cannot be written."""
        if not self._waiting:
            await self._written(mark)

    def catch_up(self) -> bool:
        """Whether the outbox knows everything by now."""
        try:
            while self._waiting:
                self._waiting[0][0]()
                del self._waiting[0]
        except StoreError:
            self._counts.store_errors += 1
            return False
        return True

    async def _written(self, mark: Callable[[], None]) -> bool:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._waits.mark_within_s
        while loop.time() < give_up_s:
            try:
                mark()
            except StoreError as error:
                self._count(error)
                await self._pause.wait(self._waits.locked_s, cut_short=False)
            else:
                return True
        return False

    def _count(self, error: StoreError) -> None:
        self._counts.store_errors += 1
        if str(error) != self._reason:  # once, and not twice a second for days
            _log.warning("store_not_answering", error=str(error))
        self._reason = str(error)
