"""An appliance's beep as a person would record it, and the shipped network to hear it."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import Engine, open_engine

RATE_HZ = 16_000
PULSES_S = ((1.0, 1.3), (1.6, 1.9), (2.2, 2.5))


@cache
def shipped() -> Engine:
    """The shipped model's engine."""
    return open_engine(load_bundle(find_bundle("beep")))


def beeping(
    pitch_hz: float,
    *,
    seed: int = 1,
    level: float = 3_000.0,
    length_s: float = 3.5,
    pulses_s: tuple[tuple[float, float], ...] = PULSES_S,
) -> NDArray[np.int16]:
    """Pulses of a tone in a faint hiss."""
    at_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    sounds = np.any([(at_s >= on) & (at_s < off) for on, off in pulses_s], axis=0)
    hiss = np.random.default_rng(seed).normal(0, 20, len(at_s))
    sound = level * np.sin(2 * np.pi * pitch_hz * at_s) * sounds + hiss
    return np.asarray(np.round(sound), dtype=np.int16)
