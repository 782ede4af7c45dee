"""Nothing alive holds its pitch, begins at once or does the same twice."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from beepwatch.train import creatures
from tests.train.spectra import RATE_HZ, SAMPLES, Wave, band_share, instantaneous_hz, level

Voice = Callable[[Generator, int, int], Wave]


def test_no_bird_holds_its_pitch() -> None:
    """At least LEAST_BEND octaves, less what their 15 % of freedom takes away, and a vibrato."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        syllable = creatures.draw_syllable(rng)
        assert np.ptp(syllable.bend) >= 0.99 * creatures.LEAST_BEND or max(syllable.bend) > 0.59


def test_a_bird_never_sings_a_syllable_twice_alike() -> None:
    rng = np.random.default_rng(3)
    syllable = creatures.draw_syllable(rng)
    lengths = {len(creatures.sung(rng, syllable, RATE_HZ)) for _ in range(20)}
    assert len(lengths) > 10


def test_whistled_notes_wobble_and_slide() -> None:
    sound = creatures.whistling(np.random.default_rng(2), SAMPLES, RATE_HZ)
    assert band_share(sound, 600, 4_000) > 0.98
    assert sound[0] == pytest.approx(0, abs=0.01)
