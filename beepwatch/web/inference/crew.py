"""Workers: which of them is free, who waits for one, what happens when one dies.

What a worker hears when it dies is given to another once, for it may have been killed for a reason
of its own. Who kills two is refused. Nobody waits in a line that is too long, nor too long in it.
"""

import asyncio
import contextlib
import math
from collections import deque
from functools import partial
from typing import Literal

import msgspec
import structlog

from beepwatch.web.inference.answers import ModelShown, Ready, Refused
from beepwatch.web.inference.process import Life, Told, WorkerLost, begin
from beepwatch.web.inference.settings import Settings
from beepwatch.wording import counted

WAITS_S = 30.0  # for a free worker
LONGEST_RETRY_S = 30
_WITHOUT_WORKERS_S = 10.0  # then it is no longer a restart, and the server unwell
_BACKOFF_S = (0.0, 0.5, 2.0, 5.0)  # before a life, by how many in a row never got ready
_LIVES = 2  # that one upload may cost
_SLOWNESS_WEIGHT = 0.1  # of the newest upload, in how long they take

_log = structlog.get_logger()


class Overloaded(Exception):
    """No worker will be free soon enough."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class WorkerShown(msgspec.Struct, kw_only=True):
    """A worker's place, over all its lives."""

    state: Literal["starting", "idle", "busy"] = "starting"
    pid: int | None = None
    heard: int = 0
    deaths: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells, and the model that it hears with: another may know other sounds."""

    told: Told
    model: ModelShown


class Place:
    """Where one worker after another lives."""

    def __init__(self) -> None:
        self.shown = WorkerShown()
        self.life: Life | None = None
        self.model: ModelShown | None = None  # of that life


class _Turn:
    """An upload, in the line or with a worker; its descriptor is open until there is a result."""

    def __init__(self, descriptor: int, in_full: bool) -> None:
        self.descriptor = descriptor
        self.in_full = in_full
        self.lives = 0  # that were begun with it
        self.patience: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Answered | Refused] = loop.create_future()

    def tell(self, answer: Answered | Refused) -> None:
        """Who asked may have gone."""
        if not self.result.done():
            self.result.set_result(answer)

    def fail(self, error: Overloaded) -> None:
        """As `tell`."""
        if not self.result.done():
            self.result.set_exception(error)


class Crew:
    """So many workers and a line of bounded length before them."""

    def __init__(self, settings: Settings, *, workers: int, most_waiting: int) -> None:
        self.settings = settings
        self._places = [Place() for _ in range(workers)]
        self._most_waiting = most_waiting
        self._idle: list[Place] = []
        self._waiting: deque[_Turn] = deque()
        self._keepers: list[asyncio.Task[None]] = []
        self._ready = asyncio.Event()
        self._changed_s = 0.0  # when there last was a living worker
        self._slowness_s = 0.1  # that an upload takes, on average
        self.unable: str | None = None  # why the first worker could not begin
        self.model: ModelShown | None = None  # of the worker that began last

    @property
    def shown(self) -> list[WorkerShown]:
        """Every place."""
        return [place.shown for place in self._places]

    @property
    def waiting(self) -> int:
        """Uploads that no worker has yet."""
        return sum(not one.result.done() for one in self._waiting)

    @property
    def well(self) -> bool:
        """Whether there are workers, or were a moment ago."""
        alive = any(place.life is not None for place in self._places)
        return alive or asyncio.get_running_loop().time() - self._changed_s < _WITHOUT_WORKERS_S

    def retry_after_s(self) -> int:
        """When there will be room, as far as that can be known."""
        line_s = (self.waiting + 1) * self._slowness_s / len(self._places)
        return max(1, min(LONGEST_RETRY_S, math.ceil(line_s)))

    async def start(self) -> None:
        """Returns once a worker is ready, or the first has said why it cannot be: `unable`."""
        self._changed_s = asyncio.get_running_loop().time()
        self._keepers = [asyncio.create_task(self._keep(place)) for place in self._places]
        await self._ready.wait()

    async def stop(self) -> None:
        """End all workers."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def admit(self) -> None:
        """Raises Overloaded where an upload would not be heard once it has come."""
        if not self._idle and self.waiting >= self._most_waiting:
            raise Overloaded(
                f"{counted(self.waiting, 'upload')} waiting already. Try again later.",
                self.retry_after_s(),
            )

    async def hear(self, descriptor: int, *, in_full: bool) -> Answered | Refused:
        """What a worker answers. Raises Overloaded. Given up, it leaves the line.

        What is not in full is enough for a verdict: no windows, and pulses are not counted.
        """
        turn = _Turn(descriptor, in_full)
        self._line_up(turn)
        try:
            return await turn.result
        finally:
            self._leave_line(turn)

    def _line_up(self, turn: _Turn) -> None:
        """Raises Overloaded."""
        if self._idle:
            self._begin(self._idle.pop(), turn)
            return
        self.admit()
        self._waiting.append(turn)
        loop = asyncio.get_running_loop()
        turn.patience = loop.call_later(WAITS_S, self._has_waited, turn)

    def _leave_line(self, turn: _Turn) -> None:
        if turn.patience is not None:
            turn.patience.cancel()
        with contextlib.suppress(ValueError):
            self._waiting.remove(turn)

    def _has_waited(self, turn: _Turn) -> None:
        self._leave_line(turn)
        reason = f"no worker was free for {WAITS_S:g} s. Try again later."
        turn.fail(Overloaded(reason, self.retry_after_s()))

    def _begin(self, place: Place, turn: _Turn) -> None:
        """At once: a free worker waits for nothing that the server does meanwhile."""
        life, model = place.life, place.model
        assert life is not None  # noqa: S101 - who has none is neither idle nor given
        assert model is not None  # noqa: S101 - it came with its life
        self._leave_line(turn)
        turn.lives += 1
        place.shown.state = "busy"
        begun_s = asyncio.get_running_loop().time()
        heard = life.hear(turn.descriptor, in_full=turn.in_full)
        heard.add_done_callback(partial(self._over_with, place, life, model, turn, begun_s))

    def _over_with(
        self,
        place: Place,
        life: Life,
        model: ModelShown,
        turn: _Turn,
        begun_s: float,
        heard: "asyncio.Future[Told | Refused]",
    ) -> None:
        error = heard.exception()
        if isinstance(error, WorkerLost):
            life.kill()  # it may only have closed its connection
            _log.warning("worker_lost", pid=life.pid, reason=str(error))
            self._again(turn)
        elif error is not None:
            turn.tell(Refused(status=400, reason=str(error)))
        else:
            taken_s = asyncio.get_running_loop().time() - begun_s
            self._slowness_s += _SLOWNESS_WEIGHT * (taken_s - self._slowness_s)
            place.shown.heard += 1
            told = heard.result()
            turn.tell(told if isinstance(told, Refused) else Answered(told=told, model=model))

    def _again(self, turn: _Turn) -> None:
        """By another worker, if it has not cost too many."""
        if turn.result.done():
            return  # who asked has gone, and closed it
        if turn.lives < _LIVES:
            try:
                self._line_up(turn)
            except Overloaded as error:
                turn.fail(error)
            return
        reason = f"it ended {_LIVES} processes that tried to decode it. Convert it to WAV."
        turn.tell(Refused(status=400, reason=reason))

    def _give(self, place: Place, life: Life) -> None:
        """To who waits longest, or to the idle ones; only what is still alive."""
        if place.life is not life:
            return  # its keeper gives it, once it lives again
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.result.done():
                self._begin(place, turn)
                return
        place.shown.state = "idle"
        self._idle.append(place)

    async def _keep(self, place: Place) -> None:
        """One life after another, until it is cancelled."""
        failures = 0
        while True:
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            try:
                life, ready = await begin(self.settings)
            except WorkerLost as error:
                failures += 1
                self._could_not_begin(str(error))
                continue
            failures = 0
            try:
                self._begun(place, life, ready)
                await life.ended()
            finally:
                self._over(place)
                await life.end()

    def _begun(self, place: Place, life: Life, ready: Ready) -> None:
        place.life, place.shown.pid = life, life.pid
        if self.model is None:
            for problem in ready.problems:
                _log.warning("taught_sound_left_out", problem=problem)
        self.model = place.model = ready.model
        self._ready.set()
        life.freed = partial(self._give, place, life)
        self._give(place, life)

    def _over(self, place: Place) -> None:
        place.life, place.shown.pid = None, None
        place.shown.state = "starting"
        place.shown.deaths += 1
        self._changed_s = asyncio.get_running_loop().time()
        with contextlib.suppress(ValueError):
            self._idle.remove(place)

    def _could_not_begin(self, reason: str) -> None:
        _log.error("worker_not_started", reason=reason)
        if self.model is None:
            self.unable = reason
            self._ready.set()
