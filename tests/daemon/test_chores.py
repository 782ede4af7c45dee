"""What goes on beside the telling: begun again after a bug, which is counted and said once."""

import asyncio
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

import beepwatch.daemon.chores
from beepwatch.clock import ManualClock
from beepwatch.daemon.chores import Chores
from beepwatch.daemon.link import SupervisorGone
from beepwatch.errors import StoreError
from tests.daemon.stage import PATIENCE_S


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    monkeypatch.setattr(beepwatch.daemon.chores, "AGAIN_FIRST_S", 0.001)
    return ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


def kept_going(clock: ManualClock, *ends: Exception | None, lasts_s: float = 0.0) -> list[str]:
    """The bugs in the log of a chore that ends in each of these ways, then goes on for ever."""

    async def run() -> int:
        chores = Chores(clock)
        left = list(ends)
        goes_on = asyncio.Event()

        async def chore() -> None:
            if not left:
                goes_on.set()
                await asyncio.Event().wait()
            clock.advance(lasts_s)
            if (end := left.pop(0)) is not None:
                raise end

        chores.begin("chore", chore)
        await asyncio.wait_for(goes_on.wait(), PATIENCE_S)
        chores.end()
        return chores.bugs

    with capture_logs() as logs:
        bugs = asyncio.run(run())
    assert bugs == len(ends)
    assert {(line["event"], line["chore"]) for line in logs} == {("chore_bug", "chore")}
    return [str(line["exc_info"]) for line in logs]


def test_one_that_a_bug_ends_is_begun_again_and_each_reason_said_once(clock: ManualClock) -> None:
    one, same, other = ValueError("one"), ValueError("one"), ValueError("other")
    assert kept_going(clock, one, same, other, other) == ["one", "other"]


def test_what_comes_back_after_hours_is_said_again(clock: ManualClock) -> None:
    one, same = ValueError("one"), ValueError("one")
    assert kept_going(clock, one, same, lasts_s=3_601) == ["one", "one"]


def test_who_has_nothing_to_do_or_nobody_to_do_it_for_is_not_begun_again(
    clock: ManualClock,
) -> None:
    begun: list[str] = []

    async def idle() -> None:
        begun.append("idle")

    async def alone() -> None:
        begun.append("alone")
        raise SupervisorGone

    async def run() -> int:
        chores = Chores(clock)
        chores.begin("idle", idle)
        chores.begin("alone", alone)
        await asyncio.sleep(0.05)
        return chores.bugs

    with capture_logs() as logs:
        assert asyncio.run(run()) == 0
    assert (begun, logs) == (["idle", "alone"], [])


def test_what_is_done_once_says_a_bug_once_until_it_goes_well(clock: ManualClock) -> None:
    bug, full = ValueError("bug"), StoreError("the disk is full.")
    outcomes: list[Exception | None] = [bug, bug, None, bug, full]

    def fail() -> None:
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome

    async def run() -> tuple[list[bool], int]:
        chores = Chores(clock)
        return [await chores.do("chore", fail) for _ in range(5)], chores.bugs

    with capture_logs() as logs:
        done, bugs = asyncio.run(run())
    assert (done, bugs) == ([False, False, True, False, False], 3)
    assert [line["event"] for line in logs] == ["chore_bug", "chore_bug", "chore_not_done"]
