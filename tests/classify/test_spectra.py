"""Of each band the level that is exceeded three quarters of the time, and the typical one."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.spectra import (
    BANDS,
    COARSE_BANDS,
    MEDIAN,
    NARROW_BANDS,
    RATE_HZ,
    WINDOW_SAMPLES,
    Floats,
    centres_hz,
    coarse,
    level_db,
    spectrum,
    steady_and_typical,
    typical,
)

TIME_S = np.arange(WINDOW_SAMPLES) / RATE_HZ
HISS = np.random.default_rng(1).normal(0, 300, WINDOW_SAMPLES)


def pcm(sound: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(np.rint(sound), -32_768, 32_767).astype(np.int16)


def tone(hz: float, peak: float = 3_000) -> NDArray[np.float64]:
    return np.asarray(peak * np.sin(2 * np.pi * hz * TIME_S))


@pytest.mark.parametrize("hz", [125.0, 1_000.0, 1_984.375, 3_100.0, 7_900.0])
def test_a_tone_is_where_it_lies(hz: float) -> None:
    seen = spectrum(pcm(HISS + tone(hz)))
    places = slice(0, NARROW_BANDS) if hz < 2_000 else slice(NARROW_BANDS, BANDS)
    width_hz = RATE_HZ / 2_048 * (1 if hz < 2_000 else 4)
    assert abs(centres_hz()[places][seen[places].argmax()] - hz) <= width_hz


@pytest.mark.parametrize("rms", [30.0, 300.0, 3_000.0])
def test_the_level_of_steady_noise_is_its_rms(rms: float) -> None:
    sound = pcm(HISS / 300 * rms)
    assert level_db(spectrum(sound)) == pytest.approx(20 * np.log10(rms / 32_768), abs=0.5)


def test_a_dish_that_falls_leaves_the_spectrum_as_it_is() -> None:
    clatter = np.zeros(WINDOW_SAMPLES)
    clatter[8_000:20_000] = np.random.default_rng(2).normal(0, 10_000, 12_000)
    apart = spectrum(pcm(HISS + clatter)) - spectrum(pcm(HISS))
    assert np.median(apart) * 10 / np.log(10) < 4  # dB; of its mean power it is 24
    assert level_db(spectrum(pcm(HISS + clatter))) - level_db(spectrum(pcm(HISS))) < 4


def test_what_comes_half_of_the_time_is_typical_and_not_steady() -> None:
    turning = (
        np.sign(np.sin(2 * np.pi * 1.0 * TIME_S)) > -0.5
    )  # half a second on, half a second off
    sound = pcm(HISS + np.where(turning, tone(3_100), 0))
    steady, usual = steady_and_typical(sound)
    np.testing.assert_array_equal(steady, spectrum(sound))
    np.testing.assert_array_equal(usual, typical(sound))
    band = int((np.abs(centres_hz() - 3_100) + 1e9 * (np.arange(BANDS) < NARROW_BANDS)).argmin())
    assert (usual - steady)[band] * 10 / np.log(10) > 20


def test_what_is_brief_is_not_typical() -> None:
    """A tone that sounds for a fifth of the time, 40 dB over the hiss."""
    sound = pcm(HISS + np.where(TIME_S < 0.6, tone(3_100), 0))
    assert np.abs(typical(sound) - typical(pcm(HISS))).max() * 10 / np.log(10) < 4


def test_the_typical_level_is_nearly_the_median_and_wanders_less_by_chance() -> None:
    """Heads that were learned from medians hear it as they did."""
    rng = np.random.default_rng(3)
    hisses = [pcm(rng.normal(0, 300, WINDOW_SAMPLES)) for _ in range(20)]
    medians = np.stack([spectrum(one, MEDIAN) for one in hisses])
    found = np.stack([typical(one) for one in hisses])
    assert abs((found - medians).mean()) * 10 / np.log(10) < 0.2
    assert found.std(axis=0).mean() < 0.95 * medians.std(axis=0).mean()


@pytest.mark.parametrize("measured", [spectrum, typical])
def test_silence_is_finite(measured: Callable[[NDArray[np.int16]], Floats]) -> None:
    silent = measured(np.zeros(WINDOW_SAMPLES, np.int16))
    assert np.isfinite(silent).all()
    assert silent.shape == (BANDS,)
    assert np.isfinite(coarse(silent[None])).all()


def test_every_coarse_band_hears_something_of_its_own() -> None:
    """None of them is empty, as narrow triangles over wide bands might be."""
    flat = np.zeros((1, BANDS), np.float32)
    np.testing.assert_allclose(coarse(flat), np.zeros((1, COARSE_BANDS)), atol=1e-5)
    moved = [spectrum(pcm(HISS + tone(hz))) for hz in (100.0, 500.0, 4_000.0)]
    assert len(set((coarse(np.stack(moved)) - coarse(spectrum(pcm(HISS))[None])).argmax(1))) == 3
