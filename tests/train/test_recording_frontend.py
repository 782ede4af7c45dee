"""The front end within a network makes the rows that a feature store has."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beepwatch.train.featuring.work import features_of
from beepwatch.train.recording_frontend import FrontEnd, PowerSpectrum, unexportable_features
from beepwatch.train.recording_networks import Halving
from tests.train.featuring.recipes import recipe

MFCC = {"coefficients": 6, "norm": "ortho", "lifter": 22}
FRAMES = {"fft_samples": 1_024, "window_samples": 1_000, "hop_samples": 441}


def room(seconds: float = 2.0) -> NDArray[np.int16]:
    """Noise, a tone that comes and goes, and digital silence, int16 [samples] at 16 kHz."""
    rng = np.random.default_rng(5)
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    sound = rng.normal(0, 300, len(time_s))
    sound += 9_000 * (time_s % 0.5 > 0.3) * np.sin(2 * np.pi * 1_234.5 * time_s)
    sound[: len(sound) // 5] = 0
    return np.rint(sound).astype(np.int16)


@pytest.mark.parametrize("size", [4, 8, 64, 400, 1_024])
def test_the_spectrum_is_that_of_a_fourier_transform(size: int) -> None:
    window = np.random.default_rng(size).uniform(0.5, 1, size)
    frames = np.random.default_rng(1).integers(-30_000, 30_000, (3, 2, size))
    found = PowerSpectrum(window)
    power = found(torch.from_numpy(frames.astype(np.float32))).numpy()
    expected = np.abs(np.fft.rfft(frames / 32_768 * window)) ** 2
    np.testing.assert_allclose(power, expected[..., found.bins], atol=1e-6 * expected.max())
    assert sorted(found.bins.tolist()) == list(range(size // 2 + 1))


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"features": ["logmel"], "frames": FRAMES},
        {"features": ["mfcc"], "mfcc": MFCC},
        {"features": ["rms", "mfcc", "logmel"], "mfcc": MFCC},
        {"features": ["rms"], "mel": None, "log": None},
        {"frames": {"window": "blackman", "periodic": False, "divided_by": "root_energy"}},
        {"frames": {"centred": False, "padding": "nothing"}},
        {"mel": {"scale": "htk", "norm": "none", "power": 1}},
        {"mel": {"power": 1.5}},
        {"log": {"base": "e", "factor": 1, "gain": 3, "floor": 1e-6, "floor_is": "added"}},
        {"log": {"floor_is": "added"}},
        {"normalisation": {"kind": "stated", "mean": -20.0, "deviation": 7.0}},
        {
            "features": ["rms"],
            "mel": None,
            "log": None,
            "normalisation": {"kind": "stated", "mean": [0.1], "deviation": [0.2]},
        },
    ],
)
def test_rows_are_those_of_the_store(parts: dict[str, Any]) -> None:
    """In decibels to a thousandth, where a band is not the rounding of a louder one."""
    made = recipe(**parts)
    assert unexportable_features(made) is None
    pcm = room()
    expected = features_of(pcm.astype(np.float32) / np.float32(32_768), made)
    around = made.frames.fft_samples // 2 if made.frames.centred else 0
    with torch.inference_mode():
        rows = FrontEnd(made)(torch.from_numpy(np.pad(pcm, around))[None])[0].numpy()
    assert rows.shape == expected.shape
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"features": ["logmel", "zero_crossings"]}, "features has 'zero_crossings'"),
        (
            {"deltas": {"of": ["logmel"], "orders": 1, "width_frames": 9, "edges": "nearest"}},
            "[deltas] look beyond",
        ),
        ({"normalisation": {"kind": "file", "least_deviation": 1e-6}}, "normalisation.kind 'file'"),
        ({"frames": {"padding": "reflect"}}, "frames.padding is 'reflect'"),
        ({"frames": {"fft_samples": 441}}, "frames.fft_samples is 441"),
        ({"frames": {"fft_samples": 8_192}}, "frames.fft_samples is 8192"),
        ({"sound": {"channel": 1}}, "sound.channel is 1"),
        ({"log": {"floor": 1e-38}}, "log.floor is 1e-38"),
    ],
)
def test_what_cannot_be_part_of_a_network_is_named(parts: dict[str, Any], reason: str) -> None:
    assert (unexportable_features(recipe(**parts)) or "").startswith(reason)


@pytest.mark.parametrize("shape", [(2, 3, 1), (2, 3, 8), (2, 3, 9), (2, 3, 5, 1), (2, 3, 5, 8)])
def test_halving_is_the_pool_that_rounds_up(shape: tuple[int, ...]) -> None:
    found = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    pool = torch.nn.MaxPool1d if len(shape) == 3 else torch.nn.MaxPool2d
    assert torch.equal(Halving()(found), pool(2, ceil_mode=True)(found))
