"""What a life of the classifier stands on: the store and what that remembers, or nothing.

A child that dies while the disk is gone would otherwise never live again, and nothing be heard.
Without a store it hears as ever and hands its alerts to the messenger, until the store can be
opened; then it ends for a life that remembers.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.remembering import Remembered, remember
from beepwatch.daemon.resuming import Earlier
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.daemon.timekeeping import Timekeeper
from beepwatch.errors import StoreDamaged, StoreError
from beepwatch.store.absent import AbsentOutbox
from beepwatch.store.database import Database
from beepwatch.store.disk import check_answers, wait_for_answer
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox
from beepwatch.store.timeline import Timeline
from beepwatch.store.wishes import Wishes

TRY_AGAIN_S = 15.0  # to open a store that could not be opened

_log = structlog.get_logger()


class Footing(msgspec.Struct, frozen=True, kw_only=True):
    """Without a store there is nothing whose times could be kept, and a reason."""

    outbox: Outbox
    remembered: Remembered
    last_alerts: Mapping[str, int] = MappingProxyType({})  # by label
    time: Timekeeper | None = None
    missing: StoreError | None = None


def footing(settings: ClassifierSettings, clock: Clock) -> Footing:
    """The store's, if it can be used. Raises StoreDamaged, which the daemon's next start mends."""
    try:
        check_answers(settings.directory)
        database = Database(settings.directory)
        # Before anything is remembered: the clock may have been set since the last life.
        time = Timekeeper(Timeline(database, clock.boot_id()), clock)
        memory = Memory(database)
        return Footing(
            outbox=Outbox(database),
            remembered=remember(memory, Wishes(database), settings, clock),
            last_alerts=memory.last_alerts(),
            time=time,
        )
    except StoreDamaged:
        raise
    except StoreError as error:
        _log.error("without_store", process="classifier", error=str(error))
        nothing = Remembered(
            since_s=settings.since_s, missed=False, last_told_s={}, earlier=Earlier(), watch=None
        )
        return Footing(outbox=AbsentOutbox(error), remembered=nothing, missing=error)


class StoreWatch:
    """Whether the store can be opened by now.

    It is tried in a thread, since a dying disk may keep whoever asks waiting for ever.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._there = threading.Event()
        threading.Thread(target=self._look, name="store", daemon=True).start()

    @property
    def there(self) -> bool:
        """Whether it can."""
        return self._there.is_set()

    def _look(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(TRY_AGAIN_S):
            wait_for_answer(self._directory)  # what can be opened may still hang when it is written
            try:
                Database(self._directory).close()
            except StoreError:
                continue
            self._there.set()
            return
