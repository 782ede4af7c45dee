"""What the messenger does beside telling; a bug in it is logged, and it is tried again later.

A bug in what tells ends the process, for the supervisor to start it anew. For one of these that
would hold up every alert, in each life again, for the sake of a clip that cannot be tidied away.
"""

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.link import SupervisorGone
from beepwatch.errors import StoreError
from beepwatch.notify.backoff import Backoff, Waits

AGAIN_FIRST_S = 60.0  # after an unexpected end, then twice as long each time …
AGAIN_LATEST_S = 3_600.0  # … up to this; for one that went well for longer, the first again

_log = structlog.get_logger()


class Chores:
    """Each has a name for the log, which says a bug once, until it is another or all went well."""

    def __init__(self, clock: Clock) -> None:
        self.bugs = 0
        self._clock = clock
        self._backoff = Backoff(Waits(first_s=AGAIN_FIRST_S, largest_s=AGAIN_LATEST_S))
        self._tasks: list[asyncio.Task[None]] = []
        self._logged: dict[str, str] = {}  # the last bug of each

    def begin(self, name: str, chore: Callable[[], Coroutine[None, None, None]]) -> None:
        """Keep one going that ends with `end`, or by itself if there is nothing to do."""
        self._tasks.append(asyncio.create_task(self._keep_going(name, chore)))

    def end(self) -> None:
        """All that were begun."""
        for task in self._tasks:
            task.cancel()

    async def do(self, name: str, chore: Callable[[], object]) -> bool:
        """Do it once, in a thread; False if the disk, or a bug, did not let it be done."""
        try:
            await asyncio.to_thread(chore)
        except (StoreError, OSError) as error:  # of a file that cannot even be looked at
            _log.warning("chore_not_done", chore=name, error=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - counted, logged; the others go on
            self._note_bug(name, error)
            return False
        self._logged.pop(name, None)
        return True

    async def _keep_going(
        self, name: str, chore: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        ends = 0
        while True:
            begun_s = self._clock.mono_s()
            try:
                await chore()
            except SupervisorGone:
                return  # the messenger sees it too, and ends
            except Exception as error:  # noqa: BLE001 - counted, logged, begun again
                if self._clock.mono_s() - begun_s > AGAIN_LATEST_S:
                    ends = 0
                    self._logged.pop(name, None)
                self._note_bug(name, error)
            else:
                return
            ends += 1
            await asyncio.sleep(self._backoff.after_s(ends, None))

    def _note_bug(self, name: str, error: Exception) -> None:
        self.bugs += 1
        reason = repr(error)
        if self._logged.get(name) != reason:
            self._logged[name] = reason
            _log.error("chore_bug", chore=name, exc_info=error)
