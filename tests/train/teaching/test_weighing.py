"""Which pitches a veto is to know: what they silence by themselves, and what they cost others."""

import pytest

from beepwatch.train.teaching.weighing import Alone, by_worth, commonness, worth

TEN = frozenset(range(10))


def alone(pitch_hz: float, silent: int, *, first: int = 0, same: float = 0.1) -> Alone:
    """One that silences so many events from the first on."""
    return Alone(pitch_hz=pitch_hz, same=same, silent=frozenset(range(first, first + silent)))


def test_half_of_all_buzzers_lie_about_three_kilohertz() -> None:
    assert commonness(3_000) > 4 * commonness(1_000)
    assert commonness(5_000) < commonness(2_500)


def test_what_two_pitches_silence_promises_more_than_what_one_does() -> None:
    """Even where one by itself silences all that there is: a room may swallow it."""
    several = [alone(950, 10), alone(1_900, 10)]
    assert worth(several, TEN) > max(worth([one], TEN) for one in several)
    assert by_worth(several, TEN)[0] == tuple(several)


def test_a_pitch_that_silences_most_is_more_than_two_that_silence_the_rest_of_each_other() -> None:
    """Those depend on the room; it does not."""
    always = alone(1_000, 10)
    early, late = alone(1_010, 5), alone(1_020, 5, first=5)
    assert worth([always], TEN) > worth([early, late], TEN)


def test_a_common_pitch_is_left_alone_where_it_adds_little() -> None:
    rare, another, common = alone(950, 9), alone(1_900, 10), alone(3_000, 9)
    assert by_worth([rare, another, common], TEN)[0] == (rare, another)


def test_a_common_pitch_is_taken_where_nothing_else_silences() -> None:
    assert by_worth([alone(3_000, 9), alone(950, 0)], TEN)[0] == (alone(3_000, 9),)


def test_what_silences_nothing_is_no_choice() -> None:
    assert by_worth([alone(950, 0)], TEN) == []
    assert by_worth([], TEN) == []


@pytest.mark.parametrize("silent", range(10))
def test_one_clip_more_or_less_moves_the_worth_by_little(silent: int) -> None:
    """No choice hangs by a hair: there is no share from which on everything is as good."""
    other = alone(1_900, 8)
    less, more = (worth([alone(950, count), other], TEN) for count in (silent, silent + 1))
    assert 0 < more - less < 0.15


def test_what_it_costs_others_counts_for_each_pitch_by_itself() -> None:
    """A pitch that is hard to tell from other beeps' gets no cheaper with one that is not."""
    shared = alone(3_000, 10, same=0.9)
    beside = alone(5_000, 0, same=0.0)
    assert worth([shared, beside], TEN) < worth([shared], TEN)
