"""What a test measures of a sound, by other means than the code it tests."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

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


def rise_s(sound: Wave) -> float:
    """How long it takes from a tenth of the peak, when that is first reached, to six tenths."""
    loud = level(sound, 0.002) / np.abs(sound).max()
    first = int(np.argmax(loud > 0.1))
    return 0.002 * int(np.argmax(loud[first:] > 0.6))


def most_alike(sound: Wave) -> float:
    """How nearly its loudest fifth of a second comes again, at any other time: 1 is exactly."""
    samples = round(0.2 * RATE_HZ)
    sums = np.cumsum(np.concatenate([[0.0], sound.astype(np.float64) ** 2]))
    energy = sums[samples:] - sums[:-samples]
    at = int(np.argmax(energy))
    products = fftconvolve(sound, sound[at : at + samples][::-1], mode="valid")
    alike = np.abs(products) / np.sqrt(np.maximum(energy, 1e-3 * energy[at]) * energy[at])
    alike[max(at - samples, 0) : at + samples] = 0
    return float(alike.max())
