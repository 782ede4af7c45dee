"""Recipes for tests: a small one, and the same with other parts."""

from typing import Any

import msgspec

from beepwatch.train.featuring.recipe import FeatureRecipe

SMALL: dict[str, Any] = {
    "features": ["logmel", "rms"],
    "sound": {"rate_hz": 16_000, "channel": "mean"},
    "frames": {
        "fft_samples": 512,
        "window_samples": 400,
        "hop_samples": 256,
        "window": "hann",
        "periodic": True,
        "divided_by": "nothing",
        "centred": True,
        "padding": "zeros",
        "precision": "single",
    },
    "mel": {
        "bands": 8,
        "lowest_hz": 60,
        "highest_hz": 7_600,
        "scale": "slaney",
        "norm": "slaney",
        "power": 2,
    },
    "log": {"base": 10, "factor": 10, "gain": 1, "floor": 1e-10, "floor_is": "least"},
    "normalisation": {"kind": "none"},
}


def recipe(**parts: Any) -> FeatureRecipe:  # noqa: ANN401 - as TOML has them
    """`SMALL` with parts replaced; tables are merged, and None takes one out."""
    values = dict(SMALL)
    for name, part in parts.items():
        merges = isinstance(part, dict) and isinstance(values.get(name), dict)
        values[name] = {**values[name], **part} if merges and name != "normalisation" else part
    return msgspec.convert({k: v for k, v in values.items() if v is not None}, FeatureRecipe)
