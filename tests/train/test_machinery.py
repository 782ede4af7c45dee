"""Machines hum, slide and rattle where and as long as they do in the world."""

import numpy as np
import pytest

from beepwatch.train import machinery
from tests.train.spectra import RATE_HZ, SAMPLES, Wave, band_share, level


def test_a_dial_tone_lasts_from_the_first_sample_to_the_last() -> None:
    for seed in range(6):
        sound = machinery.dial_tone(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        loud = np.abs(sound).reshape(-1, RATE_HZ // 8).max(axis=1)
        assert loud.min() > 0.7 * loud.max()
        assert band_share(sound, 340, 490) > 0.95


def test_every_key_of_a_telephone_sounds_two_tones() -> None:
    """The rows lie at 697 to 941 Hz, the columns at 1,209 to 1,477 Hz, equally loud."""
    sound = machinery.key_tones(np.random.default_rng(0), SAMPLES, RATE_HZ)
    assert band_share(sound, 650, 1_000) == pytest.approx(0.5, abs=0.03)
    assert band_share(sound, 1_150, 1_550) == pytest.approx(0.5, abs=0.03)
