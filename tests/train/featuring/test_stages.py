"""Deltas and normalisation of known rows; and how the sound comes in pieces does not matter."""

import io
from typing import Any

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from beepwatch.errors import ConfigurationError
from beepwatch.train.featuring.banks import slopes, window_of
from beepwatch.train.featuring.recipe import FeatureRecipe
from beepwatch.train.featuring.spectra import column_names
from beepwatch.train.featuring.stages import TooShort, check_columns
from beepwatch.train.featuring.work import features_of, write_features
from tests.train.featuring.recipes import recipe

Rows = np.ndarray[Any, np.dtype[np.float32]]

SOUND = np.random.default_rng(4).normal(0, 0.1, 90_000).astype(np.float32)
MFCC = {"coefficients": 4, "norm": "ortho", "lifter": 0}


def with_deltas(edges: str, width: int = 9) -> FeatureRecipe:
    deltas = {"of": ["mfcc"], "orders": 2, "width_frames": width, "edges": edges}
    return recipe(features=["mfcc"], mfcc=MFCC, deltas=deltas)


@pytest.mark.parametrize(("edges", "mode"), [("fitted", "interp"), ("nearest", "nearest")])
def test_deltas_are_those_of_scipy(edges: str, mode: str) -> None:
    rows = features_of(SOUND, with_deltas(edges))
    assert len(rows) > 256  # more than two blocks
    for order in (1, 2):
        expected = scipy.signal.savgol_filter(
            rows[:, :4].astype(np.float64), 9, order, deriv=order, axis=0, mode=mode
        )
        assert rows[:, 4 * order : 4 * order + 4] == pytest.approx(expected, abs=1e-4)


def test_a_recording_of_few_frames_has_deltas_by_its_last_ones() -> None:
    """Three frames: 2 x (next - before) over the nine that the ends are extended to."""
    rows = features_of(SOUND[:600], with_deltas("nearest"))
    first, _, last = rows[:, 0].astype(float)
    assert rows.shape == (3, 12)
    assert rows[1, 4] == pytest.approx((1 + 2 + 3 + 4) * (last - first) / 60, rel=1e-4)


@pytest.mark.parametrize(("samples", "said"), [(600, "3 frames"), (200, "1 frame")])
def test_a_recording_of_few_frames_has_no_fitted_deltas(samples: int, said: str) -> None:
    with pytest.raises(TooShort, match=f"has {said}, and fitted deltas need 9"):
        features_of(SOUND[:samples], with_deltas("fitted"))


@pytest.mark.parametrize(
    "shape", ["boxcar", "hann", "hamming", "blackman", "bartlett", "blackmanharris"]
)
@pytest.mark.parametrize("periodic", [True, False])
def test_windows_are_those_of_scipy(shape: str, periodic: bool) -> None:
    frames = recipe(frames={"window": shape, "periodic": periodic}).frames
    window = window_of(frames)
    assert window[56:456] == pytest.approx(scipy.signal.get_window(shape, 400, periodic), abs=1e-12)
    assert not window[:56].any()
    assert not window[456:].any()


@pytest.mark.parametrize(
    ("divided_by", "tone"),
    [("sum", 0.5), ("root_length", 200 / 512**0.5 / 2), ("root_energy", 100 / 150**0.5)],
)
def test_the_window_is_divided_as_stated(divided_by: str, tone: float) -> None:
    """Hann over 400 samples sums to 200, its squares to 150; half a tone's peak is in its bin."""
    of = recipe(features=["magnitude"], frames={"divided_by": divided_by}, mel=None, log=None)
    sound = np.sin(2 * np.pi * 1_000 * np.arange(8_000) / 16_000).astype(np.float32)
    assert features_of(sound, of)[10].max() == pytest.approx(tone, rel=1e-4)


def test_slopes_are_those_of_scipy() -> None:
    for width, order in ((3, 1), (9, 1), (9, 2), (21, 2)):
        expected = scipy.signal.savgol_coeffs(width, order, deriv=order, use="dot")
        assert slopes(width, order) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("frames", "parts"),
    [
        ({}, {}),
        ({"padding": "reflect"}, {}),
        ({"centred": False, "padding": "nothing", "hop_samples": 900}, {}),
        ({"padding": "edge"}, {"features": ["mfcc"], "mfcc": MFCC, "deltas": {
            "of": ["mfcc"], "orders": 1, "width_frames": 5, "edges": "nearest"}}),
    ],
)  # fmt: skip
@settings(max_examples=20, deadline=None)
@given(cuts=lists(integers(0, 5_000), max_size=30))
def test_how_the_sound_is_cut_changes_no_byte(
    frames: dict[str, Any], parts: dict[str, Any], cuts: list[int]
) -> None:
    of = recipe(frames=frames, **parts)
    pieces = np.split(SOUND[:40_000], np.minimum(np.cumsum(cuts, dtype=int), 40_000))
    file = io.BytesIO()
    count = write_features(file, of, pieces)
    whole = features_of(SOUND[:40_000], of)
    assert file.getvalue() == whole.tobytes()
    assert count == len(whole)


@pytest.mark.parametrize("samples", [1, 100, 256, 257, 511, 512, 513, 5_000])
def test_there_are_as_many_frames_as_hops(samples: int) -> None:
    centred = features_of(SOUND[:samples], recipe())
    assert len(centred) == 1 + samples // 256
    others = features_of(SOUND[:samples], recipe(frames={"centred": False, "padding": "nothing"}))
    assert len(others) == max(0, 1 + (samples - 512) // 256)


def test_every_column_of_a_file_gets_mean_0_and_deviation_1() -> None:
    rows = features_of(SOUND, recipe(normalisation={"kind": "file", "least_deviation": 1e-6}))
    assert rows.mean(axis=0) == pytest.approx(np.zeros(9), abs=1e-4)
    assert rows.std(axis=0) == pytest.approx(np.ones(9), abs=1e-4)


def test_every_window_is_normalised_by_itself_and_the_last_by_the_last_so_many() -> None:
    plain = features_of(SOUND, recipe()).astype(np.float64)
    window = {"kind": "window", "frames": 100, "least_deviation": 1e-6}
    rows = features_of(SOUND, recipe(normalisation=window))
    assert rows[100:200].mean(axis=0) == pytest.approx(np.zeros(9), abs=1e-4)
    last = plain[-100:]
    expected = (plain[300:] - last.mean(axis=0)) / last.std(axis=0)
    assert len(rows[300:]) == 52
    assert rows[300:] == pytest.approx(expected, abs=1e-3)


def test_digital_silence_is_normalised_to_nothing() -> None:
    silence = np.zeros(9_000, dtype=np.float32)
    rows = features_of(silence, recipe(normalisation={"kind": "file", "least_deviation": 1e-3}))
    assert not rows.any()


def test_stated_numbers_are_taken_and_counted() -> None:
    plain = features_of(SOUND, recipe())
    mean = tuple(float(number) for number in range(9))
    of = recipe(normalisation={"kind": "stated", "mean": mean, "deviation": 2.0})
    check_columns(of)
    assert features_of(SOUND, of) == pytest.approx((plain - np.arange(9)) / 2, abs=1e-4)
    short = recipe(normalisation={"kind": "stated", "mean": (1.0, 2.0), "deviation": 2.0})
    with pytest.raises(ConfigurationError, match="has 2 numbers, and the recipe makes 9 columns"):
        check_columns(short)


def test_columns_are_named_in_the_order_of_the_features() -> None:
    names = column_names(with_deltas("nearest"))
    assert names[:5] == ["mfcc_0", "mfcc_1", "mfcc_2", "mfcc_3", "mfcc_delta1_0"]
    assert names[-1] == "mfcc_delta2_3"
    assert column_names(recipe())[-2:] == ["logmel_7", "rms"]
