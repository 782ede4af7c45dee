"""Every feature is what librosa makes of the same sound; golden.npz has its generator beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.train.featuring.recipe import FeatureRecipe
from beepwatch.train.featuring.spectra import column_names
from beepwatch.train.featuring.work import features_of
from tests.train.featuring.recipes import recipe

CLOSE = 1e-4

OF_SLANEY: dict[str, Any] = {
    "features": [
        *("logmel", "mfcc", "magnitude", "phase", "centroid", "bandwidth", "rolloff", "chroma"),
        *("zero_crossings", "rms"),
    ],
    "mel": {"bands": 40},
    "mfcc": {"coefficients": 13, "norm": "ortho", "lifter": 22},
    "deltas": {"of": ["mfcc"], "orders": 2, "width_frames": 9, "edges": "fitted"},
    "shape": {"power": 1, "bandwidth_order": 2, "rolloff_share": 0.85},
    "chroma": {
        "notes": 12, "a4_hz": 440, "power": 2, "centre_octave": 5, "octave_width": 2, "norm": "max",
    },
}  # fmt: skip
OF_HTK: dict[str, Any] = {
    "features": ["logmel", "mfcc", "chroma"],
    "frames": {
        "window_samples": 512, "window": "hamming", "centred": False, "padding": "nothing",
    },
    "mel": {
        "bands": 24, "lowest_hz": 0, "highest_hz": 8_000, "scale": "htk", "norm": "none",
        "power": 1,
    },
    "log": {"base": "e", "factor": 1, "floor": 1e-5},
    "mfcc": {"coefficients": 10, "norm": "none", "lifter": 0},
    "deltas": {"of": ["mfcc"], "orders": 1, "width_frames": 5, "edges": "nearest"},
    "chroma": {
        "notes": 12, "a4_hz": 440, "power": 1, "centre_octave": 5, "octave_width": 2,
        "norm": "euclidean",
    },
}  # fmt: skip
DOUBLE = {"precision": "double"}
RECIPES = {"slaney": recipe(**OF_SLANEY), "htk": recipe(**OF_HTK)}

Golden = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(Path(__file__).with_name("golden.npz")) as file:
        return dict(file)


def as_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return pcm.astype(np.float32) / np.float32(32_768)


def columns_of(rows: NDArray[np.float32], of: FeatureRecipe, name: str) -> NDArray[np.float32]:
    names = [each.rstrip("0123456789").rstrip("_") for each in column_names(of)]
    exact = [
        each if each == name else stem for each, stem in zip(column_names(of), names, strict=True)
    ]
    return rows[:, [each == name for each in exact]]


def test_all_features_are_those_of_librosa(golden: Golden) -> None:
    sound = as_float(golden["sound"])
    far_off = {}
    for which, of in RECIPES.items():
        rows = features_of(sound, of)
        for key in [key for key in golden if key.startswith(f"{which}/")]:
            name = key.partition("/")[2]
            expected = golden[key].T
            found = columns_of(rows, of, name)
            assert found.shape == expected.shape, key
            if name == "phase":  # of what is there; that of nothing is anything
                heard = golden[f"{which}/magnitude"].T > 1e-2
                turned = np.abs(found - expected)[heard]
                difference = np.minimum(turned, 2 * np.pi - turned).max()
            else:
                scale = np.maximum(np.abs(expected), 1)
                difference = (np.abs(found - expected) / scale).max()
            if difference > CLOSE:
                far_off[key] = difference
    assert far_off == {}


def test_in_double_precision_that_holds_beside_a_loud_pure_tone_too(golden: Golden) -> None:
    of = recipe(**OF_SLANEY, frames=DOUBLE)
    rows = features_of(as_float(golden["pure"]), of)
    for name in ("logmel", "mfcc"):
        expected = golden[f"tone/{name}"].T
        difference = np.abs(columns_of(rows, of, name) - expected) / np.maximum(np.abs(expected), 1)
        assert difference.max() < CLOSE, name


def test_a_mirrored_beginning_is_that_of_librosa(golden: Golden) -> None:
    of = recipe(
        features=["magnitude"],
        frames={"window_samples": 512, "window": "blackman", "padding": "reflect"},
        mel=None,
        log=None,
    )
    found = features_of(as_float(golden["sound"]), of)
    assert np.abs(found - golden["reflect/magnitude"].T).max() < CLOSE
