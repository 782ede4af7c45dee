"""One function over many files, in several processes; nothing a file does can end the run.

`spread` is the only way in which the data sets' verbs use more than one core. The function is at
the top of a module (or a `functools.partial` of one), depends on nothing but its item, and writes
nothing that another item's call reads: then the results are the same for any number of workers.

A pool of our own, because `ProcessPoolExecutor` gives up as a whole when one process dies, and
does not say which item it died on.
"""

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

import msgspec

from beepwatch.errors import BeepwatchError

Item = TypeVar("Item")
Result = TypeVar("Result")
Told = tuple[Any, str | None]  # a result, or why there is none

MOST_DEATHS = 2  # of workers, until it is the item's fault
_MOST_STILLBIRTHS = 3  # of workers in a row
_ITEMS_OF_A_WORKER = 2  # one at work, one waiting, so that no worker waits for this process
_AHEAD = 8  # for each worker: results held at most, while an earlier one is being worked on
_END_WITHIN_S = 5.0


class SpreadError(BeepwatchError):
    """Workers that cannot be started or reached."""


class Lost(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """An item without a result."""

    item: Item
    problem: str  # one line


def spread(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    ordered: bool = True,
    cluster: str | None = None,
) -> Generator[Result | Lost[Item]]:
    """What the function says of each item, in the items' order, or as it comes.

    `workers` processes; 0 is this one, and then a crash is one. With the address of a Dask
    scheduler as `cluster` its workers do it instead. An item whose call raises is Lost, and so is
    one on which two workers died in turn; the first time it is tried again. Items are taken as
    they are needed, and few results are held, so memory is flat. Function, items and results have
    to be picklable. Raises SpreadError.
    """
    if cluster is not None:
        from beepwatch.train.datasets.dask import on_cluster

        yield from on_cluster(function, items, cluster, ordered=ordered)
    elif workers == 0:
        yield from (told(item, attempt(function, item)) for item in items)
    else:
        yield from _Pool(function, items, workers, ordered).results()


def attempt(function: Callable[[Any], Any], item: object) -> Told:
    """A call's result, or in a line why it has none."""
    try:
        return function(item), None
    except BeepwatchError as error:
        return None, str(error)
    except PermissionError as error:
        return None, f"{error.strerror} ({error.filename}). Check its permissions."
    except Exception as error:  # noqa: BLE001 - told with its item, and the others go on
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"


def told(item: Item, outcome: Told) -> Any:  # noqa: ANN401 - the function's result
    """The result of a call, or its item as lost."""
    result, problem = outcome
    return result if problem is None else Lost(item=item, problem=problem)


class _Task(Generic[Item]):
    def __init__(self, number: int, item: Item) -> None:
        self.number = number
        self.item = item
        self.deaths = 0


class _Worker(Generic[Item]):
    """A process, and what it has been given to do."""

    def __init__(self, function: Callable[[Item], object]) -> None:
        context = get_context("spawn")
        self.connection, its_end = context.Pipe()
        self.process = context.Process(target=_work, args=(function, its_end), daemon=True)
        self.tasks: deque[_Task[Item]] = deque()
        self.ready = False
        self.process.start()
        its_end.close()  # so that its death is the end of this file

    def give(self, task: _Task[Item]) -> None:
        self.tasks.append(task)
        with suppress(BrokenPipeError, ConnectionResetError):  # dead: who waits for it finds out
            self.connection.send(task.item)

    def take(self) -> list[tuple[_Task[Item], Told]] | None:
        """What it has answered; None when it is dead."""
        answers: list[tuple[_Task[Item], Told]] = []
        try:
            while self.connection.poll():
                outcome = self.connection.recv()
                if self.ready:
                    answers.append((self.tasks.popleft(), outcome))
                self.ready = True
        except (EOFError, OSError):
            return answers or None  # asked again, it is None
        return answers

    def end(self) -> None:
        self.process.kill()
        self.process.join(_END_WITHIN_S)
        self.connection.close()


class _Pool(Generic[Item, Result]):
    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        workers: int,
        ordered: bool,
    ) -> None:
        self._function = function
        self._new = (_Task(number, item) for number, item in enumerate(items))
        self._again: deque[_Task[Item]] = deque()
        self._most = workers
        self._ordered = ordered
        self._workers: list[_Worker[Item]] = []
        self._stillbirths = 0
        self._taken = 0
        self._yielded = 0
        self._held: dict[int, Any] = {}  # by number: come, and not told yet

    def results(self) -> Generator[Result | Lost[Item]]:
        try:
            while self._hand_out():
                self._wait()
                while (number := self._due()) is not None:
                    self._yielded += 1
                    self._hand_out()
                    yield self._held.pop(number)
        finally:
            for worker in self._workers:
                worker.end()

    def _due(self) -> int | None:
        if not self._ordered:
            return next(iter(self._held), None)
        return self._yielded if self._yielded in self._held else None

    def _hand_out(self) -> bool:
        """Give everyone enough to do; whether anything is being done."""
        while (worker := self._least_busy()) is not None and (task := self._next()) is not None:
            if worker.tasks and len(self._workers) < self._most:
                worker = _Worker(self._function)
                self._workers.append(worker)
            worker.give(task)
        return any(worker.tasks for worker in self._workers)

    def _least_busy(self) -> _Worker[Item] | None:
        if not self._workers:
            self._workers.append(_Worker(self._function))
        worker = min(self._workers, key=lambda one: len(one.tasks))
        room = len(worker.tasks) < _ITEMS_OF_A_WORKER or len(self._workers) < self._most
        return worker if room else None

    def _next(self) -> _Task[Item] | None:
        if self._again:
            return self._again.popleft()
        if self._taken - self._yielded >= self._most * _AHEAD:
            return None
        task = next(self._new, None)
        self._taken += task is not None
        return task

    def _wait(self) -> None:
        """Until somebody has answered or died."""
        at_work = {worker.connection: worker for worker in self._workers if worker.tasks}
        for connection in wait(list(at_work)):
            worker = at_work[connection]  # type: ignore[index]  # waits for any kind
            answers = worker.take()
            if answers is None:
                self._bury(worker)
                continue
            for task, outcome in answers:
                self._held[task.number] = told(task.item, outcome)

    def _bury(self, worker: _Worker[Item]) -> None:
        worker.end()
        self._workers.remove(worker)
        self._stillbirths = 0 if worker.ready else self._stillbirths + 1
        if self._stillbirths == _MOST_STILLBIRTHS:
            raise SpreadError(
                f"no worker process starts: {end_of(worker.process.exitcode)}. "
                "Is there memory left? Try fewer --workers."
            )
        if worker.ready:  # else it is nobody's fault
            worker.tasks[0].deaths += 1
        first = worker.tasks[0]
        if first.deaths == MOST_DEATHS:
            worker.tasks.popleft()
            problem = f"{MOST_DEATHS} workers died on it: {end_of(worker.process.exitcode)}"
            self._held[first.number] = Lost(item=first.item, problem=problem)
        self._again.extendleft(reversed(worker.tasks))


def end_of(exitcode: int | None) -> str:
    """How a process has ended, in words."""
    if exitcode is not None and exitcode < 0:
        return f"ended by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"


def _work(function: Callable[[Item], object], connection: Connection) -> None:
    """The life of a worker: until its connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C reaches all; who started this one ends it
    given: SimpleQueue[tuple[Item] | None] = SimpleQueue()
    Thread(target=_receive, args=(connection, given), daemon=True).start()
    try:
        connection.send(None)  # alive
        for item in chain.from_iterable(iter(given.get, None)):
            outcome = attempt(function, item)
            try:
                connection.send(outcome)
            except (AttributeError, TypeError, ValueError) as error:  # no pickle of it
                connection.send((None, f"{type(error).__name__}: {error}"))
    except BrokenPipeError:
        pass  # nobody waits any more


def _receive(connection: Connection, given: "SimpleQueue[tuple[Any] | None]") -> None:
    """Items are taken at once, so that who sends one never waits for who works on another."""
    try:
        while True:
            given.put((connection.recv(),))
    except (EOFError, OSError):
        pass
    finally:
        given.put(None)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Items by so many, for a function that is done sooner than a process can be told."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
