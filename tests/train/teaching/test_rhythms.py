"""How far apart pulses begin, of recordings in which some could not be told apart."""

import msgspec
import numpy as np
import pytest

from beepwatch.train.teaching.examples import Example, find_example
from beepwatch.train.teaching.rhythms import rhythm_of
from tests.train.beeper import beeping, shipped

FRAME_S = 0.02


def pulses_at(*onsets_s: float) -> Example:
    """An example whose pulses of 100 ms begin then."""
    sounding = np.zeros(1_000, dtype=bool)
    for onset_s in onsets_s:
        first = round(onset_s / FRAME_S)
        sounding[first : first + 5] = True
    clip = find_example("clip", beeping(2_000), shipped())
    return msgspec.structs.replace(clip, sounding=sounding)


def test_the_time_from_pulse_to_pulse_is_the_rhythm() -> None:
    assert rhythm_of([pulses_at(1.0, 1.6, 2.2)], FRAME_S) == pytest.approx((0.6,))
    assert rhythm_of([pulses_at(1.0, 1.5, 2.0, 3.5, 4.0)] * 2, FRAME_S) == pytest.approx((0.5, 1.5))


def test_what_comes_once_is_none_of_it() -> None:
    """Two pulses that one room ran together, or one that it cut in two."""
    assert rhythm_of([pulses_at(1.0, 1.6, 2.8, 3.4)], FRAME_S) == pytest.approx((0.6,))
    assert rhythm_of([pulses_at(1.0, 1.6)], FRAME_S) == ()


def test_a_tune_has_none_unless_it_comes_again() -> None:
    tune = pulses_at(1.0, 1.2, 1.6, 2.4)
    assert rhythm_of([tune], FRAME_S) == ()
    assert rhythm_of([tune, tune], FRAME_S) == pytest.approx((0.2, 0.4, 0.8))


def test_pauses_in_which_an_episode_ends_are_no_rhythm() -> None:
    assert rhythm_of([pulses_at(1.0, 5.0, 9.0)], FRAME_S) == ()
