"""A pool has the threads that its work needs at once, and no more for having worked longer."""

import asyncio
import threading
from concurrent.futures import Future
from functools import partial

import pytest

from beepwatch.daemon.threads import SteadyThreads

PATIENCE_S = 60.0


def here() -> int:
    return threading.get_ident()


def test_work_that_follows_on_a_result_is_done_by_the_same_thread() -> None:
    """It is submitted before the thread can be idle: the standard pool starts a second one."""
    pool = SteadyThreads(8)
    threads: list[int] = []
    done = threading.Event()

    def next_one(future: Future[int], left: int) -> None:
        threads.append(future.result())
        if left == 0:
            done.set()
            return
        pool.submit(here).add_done_callback(partial(next_one, left=left - 1))

    pool.submit(here).add_done_callback(partial(next_one, left=50))
    assert done.wait(PATIENCE_S)
    pool.shutdown()
    assert len(threads) == 51
    assert len(set(threads)) == 1


def test_what_hangs_keeps_nothing_else_waiting_up_to_the_limit() -> None:
    pool = SteadyThreads(3)
    go_on = threading.Event()
    hanging = [pool.submit(go_on.wait, PATIENCE_S) for _ in range(2)]
    assert pool.submit(here).result(PATIENCE_S) != here()
    go_on.set()
    assert all(one.result(PATIENCE_S) for one in hanging)
    pool.shutdown()


def test_the_threads_that_are_ready_are_all_that_is_started_for_so_much_work() -> None:
    before = threading.active_count()
    pool = SteadyThreads(8, ready=3)
    go_on = threading.Event()
    at_once = [pool.submit(go_on.wait, PATIENCE_S) for _ in range(3)]
    assert threading.active_count() == before + 3
    go_on.set()
    assert all(one.result(PATIENCE_S) for one in at_once)
    pool.shutdown()


def test_an_event_loop_takes_it_and_gets_results_and_errors() -> None:
    async def ask() -> None:
        asyncio.get_running_loop().set_default_executor(SteadyThreads(2))
        assert await asyncio.to_thread(here) != here()
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    asyncio.run(ask())


def test_after_the_shutdown_nothing_is_taken_and_what_waited_is_cancelled() -> None:
    pool = SteadyThreads(1)
    began, go_on = threading.Event(), threading.Event()

    def hang() -> bool:
        began.set()
        return go_on.wait(PATIENCE_S)

    running, waiting = pool.submit(hang), pool.submit(here)
    assert began.wait(PATIENCE_S)
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(here)
    go_on.set()
    assert running.result(PATIENCE_S)
