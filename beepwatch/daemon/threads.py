"""A pool of threads that does not grow with time.

That of the standard library starts another thread whenever work comes before the one that has just
finished has said that it is idle. Over days a messenger that never does more than six things at
once gets a seventh thread, then an eighth, up to the limit (`python -m benchmarks.soak`).
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

_Job = tuple[Future[Any], Callable[[], Any]]


class SteadyThreads(ThreadPoolExecutor):
    """As many threads as were ever busy at once, `max_workers` at most; `ready` from the start.

    A ThreadPoolExecutor because an event loop takes nothing else as its default.
    """

    def __init__(self, max_workers: int, ready: int = 0) -> None:
        super().__init__(max_workers)  # starts none by itself, and is never asked to
        self._most = max_workers
        self._turn = threading.Lock()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._unfinished = 0
        self._closed = False
        for _ in range(ready):
            self._hire()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - any call
        """Have it called in one of the threads. Raises RuntimeError after `shutdown`."""
        future: Future[Any] = Future()
        with self._turn:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._unfinished += 1
            self._jobs.put((future, partial(fn, *args, **kwargs)))
            if len(self._workers) < min(self._unfinished, self._most):
                self._hire()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end after what was submitted, or after what they are at."""
        with self._turn:
            self._closed = True
            while cancel_futures and not self._jobs.empty():
                if job := self._jobs.get():
                    job[0].cancel()
            for _ in self._workers:
                self._jobs.put(None)
        for worker in self._workers if wait else ():
            worker.join()

    def _hire(self) -> None:
        worker = threading.Thread(target=self._work, daemon=True)
        self._workers.append(worker)
        worker.start()

    def _work(self) -> None:
        while self._step(self._jobs.get()):
            pass  # the job and its result are let go of before the wait for the next

    def _step(self, job: _Job | None) -> bool:
        if job is None:
            return False
        future, call = job
        if not future.set_running_or_notify_cancel():
            self._finished()
            return True
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            self._finished()
            future.set_exception(error)
        else:
            self._finished()  # first: who has the result may already submit the next
            future.set_result(result)
        return True

    def _finished(self) -> None:
        with self._turn:
            self._unfinished -= 1
