"""What a test measures of a sound, by other means than the code it tests."""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
SAMPLES = 4 * RATE_HZ

Wave = NDArray[np.float64]


def band_share(sound: Wave, low_hz: float, high_hz: float) -> float:
    """Of a sound's energy, what lies within a band."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    inside = (frequency_hz >= low_hz) & (frequency_hz <= high_hz)
    return float(power[inside].sum() / power.sum())


def instantaneous_hz(tone: Wave) -> Wave:
    """The pitch of a near-sine, cycle by cycle, from its upward zero crossings."""
    before = np.flatnonzero((tone[:-1] < 0) & (tone[1:] >= 0))
    exact = before + tone[before] / (tone[before] - tone[before + 1])
    return np.asarray(RATE_HZ / np.diff(exact))


def level(sound: Wave, each_s: float = 0.01) -> Wave:
    """The peak of every so many seconds."""
    step = round(each_s * RATE_HZ)
    whole = np.abs(sound[: len(sound) // step * step])
    return np.asarray(whole.reshape(-1, step).max(axis=1))
