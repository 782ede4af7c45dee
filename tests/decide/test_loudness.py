"""How loud tones are beside their own pulses."""

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.decide.loudness import Loudness, loudness_of

STEPS = 200
NOISE = np.arange(100, STEPS)  # nothing sounds from there on
SOUNDING = np.arange(100)
FIRST_HALF = SOUNDING < 50


def loud(*tones_db: tuple[float, float]) -> Loudness | None:
    """Of one voice: how loud each of its tones is in one half of its time and in the other."""
    over_noise_db = np.zeros((len(tones_db), STEPS))
    for tone_db, (first_db, second_db) in zip(over_noise_db, tones_db, strict=True):
        tone_db[SOUNDING] = np.where(FIRST_HALF, first_db, second_db)
    return loudness_of(10 ** (over_noise_db / 10), [(len(tones_db), SOUNDING)], NOISE)


def level_db(*tones_db: tuple[float, float]) -> NDArray[np.float64]:
    loudness = loud(*tones_db)
    assert loudness is not None
    return loudness.level_db


def test_of_tones_that_sound_together_the_clearest_counts_most() -> None:
    found_db = level_db((30.0, 10.0), (20.0, 0.0))
    assert found_db[SOUNDING].max() == pytest.approx(found_db[25])
    assert found_db[75] - found_db[25] == pytest.approx(-20.0)


def test_tones_that_sound_in_turn_are_as_loud_as_whichever_does() -> None:
    found_db = level_db((20.0, 0.0), (0.0, 25.0))
    assert found_db[SOUNDING] == pytest.approx(0.0, abs=1e-6)
    assert found_db[NOISE].max() <= -20.0 + 1e-6


def test_partials_are_silent_with_their_own_tone() -> None:
    found_db = level_db((20.0, 0.0), (0.0, 25.0), (15.0, 0.0), (0.0, 20.0))
    assert found_db[SOUNDING] == pytest.approx(0.0, abs=1e-6)


def test_what_is_never_the_loudest_has_no_turn() -> None:
    alone_db = level_db((40.0, 25.0))
    assert level_db((40.0, 25.0), (5.0, 20.0)) == pytest.approx(alone_db)


def test_what_does_not_stand_out_is_not_loud() -> None:
    assert loud((3.0, 0.0), (0.0, 3.0)) is None
    assert loudness_of(np.ones((1, STEPS)), [(1, SOUNDING[:0])], NOISE) is None


def test_tones_that_waver_each_by_itself_sound_together() -> None:
    over_noise_db = np.zeros((2, STEPS))
    over_noise_db[0, SOUNDING] = np.tile([20.0, 26.0], 50)
    over_noise_db[1, SOUNDING] = np.tile([20.0, 20.0, 26.0, 26.0], 25)
    found = loudness_of(10 ** (over_noise_db / 10), [(2, SOUNDING)], NOISE)
    assert found is not None
    four_db = found.level_db[:4] - found.level_db[3]
    assert four_db == pytest.approx([-6.0, -3.0, -3.0, 0.0], abs=1e-6)
