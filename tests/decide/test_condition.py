"""A fault is minutes of strange sound; a slammed door is none; what comes slowly is drift."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.decide.condition import (
    DRIFT_TIME_S,
    ENOUGH_S,
    LONGEST_STEP_S,
    Drift,
    Drifted,
    MachineWatch,
    Unusual,
    UsualAgain,
)

FAULT, WELL = 2.0, 0.0
News = Unusual | UsualAgain | Drifted


def told(
    watch: MachineWatch,
    strangeness: Sequence[float | None],
    every_s: float = 1.0,
    from_s: float = 0.0,
) -> list[tuple[float, News]]:
    found = []
    for number, one in enumerate(strangeness):
        now_s = from_s + number * every_s
        news = watch.step(one, now_s)
        if news is not None:
            found.append((now_s, news))
    return found


def test_a_fault_is_told_after_a_minute_of_it_and_once() -> None:
    assert told(MachineWatch(), [WELL] * 100 + [FAULT] * 300) == [
        (159, Unusual(for_s=60)),
    ]


@pytest.mark.parametrize(("strangeness", "after_s"), [(1.1, 60), (1.05, 120), (1.025, 240)])
def test_what_is_hardly_strange_takes_longer(strangeness: float, after_s: int) -> None:
    """Of a strangeness of 1, which is that of the strangest hundredth of normal sound, for ever."""
    (at_s, news), *_ = told(MachineWatch(), [strangeness] * 300)
    assert isinstance(news, Unusual)
    assert at_s == pytest.approx(after_s, abs=1)
    assert told(MachineWatch(), [1.0] * 10_000) == []


def test_that_it_is_over_takes_as_much_evidence() -> None:
    news = told(MachineWatch(), [FAULT] * 61 + [WELL] * 200)
    assert news == [(60, Unusual(for_s=60)), (120, UsualAgain(after_s=60))]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(30, 300)), min_size=1, max_size=20))
def test_doors_that_slam_are_no_fault(slams: list[tuple[int, int]]) -> None:
    """However strange, twenty seconds and then half a minute of normal sound never add up."""
    sound = [one for loud, well in slams for one in [1e6] * loud + [WELL] * well]
    assert told(MachineWatch(), sound) == []


@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(math.nan), st.just(math.inf)),
        max_size=100,
    ),
    st.sampled_from(["follow", "report"]),
)
def test_unusual_and_usual_alternate_and_evidence_has_bounds(
    sound: list[float | None], drift: Drift
) -> None:
    watch = MachineWatch(drift, enough_s=10)
    kinds = []
    for now_s, one in enumerate(sound):
        news = watch.step(one, now_s)
        assert 0 <= watch.evidence_s <= 10
        assert math.isfinite(watch.drift)
        if isinstance(news, Unusual | UsualAgain):
            kinds.append(type(news))
    assert kinds == [(Unusual, UsualAgain)[index % 2] for index in range(len(kinds))]


@given(st.floats(0.1, LONGEST_STEP_S))
def test_how_often_windows_come_does_not_matter(every_s: float) -> None:
    (at_s, _), *more = told(MachineWatch(), [FAULT] * math.ceil(90 / every_s), every_s)
    assert ENOUGH_S - 1e-6 <= at_s <= ENOUGH_S + 2 * every_s
    assert not more


def test_what_is_drowned_speaks_for_the_machine_only() -> None:
    watch = MachineWatch()
    for now_s in range(3_600):
        assert watch.step(FAULT, now_s, drowned=True) is None
    assert watch.evidence_s == 0
    told(watch, [FAULT] * 30, from_s=3_600)
    before_s = watch.evidence_s
    watch.step(WELL, 3_630, drowned=True)
    assert watch.evidence_s < before_s


def test_time_in_which_the_machine_is_off_is_no_evidence() -> None:
    watch = MachineWatch()
    assert told(watch, [FAULT] * 40 + [None] * 10_000) == []
    assert told(watch, [FAULT] * 60, from_s=10_040) == [(10_060, Unusual(for_s=10_060))]


def test_a_gap_counts_for_no_more_than_a_window_can() -> None:
    watch = MachineWatch()
    watch.step(FAULT, 0)
    assert watch.step(FAULT, 86_400) is None
    assert watch.evidence_s == LONGEST_STEP_S


def test_a_clock_that_goes_back_is_no_evidence() -> None:
    watch = MachineWatch()
    watch.step(FAULT, 100)
    watch.step(FAULT, 50)
    watch.step(FAULT, 100)
    assert watch.evidence_s == 0


def test_what_creeps_is_reported_once() -> None:
    """Of a strangeness that no single window would be told of."""
    (at_s, news), *more = told(MachineWatch("report"), [0.8] * 40_000, every_s=LONGEST_STEP_S)
    assert isinstance(news, Drifted)
    assert at_s == pytest.approx(DRIFT_TIME_S * math.log(0.8 / 0.3), rel=0.01)
    assert not more


def test_what_creeps_is_followed_and_a_fault_still_found() -> None:
    watch = MachineWatch("follow")
    days = [0.8] * 40_000
    assert told(watch, days, every_s=LONGEST_STEP_S) == []
    assert told(watch, [1.1] * 600, from_s=200_001) == []  # without drift that would be a fault
    assert told(MachineWatch("report"), [1.1] * 600)
    assert [news for _, news in told(watch, [FAULT] * 100, from_s=200_700)]


@given(
    st.lists(st.sampled_from([FAULT, WELL, 0.8, None]), max_size=200),
    st.lists(st.sampled_from([FAULT, WELL, 0.8]), min_size=1, max_size=200),
)
def test_a_watch_goes_on_where_another_was(
    before: list[float | None], after: list[float | None]
) -> None:
    """All but the length of the first window after, since nobody heard what was before it."""
    one = MachineWatch()
    told(one, before)
    now_s = len(before) - 1.0
    other = MachineWatch()
    other.recall(one.memory(now_s), now_s)
    other.step(None, now_s)
    assert told(other, after, from_s=now_s + 1) == told(one, after, from_s=now_s + 1)
