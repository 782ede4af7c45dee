"""What look-alikes are made of has the pitch, the level and the shape that was asked for."""

import numpy as np
import pytest

from beepwatch.train.sounds.tones import (
    along,
    band_noise,
    harmonic_tone,
    lay,
    scale_hz,
    soft,
    struck_partial,
    tune_hz,
    vibrato,
    vowel_gains,
    wander,
)
from tests.train.spectra import RATE_HZ, SAMPLES, band_share, instantaneous_hz


def test_a_struck_partial_has_its_pitch_and_its_decay() -> None:
    """After its time constant it is down to 1 / e."""
    ring = struck_partial(RATE_HZ, RATE_HZ, 1_000, 0.2)
    assert instantaneous_hz(ring[:4_000]).mean() == pytest.approx(1_000, rel=1e-4)
    first, later = (np.abs(ring[at : at + 64]).max() for at in (0, 3_200))
    assert later / first == pytest.approx(np.exp(-1), rel=1e-3)


def test_partials_stand_at_multiples_and_none_is_folded_back() -> None:
    tone = harmonic_tone(np.full(RATE_HZ, 3_000.0), (1.0, 0.5, 1.0, 1.0), RATE_HZ)
    amplitude = np.abs(np.fft.rfft(tone)) / (RATE_HZ / 2)
    assert amplitude[3_000] == pytest.approx(1.0, abs=1e-6)
    assert amplitude[6_000] == pytest.approx(0.5, abs=1e-6)
    amplitude[[3_000, 6_000]] = 0
    assert amplitude.max() < 1e-6


def test_a_soft_note_begins_and_ends_at_nothing() -> None:
    envelope = soft(RATE_HZ, RATE_HZ, 0.1, 0.2)
    assert envelope[0] < 1e-4
    assert envelope[-1] < 1e-4
    assert envelope[800] == pytest.approx(0.5, abs=0.01)  # half way up after half of the attack
    assert envelope[2_000:12_000].min() == pytest.approx(1.0)


def test_band_noise_keeps_to_its_band() -> None:
    noise = band_noise(np.random.default_rng(0), SAMPLES, RATE_HZ, 1_000, 2_000)
    assert band_share(noise, 700, 3_000) > 0.95
    assert np.sqrt((noise**2).mean()) == pytest.approx(1.0)


def test_wandering_is_as_deep_as_it_was_asked_for() -> None:
    """Between independent knots a straight line has two thirds of their variance."""
    course = wander(np.random.default_rng(0), 100 * RATE_HZ, RATE_HZ, 20, 0.1)
    assert course.std() == pytest.approx(0.1 * np.sqrt(2 / 3), rel=0.1)


def test_a_tune_keeps_between_its_limits() -> None:
    for seed in range(20):
        tune = tune_hz(np.random.default_rng(seed), 50, 400, 1_000)
        assert 400 <= tune.min() <= tune.max() <= 1_000
        assert len(set(tune)) >= 4


def test_what_is_laid_beyond_the_end_is_cut_off() -> None:
    sound = np.zeros(10)
    lay(sound, 7, np.ones(5))
    lay(sound, 12, np.ones(5))
    assert sound.tolist() == [0] * 7 + [1] * 3


def test_a_curve_goes_through_its_values_in_straight_lines() -> None:
    assert along(5, (0.0, 1.0, -1.0)).tolist() == [0.0, 0.5, 1.0, 0.0, -1.0]
    assert along(3, (2.0, 2.0)).tolist() == [2.0, 2.0, 2.0]


def test_a_pitch_that_slides_is_followed_sample_by_sample() -> None:
    tone = harmonic_tone(np.linspace(1_000, 2_000, RATE_HZ), (1.0,), RATE_HZ)
    found_hz = instantaneous_hz(tone)
    assert (found_hz[0], found_hz[-1]) == pytest.approx((1_000, 2_000), rel=0.01)


def test_a_partial_is_silent_only_while_it_would_be_folded_back() -> None:
    """The second partial of a pitch that rises through 3,680 Hz ends there."""
    pitch_hz = np.linspace(3_000, 4_360, RATE_HZ)
    first, both = (harmonic_tone(pitch_hz, gains, RATE_HZ) for gains in ((1.0,), (1.0, 1.0)))
    second = np.abs(both - first)
    assert second[: RATE_HZ // 2 - 100].max() > 0.99
    assert second[RATE_HZ // 2 + 100 :].max() == 0


def test_a_vibrato_is_as_fast_and_as_deep_as_it_was_asked_for() -> None:
    """Six times a second, a hundredth; it is never quite regular."""
    shake = vibrato(np.random.default_rng(0), 20 * RATE_HZ, RATE_HZ, 6.0, 0.01)
    turns = int(((shake[:-1] < 0) & (shake[1:] >= 0)).sum())
    assert turns / 20 == pytest.approx(6.0, rel=0.1)
    assert shake.std() == pytest.approx(0.01 / np.sqrt(2), rel=0.1)
    speeds_hz = RATE_HZ / np.diff(np.flatnonzero((shake[:-1] < 0) & (shake[1:] >= 0)))
    assert 0.1 < speeds_hz.std() < 1.5


def test_a_vowels_partials_reach_up_to_where_they_were_asked_for() -> None:
    for seed in range(10):
        gains = vowel_gains(np.random.default_rng(seed), 200, 6_500)
        assert len(gains) == 32
        assert gains.min() > 0
        # Formants stand out: the strongest partial is far over the spectrum's slope.
        assert gains.max() > 0.5
        assert gains[20:].min() < 0.05
    assert len(vowel_gains(np.random.default_rng(0), 9_000, 6_500)) == 1


def test_a_scale_has_seven_steps_an_octave_a_tone_or_half_of_one_apart() -> None:
    for seed in range(10):
        scale = scale_hz(np.random.default_rng(seed), 200, 1_599)
        assert 200 <= scale.min() < scale.max() <= 1_599
        assert len(scale) == 21
        semitones = 12 * np.diff(np.log2(scale))
        assert set(semitones.round(6).tolist()) == {1.0, 2.0}


def test_between_limits_too_near_for_a_scale_there_is_their_middle() -> None:
    rng = np.random.default_rng(0)
    scales = [scale_hz(rng, 1_000, 1_001) for _ in range(20)]
    assert [1_000.5] in [scale.round(2).tolist() for scale in scales]
    assert all(1_000 <= scale.min() <= scale.max() <= 1_001 for scale in scales)
    assert tune_hz(rng, 5, 1_000, 1_001).shape == (5,)
