"""The constants of the transforms: windows, mel bands, cosines, notes. All in float64.

Windows and polynomials are counted out here: importing `scipy.signal`, which has them too (tests
compare), takes longer than a hundred recordings.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from beepwatch.train.featuring.recipe import (
    CepstrumRecipe,
    ChromaRecipe,
    FramesRecipe,
    MelRecipe,
)

Numbers = NDArray[np.float64]

_LINEAR_UP_TO_HZ = 1_000.0  # of Slaney's scale
_HZ_A_MEL = 200 / 3  # below
_MELS_AN_E = 27 / np.log(6.4)  # above


def window_of(frames: FramesRecipe) -> Numbers:
    """What a frame is multiplied by, [fft_samples]."""
    window = _shape_of(frames)
    divisor = {
        "nothing": 1.0,
        "root_length": np.sqrt(frames.fft_samples),
        "sum": window.sum(),
        "root_energy": np.sqrt(np.square(window).sum()),
    }[frames.divided_by]
    before = (frames.fft_samples - frames.window_samples) // 2
    whole = np.zeros(frames.fft_samples)
    whole[before : before + frames.window_samples] = window / divisor
    return whole


# Of 1, -cos x, cos 2 x and so on; x goes round once (F. J. Harris, 1978, tables and figures there).
_COSINES = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
}


def _shape_of(frames: FramesRecipe) -> Numbers:
    """A window that is 1 in its middle, [window_samples]."""
    samples = frames.window_samples
    place = np.arange(samples) / (samples if frames.periodic else samples - 1)
    if frames.window == "bartlett":
        return np.asarray(1 - np.abs(2 * place - 1))
    terms = [
        (-1) ** order * share * np.cos(2 * np.pi * order * place)
        for order, share in enumerate(_COSINES[frames.window])
    ]
    return np.asarray(np.sum(terms, axis=0))


def slopes(width: int, order: int) -> Numbers:
    """What neighbours count in the derivative of the polynomial of that order fitted to them.

    [width], the first is the earliest (Savitzky and Golay, 1964).
    """
    place = np.arange(width) - width // 2
    fit = np.linalg.pinv(np.vander(place.astype(np.float64), order + 1, increasing=True))
    return np.asarray(math.factorial(order) * fit[order])


def bins_hz(fft_samples: int, rate_hz: int) -> Numbers:
    """The frequencies of a spectrum, [bins]."""
    return np.arange(fft_samples // 2 + 1, dtype=np.float64) * (rate_hz / fft_samples)


def mels_of(hz: Numbers, scale: str) -> Numbers:
    """A frequency on the mel scale: O'Shaughnessy's, as in HTK, or Slaney's (Auditory Toolbox)."""
    if scale == "htk":
        return np.asarray(2_595 * np.log10(1 + hz / 700))
    above = np.log(np.maximum(hz, _LINEAR_UP_TO_HZ) / _LINEAR_UP_TO_HZ) * _MELS_AN_E
    return np.asarray(np.minimum(hz, _LINEAR_UP_TO_HZ) / _HZ_A_MEL + above)


def hz_of(mels: Numbers, scale: str) -> Numbers:
    """The frequency of a place on the mel scale."""
    if scale == "htk":
        return np.asarray(700 * (10 ** (mels / 2_595) - 1))
    bend = _LINEAR_UP_TO_HZ / _HZ_A_MEL
    above = np.exp(np.maximum(mels - bend, 0) / _MELS_AN_E)
    return np.asarray(np.minimum(mels, bend) * _HZ_A_MEL * above)


def mel_bank(mel: MelRecipe, fft_samples: int, rate_hz: int) -> Numbers:
    """Triangles that reach from one neighbour's middle to the other's, [bands, bins]."""
    ends = mels_of(np.asarray([mel.lowest_hz, mel.highest_hz]), mel.scale)
    corners = hz_of(np.linspace(ends[0], ends[1], mel.bands + 2), mel.scale)
    low, middle, high = (corners[i : i + mel.bands, np.newaxis] for i in range(3))
    hz = bins_hz(fft_samples, rate_hz)
    bank = np.maximum(np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle)), 0)
    if mel.norm == "slaney":
        bank *= 2 / (high - low)
    return np.asarray(bank, dtype=np.float64)


def cosines(mfcc: CepstrumRecipe, bands: int) -> Numbers:
    """The cosine transform with its lifter, [bands, coefficients]."""
    norm = "ortho" if mfcc.norm == "ortho" else None
    matrix = scipy.fft.dct(np.eye(bands), type=2, axis=1, norm=norm)[:, : mfcc.coefficients]
    if mfcc.lifter > 0:
        number = np.arange(1, mfcc.coefficients + 1)
        matrix = matrix * (1 + mfcc.lifter / 2 * np.sin(np.pi * number / mfcc.lifter))
    return np.asarray(matrix, dtype=np.float64)


def note_bank(chroma: ChromaRecipe, fft_samples: int, rate_hz: int) -> Numbers:
    """How much each bin counts for each note, [notes, bins] (D. Ellis, chroma features, 2007).

    A bin is a bell around its pitch, as wide as bins lie apart there and never below one note.
    """
    notes = chroma.notes
    hz = np.arange(1, fft_samples) * (rate_hz / fft_samples)
    pitch = notes * np.log2(hz / (chroma.a4_hz / 16))  # in notes above the lowest A
    pitch = np.concatenate([[pitch[0] - 1.5 * notes], pitch])  # 0 Hz has none: far below
    width = np.concatenate([np.maximum(np.diff(pitch), 1), [1]])
    half = round(notes / 2)
    distance = np.mod(pitch - np.arange(notes)[:, np.newaxis] + half, notes) - half
    bank = np.exp(-0.5 * (2 * distance / width) ** 2)
    bank /= np.sqrt(np.square(bank).sum(axis=0))
    bank *= np.exp(-0.5 * ((pitch / notes - chroma.centre_octave) / chroma.octave_width) ** 2)
    from_c = np.roll(bank, -3 * (notes // 12), axis=0)  # three semitones above A
    return np.asarray(from_c[:, : fft_samples // 2 + 1])
