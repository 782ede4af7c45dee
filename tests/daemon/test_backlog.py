"""A classifier that lags is in the log once a minute, and so is its catching up."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from beepwatch.daemon.backlog import Backlog
from beepwatch.daemon.queue import WindowQueue
from beepwatch.messages import Done, Fault
from tests.daemon.parts import NOON, window

CAPACITY = 20


def after(backlog: Backlog, now_s: float) -> tuple[Fault | None, list[Any]]:
    with capture_logs() as logs:
        fault = backlog.watch(now_s, NOON)
    return fault, [(line["event"], line.get("lag_s"), line["dropped"]) for line in logs]


def clear(queue: WindowQueue) -> None:
    while (span := queue.hand_out()) is not None:
        queue.done(Done(stream_id=span.stream_id, sequence=span.sequence))


@pytest.fixture
def queue() -> WindowQueue:
    return WindowQueue(CAPACITY)


def test_lag_is_logged_once_a_minute_until_it_is_caught_up(queue: WindowQueue) -> None:
    backlog = Backlog(queue)
    for sequence in range(10):
        queue.push(window(sequence))
    assert after(backlog, 0.0) == (None, []), "9 s is not worth a line"
    queue.push(window(10))
    assert after(backlog, 1.0) == (None, [("classifier_lags", 10, 0)])
    assert after(backlog, 60.9) == (None, [])
    assert after(backlog, 61.0) == (None, [("classifier_lags", 10, 0)])
    clear(queue)
    assert after(backlog, 62.0) == (None, [("classifier_caught_up", None, 0)])
    assert after(backlog, 63.0) == (None, [])


def test_dropped_sound_is_a_fault_until_all_is_caught_up_with(queue: WindowQueue) -> None:
    """Of 40 windows 10 are silence, which goes first; of the other 30, 20 stay."""
    backlog = Backlog(queue)
    for sequence in range(40):
        queue.push(window(sequence))
    fault, _ = after(backlog, 0.0)
    assert fault is not None
    assert fault.text.startswith("the classifier is too slow, ")
    assert after(backlog, 1.0)[0] is None
    clear(queue)
    over, _ = after(backlog, 2.0)
    assert over is not None
    assert (over.cleared, over.count, over.since) == (True, 10, NOON)
    assert after(backlog, 3.0)[0] is None


def test_a_machine_that_is_slow_again_and_again_is_told_of_seldom(queue: WindowQueue) -> None:
    """Every two minutes of a day, for a moment: each fault has its end, each loss is counted."""
    backlog = Backlog(queue)
    told: list[Fault] = []
    for number in range(720):
        for sequence in range(40):
            queue.push(window(sequence))
        told += filter(None, [backlog.watch(120.0 * number, NOON)])
        clear(queue)
        told += filter(None, [backlog.watch(120.0 * number + second, NOON) for second in range(90)])
    told += filter(None, [backlog.watch(86_400.0 + second, NOON) for second in range(1_900)])
    assert [fault.cleared for fault in told] == [False, True] * (len(told) // 2)
    assert len(told) <= 18
    assert sum(fault.count for fault in told if fault.cleared) == queue.dropped == 7_200
