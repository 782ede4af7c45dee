"""Waits that end early, and those that do not."""

import asyncio

import pytest

from beepwatch.notify.pause import Pause, Stopped

pytestmark = pytest.mark.asyncio


async def timed_s(pause: Pause, wait_s: float, *, cut_short: bool = True) -> float:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await pause.wait(wait_s, cut_short=cut_short)
    return loop.time() - began_s


async def test_a_wait_lasts_as_long_as_it_says() -> None:
    assert 0.05 <= await timed_s(Pause(), 0.05) < 0.5


async def test_a_poke_ends_a_wait_and_one_beforehand_skips_it() -> None:
    pause = Pause()
    asyncio.get_running_loop().call_later(0.02, pause.poke)
    assert await timed_s(pause, 30) < 5
    pause.poke()
    assert await timed_s(pause, 30) < 5


async def test_a_wait_that_somebody_asked_for_is_not_cut_short() -> None:
    pause = Pause()
    for after_s in (0.01, 0.02, 0.03):
        asyncio.get_running_loop().call_later(after_s, pause.poke)
    assert await timed_s(pause, 0.1, cut_short=False) >= 0.1


async def test_a_stop_ends_every_wait() -> None:
    pause = Pause()
    asyncio.get_running_loop().call_later(0.02, pause.stop)
    with pytest.raises(Stopped):
        await pause.wait(30, cut_short=False)
    with pytest.raises(Stopped):
        await pause.wait(30)


async def test_resting_is_between_two_pokes() -> None:
    pause = Pause()
    waiting = asyncio.create_task(pause.wait(30, cut_short=False))
    await asyncio.wait_for(pause.until_resting(), 5)
    pause.poke()
    await asyncio.wait_for(pause.until_resting(), 5)
    pause.stop()
    with pytest.raises(Stopped):
        await waiting
