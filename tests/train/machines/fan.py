"""A fan that never was: a hum, its harmonics and hiss, each window a little another."""

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.levels import FULL_SCALE
from beepwatch.classify.spectra import RATE_HZ, Floats, spectrum
from beepwatch.train.augment import to_int16

SECONDS = 60


def fan(
    seed: int,
    seconds: float = SECONDS,
    *,
    hum_hz: float = 97.0,
    whine_hz: float | None = None,
    loud: float = 1.0,
) -> NDArray[np.int16]:
    """At 16 kHz; the whine, if any, is what a worn bearing adds."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wandering = 1 + 0.01 * np.sin(2 * np.pi * 0.05 * time_s + seed)
    phase = 2 * np.pi * np.cumsum(hum_hz * wandering) / RATE_HZ
    sound = np.sum([800 / times * np.sin(times * phase) for times in range(1, 6)], axis=0)
    sound = sound + rng.normal(0, 120, len(time_s))
    if whine_hz:
        sound = sound + 300 * np.sin(2 * np.pi * whine_hz * time_s)
    return to_int16(loud * sound / FULL_SCALE)


def household(count: int = 40) -> Floats:
    """Spectra of other sounds, as the shipped ones are: hisses of every colour, of RMS 1."""
    rng = np.random.default_rng(9)
    found = []
    for _ in range(count):
        lines = np.fft.rfft(rng.normal(0, 1, 3 * RATE_HZ))
        lines *= np.arange(1, len(lines) + 1) ** -rng.uniform(-0.3, 1.2)
        sound = np.fft.irfft(lines)
        pcm = np.rint(3_276.8 * sound / sound.std()).clip(-32_768, 32_767).astype(np.int16)
        found.append(spectrum(pcm) + np.float32(np.log(100)))
    return np.stack(found)
