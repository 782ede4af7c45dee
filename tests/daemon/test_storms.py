"""Children that keep dying are told of once, whatever the pace of it, and of their living once."""

import pytest

from beepwatch.daemon.storms import DEATHS, LIVES_S, Storms
from beepwatch.messages import Fault
from tests.daemon.parts import NOON

DAY_S = 86_400.0


def told_of(storms: Storms, life_s: float, begin_s: float, for_s: float) -> list[Fault]:
    """A child each of whose lives lasts so long, and shows itself every second."""
    told: list[Fault | None] = []
    now_s = begin_s
    while now_s < begin_s + for_s:
        told += [storms.lives("it", now_s + second) for second in range(1, int(life_s))]
        now_s += life_s
        told.append(storms.died("it", "exit code 1", now_s, NOON))
    return [fault for fault in told if fault]


@pytest.mark.parametrize("life_s", [1.0, 10.0, 14.0, 17.0, 59.0, 61.0, 119.0])
def test_a_child_that_dies_all_day_is_told_of_a_few_times(life_s: float) -> None:
    told = told_of(Storms(), life_s, 0.0, DAY_S)
    assert [fault.cleared for fault in told] == [bool(number % 2) for number in range(len(told))]
    assert 1 <= len(told) <= 12


@pytest.mark.parametrize("apart_s", [0.2, 16.0, 140.0])
def test_so_many_deaths_are_a_fault_and_a_life_that_lasts_is_its_end(apart_s: float) -> None:
    storms = Storms()
    deaths = [storms.died("it", "it hung", apart_s * number, NOON) for number in range(DEATHS)]
    assert deaths[:-1] == [None] * (DEATHS - 1)
    assert deaths[-1] is not None
    assert deaths[-1].text == "the it keeps dying (it hung); its log says why"
    assert storms.lives("it", 1_000.0) is None
    assert storms.lives("another", 2_000.0) is None
    over = storms.lives("it", 1_000.0 + LIVES_S[0])
    assert over is not None
    assert (over.text, over.cleared, over.since) == ("the it lives again", True, NOON)
    assert storms.died("it", "it hung", 1_100.0, NOON) is None


def test_a_few_deaths_a_day_are_no_fault() -> None:
    assert told_of(Storms(), 3_600.0, 0.0, DAY_S) == []
