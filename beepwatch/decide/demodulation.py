"""A tone from moment to moment: how loud it is, and how it turns beside a pitch that is known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.005  # between two values
_QUICK_TAPS = 11  # numpy has a loop of its own for windows up to here


def demodulated(
    sound: NDArray[np.int16] | NDArray[np.float32], pitches_hz: Sequence[float], rate_hz: int
) -> NDArray[np.complex64]:
    """[tones, steps]: what there is of each pitch in every step, as one complex number.

    Its size is the mean amplitude in units of `sound` [samples], half of a sine's peak; a tone at
    the pitch itself does not turn.
    """
    blocks, starts = _steps(sound, rate_hz)
    samples = blocks.shape[1]
    turns = -2 * np.pi * np.asarray(pitches_hz)[:, np.newaxis] / rate_hz
    within = turns * np.arange(samples)
    waves = (np.concatenate([np.cos(within), np.sin(within)]) / samples).astype(np.float32)
    # Not `@`: for so little, threads of a BLAS cost more than they bring.
    parts = np.einsum("ts,ns->tn", waves, blocks)
    tones = np.empty((len(pitches_hz), len(starts)), dtype=np.complex64)
    tones.real, tones.imag = parts[: len(tones)], parts[len(tones) :]
    tones *= np.exp(1j * turns * samples * (starts / samples)).astype(np.complex64)
    return tones


def _steps(
    sound: NDArray[np.int16] | NDArray[np.float32], rate_hz: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The sound of each step [steps, samples], and the sample that it begins at."""
    step = STEP_S * rate_hz
    samples = round(step)
    if step == samples:
        starts = samples * np.arange(len(sound) // samples)
        blocks = sound[: len(starts) * samples].reshape(len(starts), samples)
    else:  # such as 110.25 samples of 22,050 Hz
        starts = np.rint(step * np.arange(int(len(sound) / step))).astype(np.intp)
        starts = starts[: starts.searchsorted(len(sound) - samples, "right")]
        blocks = sound[starts[:, np.newaxis] + np.arange(samples)]
    return blocks.astype(np.float32, copy=False), starts


def smoothed(tones: NDArray[np.complex64], steps: int) -> NDArray[np.complex128]:
    """[tones, steps]: each the mean under a Hann window of so many, an odd number."""
    window = np.hanning(steps + 2)[1:-1] / ((steps + 1) / 2)
    half = steps // 2
    count, length = tones.shape
    # One after the other, real parts and imaginary ones, with nothing between: so it is one call.
    row = np.zeros((2, count, length + half))
    row[0, :, :length] = tones.real
    row[1, :, :length] = tones.imag
    parts = _convolved(row.reshape(-1), window).reshape(row.shape)[:, :, :length]
    means = np.empty((count, length), dtype=np.complex128)
    means.real, means.imag = parts
    return means


def _convolved(values: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """As long as `values`."""
    if len(window) <= _QUICK_TAPS:
        return np.convolve(values, window, "same")
    half = len(window) // 2
    means = np.convolve(values, window[: half + 1])[half : half + len(values)]
    means[1:] += np.convolve(values, window[half + 1 :])[: len(values) - 1]
    return means
