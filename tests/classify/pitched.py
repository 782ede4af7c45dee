"""Heads made by hand: each is sure of one pitch where the shipped network is sure of a beep."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.heads import FEATURES, Expected, Head

SHIPPED = load_bundle(find_bundle("beep")).info
_MATCHED_LOGIT, _LEAST_HEARD = 4, 15  # of what `heads.features` gives


def pitched(
    name: str,
    *pitches_hz: float,
    threshold: float = 0.5,
    model_id: str = SHIPPED.model_id,
    kind: Literal["sound", "veto"] = "sound",
    pulses: int = 1,
) -> Head:
    """Of a device's pitches; other devices' are nothing to it."""
    weights = [0.0] * FEATURES
    weights[_MATCHED_LOGIT] = weights[_LEAST_HEARD] = 3.0
    return Head(
        name=name,
        kind=kind,
        model_id=model_id,
        threshold=threshold,
        pitches_hz=pitches_hz,
        tolerance=0.005,
        weights=tuple(weights),
        bias=-5.0,
        pulses=pulses,
        expected=Expected(examples=3, caught=3, nearest="dryer", false_alarms_per_month=0.5),
    )


def tone(pitch_hz: float, lasting_s: Sequence[float], pause_s: float = 0.4) -> NDArray[np.int16]:
    """Pulses of these lengths in a hiss, 16 kHz, a second of it before and after."""
    rate_hz = SHIPPED.rate_hz
    parts = [np.zeros(rate_hz)]
    for length_s in lasting_s:
        at_s = np.arange(round(length_s * rate_hz)) / rate_hz
        parts += [
            3_000 * np.sin(2 * np.pi * pitch_hz * at_s),
            np.zeros(round(pause_s * rate_hz)),
        ]
    whole = np.concatenate([*parts, np.zeros(rate_hz)])
    hiss = np.random.default_rng(1).normal(0, 30, len(whole))
    return np.asarray(np.clip(whole + hiss, -32_768, 32_767), dtype=np.int16)
