"""What is heard of a machine becomes the same spectra, however it comes; a day of it fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from beepwatch.classify.spectra import RATE_HZ
from beepwatch.train.machines.collecting import Collection
from beepwatch.train.machines.learning import TooLittleSound, portraits_of
from tests.train.machines.fan import fan

FAN = fan(1, 8)


@given(cuts=lists(integers(1, 60_000), max_size=8))
@settings(max_examples=20, deadline=None)
def test_how_the_sound_is_cut_does_not_matter(cuts: list[int]) -> None:
    heard = Collection()
    places = np.clip(np.cumsum([0, *cuts]), 0, len(FAN))
    for first, end in zip(places, [*places[1:], len(FAN)], strict=True):
        heard.hear(FAN[first:end])
    np.testing.assert_array_equal(heard.portraits(), portraits_of([FAN]))
    assert heard.heard_s == pytest.approx(8)


def test_no_window_lies_over_a_gap() -> None:
    heard = Collection()
    for first in (0, 4):
        heard.hear(FAN[first * RATE_HZ : (first + 4) * RATE_HZ])
        heard.break_off()
    expected = portraits_of([FAN[: 4 * RATE_HZ], FAN[4 * RATE_HZ :]])
    np.testing.assert_array_equal(heard.portraits(), expected)
    assert len(expected) == 4


def test_of_more_than_can_be_learned_from_every_second_window_stays() -> None:
    """34 windows, of which 10 may be kept: every fourth."""
    long = fan(2, 36)
    heard = Collection(most_windows=10)
    for first in range(0, len(long), RATE_HZ):
        heard.hear(long[first : first + RATE_HZ])
    assert heard.hop_s == 4
    every = portraits_of([long])
    kept = heard.portraits()
    assert len(kept) <= 10
    places = [int(np.flatnonzero((every == one).all(axis=1))[0]) for one in kept]
    assert places == list(range(0, 34, 4))[: len(places)]
    assert len(kept) * heard.hop_s == pytest.approx(34, abs=4)


def test_digital_silence_is_left_out_and_said_if_there_is_nothing_else() -> None:
    heard = Collection()
    heard.hear(np.zeros(5 * RATE_HZ, np.int16))
    with pytest.raises(TooLittleSound, match="all 5 s are digital silence"):
        heard.portraits()
    heard.break_off()
    heard.hear(FAN)
    assert len(heard.portraits()) == 6
    assert heard.silent_windows == 3


def test_too_little_is_said() -> None:
    heard = Collection()
    heard.hear(FAN[:RATE_HZ])
    with pytest.raises(TooLittleSound, match=r"1\.0 s of sound are too little"):
        heard.portraits()


def test_the_level_is_that_of_what_is_steady() -> None:
    """Of half the amplitude it is 6.02 dB less."""
    loud, soft = Collection(), Collection()
    loud.hear(FAN)
    soft.hear(FAN // 2)
    assert loud.level_dbfs() - soft.level_dbfs() == pytest.approx(6.02, abs=0.1)
