"""What clicks stands out at its rate and is uneven; what hisses is neither."""

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.portraits import (
    BEATING,
    FEATURES,
    QUIET,
    STEADY,
    TYPICAL,
    UNEVEN,
    portrait,
)
from beepwatch.classify.spectra import RATE_HZ, WINDOW_SAMPLES, Floats, spectrum, typical
from beepwatch.classify.swings import OCTAVES, OCTAVES_HZ, RATES, RATES_HZ, SWINGS, swings

RNG = np.random.default_rng(1)
HISS = RNG.normal(0, 300, WINDOW_SAMPLES)


def pcm(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16)


def clicks(starts_s: NDArray[np.float64], peak: float = 6_000) -> NDArray[np.float64]:
    sound = np.zeros(WINDOW_SAMPLES)
    for start_s in starts_s:
        first = int(start_s * RATE_HZ)
        length = min(48, WINDOW_SAMPLES - first)
        sound[first : first + length] += peak * RNG.normal(0, 1, length)
    return sound


def unevenness(found: Floats) -> Floats:
    return found[RATES : RATES + OCTAVES]


@pytest.mark.parametrize("per_s", [8.0, 12.0, 25.0])
def test_clicks_stand_out_at_their_rate_and_its_multiples(per_s: float) -> None:
    """By 10 dB over the typical rate, where noise has 5 at most."""
    at_rates = swings(pcm(HISS + clicks(np.arange(0, 3, 1 / per_s))))[:RATES]
    for times in (1, 2):
        place = int(np.abs(RATES_HZ - times * per_s).argmin())
        assert at_rates[place - 1 : place + 2].max() > 2.3
    assert swings(pcm(HISS))[:RATES].max() < 1.5


def test_levels_are_those_of_a_fourier_transform() -> None:
    """Hann frames of 128 samples every 64; lines of 125 Hz, 2 and 3, 4 to 7, … 32 to 63."""
    sound = pcm(HISS + clicks(np.arange(0, 3, 1 / 9)))
    window = np.hanning(129)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(sound / 32_768, 128)[::64] * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / (window**2).sum()
    octaves = np.add.reduceat(power[:, :64], [2, 4, 8, 16, 32], axis=1)
    lower = np.sort(np.log(octaves + 1e-10), axis=0)[749 // 4]
    np.testing.assert_allclose(swings(sound)[-OCTAVES:], lower, atol=1e-4)


def test_what_clicks_is_uneven_in_time_or_out_of_it() -> None:
    """Noise of many lines has as much power at any time: mean square over squared mean near 1."""
    still = unevenness(swings(pcm(HISS)))
    assert still[-1] < 0.1
    for starts_s in (np.arange(0, 3, 1 / 12), np.sort(RNG.uniform(0, 3, 36))):
        assert (unevenness(swings(pcm(HISS + clicks(starts_s)))) - still > 1).all()


def test_one_door_is_not_what_goes_on() -> None:
    slammed = swings(pcm(HISS + clicks(np.array([1.2]), 30_000)))
    assert np.abs(unevenness(slammed) - unevenness(swings(pcm(HISS)))).max() < 0.1


def test_quiet_is_the_level_between_the_clicks() -> None:
    """Half the amplitude is 6.02 dB less; clicks do not change it."""
    quiet = slice(RATES + OCTAVES, SWINGS)
    still = swings(pcm(HISS))[quiet]
    halved = swings(pcm(HISS / 2))[quiet]
    assert (still - halved) * 10 / np.log(10) == pytest.approx(np.full(OCTAVES, 6.02), abs=0.05)
    clicked = swings(pcm(HISS + clicks(np.arange(0, 3, 1 / 8))))[quiet]
    assert (clicked - still) * 10 / np.log(10) == pytest.approx(np.zeros(OCTAVES), abs=0.8)


@pytest.mark.parametrize("octave", range(OCTAVES))
def test_an_octave_hears_what_lies_in_it(octave: int) -> None:
    time_s = np.arange(WINDOW_SAMPLES) / RATE_HZ
    tone = 3_000 * np.sin(2 * np.pi * float(OCTAVES_HZ[octave]) * time_s)
    louder = swings(pcm(HISS + tone))[-OCTAVES:] - swings(pcm(HISS))[-OCTAVES:]
    assert louder.argmax() == octave


def test_a_portrait_is_all_in_its_places() -> None:
    sound = pcm(HISS)
    found = portrait(sound)
    assert found.shape == (FEATURES,)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[STEADY], spectrum(sound))
    np.testing.assert_array_equal(found[TYPICAL], typical(sound))
    expected = swings(sound)
    parts = np.concatenate([found[BEATING], found[UNEVEN], found[QUIET]])
    np.testing.assert_array_equal(parts, expected)


def test_silence_is_finite() -> None:
    assert np.isfinite(portrait(np.zeros(WINDOW_SAMPLES, np.int16))).all()
