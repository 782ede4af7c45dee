"""Nothing heard for too long is told once; so is the first sound afterwards."""

from hypothesis import given
from hypothesis import strategies as st

from beepwatch.decide.deadman import DeadMansSwitch, HeardAgain, Missed, Watch


def test_an_absence_is_told_once() -> None:
    switch = DeadMansSwitch(100, since_s=0)
    assert [switch.tick(now_s) for now_s in (99, 100, 101, 500)] == [
        None,
        Missed(for_s=100),
        None,
        None,
    ]


def test_the_first_sound_after_an_absence_is_told() -> None:
    switch = DeadMansSwitch(100, since_s=0)
    switch.tick(130)
    assert switch.heard(150) == HeardAgain(after_s=150)
    assert switch.heard(160) is None


def test_the_wait_begins_anew_with_each_sound() -> None:
    switch = DeadMansSwitch(100, since_s=0)
    switch.heard(90)
    assert switch.tick(150) is None
    assert switch.tick(190) == Missed(for_s=100)


def test_zero_never_fires() -> None:
    assert DeadMansSwitch(0, since_s=0).tick(1e9) is None


def test_a_day_and_an_hour_is_more_than_an_hour() -> None:
    """Durations do not wrap after a day."""
    switch = DeadMansSwitch(2 * 3600, since_s=0)
    assert switch.tick(25 * 3600) == Missed(for_s=25 * 3600)


@given(st.lists(st.tuples(st.floats(0, 1_000), st.booleans()), max_size=50))
def test_missed_and_heard_again_alternate(steps: list[tuple[float, bool]]) -> None:
    switch = DeadMansSwitch(60, since_s=0)
    now_s, told = 0.0, []
    for forward_s, heard in steps:
        now_s += forward_s
        told.append(switch.heard(now_s) if heard else switch.tick(now_s))
    kinds = [type(one) for one in told if one is not None]
    assert kinds == [(Missed, HeardAgain)[index % 2] for index in range(len(kinds))]


def test_an_absence_that_an_earlier_life_has_told_of_is_not_told_again() -> None:
    switch = DeadMansSwitch(100, since_s=-500, missed=True)
    assert switch.tick(50) is None
    assert switch.heard(60) == HeardAgain(after_s=560)
    assert switch.tick(160) == Missed(for_s=100)


def test_a_watch_tells_once_and_is_over() -> None:
    watch = Watch(since_s=10, for_s=100)
    assert [watch.tick(now_s) for now_s in (10, 109.9, 110, 500)] == [
        None,
        None,
        Missed(for_s=100),
        None,
    ]
    assert watch.over


def test_a_watch_is_over_with_the_next_sound_and_not_with_the_one_before() -> None:
    watch = Watch(since_s=10, for_s=100)
    watch.heard(9.9)
    assert not watch.over
    watch.heard(10)
    assert watch.tick(1_000) is None


def test_a_sound_that_is_told_of_late_does_not_set_the_wait_back() -> None:
    switch = DeadMansSwitch(100, since_s=0)
    switch.heard(90)
    switch.heard(80)
    assert switch.tick(185) is None
    assert switch.tick(190) == Missed(for_s=100)
