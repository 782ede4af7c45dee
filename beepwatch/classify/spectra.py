"""What a running machine sounds like under what else is heard: its steady spectrum.

A machine goes on as it is; a voice, a dish and a door come and go. So of each band the level that
is exceeded three quarters of the time is taken, not the mean: the lower quartile over a window.
What tells one fault from another also comes and goes, with each turn of it; for that the typical
spectrum is taken: the mean of the middle half of the levels, which leaves out as much as the median
does of what is brief and wanders less by chance.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

RATE_HZ = 16_000
WINDOW_S = 3.0
WINDOW_SAMPLES = round(WINDOW_S * RATE_HZ)
NARROW_BANDS, WIDE_BANDS = 256, 256  # the narrow ones up to 2 kHz, the wide ones up to 8 kHz
BANDS = NARROW_BANDS + WIDE_BANDS
_FRAME, _HOP = 2_048, 1_024
_BINS_OF_WIDE = 4
_MEAN_OF_WIDE = np.full(_BINS_OF_WIDE, 1 / _BINS_OF_WIDE, dtype=np.float32)
ABOVE_NARROW = NARROW_BANDS + NARROW_BANDS // _BINS_OF_WIDE  # first wide band above the narrow ones
# Each pitch once: the narrow bands below 2 kHz, the wide ones above.
LINES = np.r_[:NARROW_BANDS, ABOVE_NARROW:BANDS]
LOWER_QUARTILE, MEDIAN = 0.25, 0.5
_FULL_SCALE = 32_768.0
_FLOOR = np.float32(1e-10)  # of power, about what rounding to int16 makes
_HANN = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
_HANN /= np.sqrt((_HANN**2).sum()) * np.float32(_FULL_SCALE)
_HANN *= np.float32(_FRAME)  # what a forward transform divides by

# Bands as wide as a machine's speed wanders, for telling how strange it is; equal on the mel scale.
COARSE_BANDS = 48
_LOWEST_HZ = 20.0

# The lower quartile of a wide band's power over its mean, of steady noise: that of a gamma
# distribution whose shape is 2.7, since the lines of a Hann window have much in common.
_OF_MEAN = 0.54


def spectrum(pcm: NDArray[np.int16], quantile: float = LOWER_QUARTILE) -> Floats:
    """Natural log of each band's power density, full scale 1, [BANDS]; of 0.2 s and more."""
    return _exceeded(_ordered(pcm), quantile)


def typical(pcm: NDArray[np.int16]) -> Floats:
    """The mean of the middle half of the same logs over time, [BANDS]."""
    return _middle(_ordered(pcm))


def steady_and_typical(pcm: NDArray[np.int16]) -> tuple[Floats, Floats]:
    """Both, of one transform."""
    ordered = _ordered(pcm)
    return _exceeded(ordered, LOWER_QUARTILE), _middle(ordered)


def _ordered(pcm: NDArray[np.int16]) -> Floats:
    """Power density of each band in every frame, [BANDS, frames], the least of a band first."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm, _FRAME)[::_HOP] * _HANN
    # With norm="backward", whose factor is 1, numpy computes float32 in double precision.
    lines = np.fft.rfft(frames, axis=1, norm="forward")[:, 1:]  # [frames, 1024], complex64
    power = lines.real**2 + lines.imag**2
    wide = power.reshape(len(power), WIDE_BANDS, _BINS_OF_WIDE) @ _MEAN_OF_WIDE
    both = np.concatenate([power[:, :NARROW_BANDS], wide], axis=1)
    # Of so few frames a whole sort is faster than a partition by several ranks.
    return np.sort(np.ascontiguousarray(both.T), axis=1)


def _exceeded(ordered: Floats, quantile: float) -> Floats:
    rank = int(quantile * (ordered.shape[1] - 1))
    return np.asarray(np.log(ordered[:, rank] + _FLOOR), dtype=np.float32)


def _middle(ordered: Floats) -> Floats:
    frames = ordered.shape[1]
    middle = ordered[:, frames // 4 : frames - frames // 4]
    return np.asarray(np.log(middle + _FLOOR).mean(axis=1), dtype=np.float32)


def level_db(spectra: Floats) -> Floats:
    """Level of the steady part in dBFS (RMS over full scale), of spectra [..., BANDS]."""
    lower = np.exp(spectra[..., NARROW_BANDS:]).sum(axis=-1) * _BINS_OF_WIDE
    return np.asarray(10 * np.log10(2 * lower / _FRAME / _OF_MEAN), dtype=np.float32)


def centres_hz() -> Floats:
    """The middle of each band, [BANDS]."""
    line_hz = RATE_HZ / _FRAME
    narrow = (1 + np.arange(NARROW_BANDS)) * line_hz
    wide = (_BINS_OF_WIDE * np.arange(WIDE_BANDS) + (_BINS_OF_WIDE + 1) / 2) * line_hz
    return np.concatenate([narrow, wide]).astype(np.float32)


def coarse(spectra: Floats) -> Floats:
    """The same in few bands, [windows, COARSE_BANDS], of spectra [windows, BANDS]."""
    power = np.exp(spectra[:, NARROW_BANDS:]) @ _coarse_filters().T
    return np.asarray(np.log(power + _FLOOR), dtype=np.float32)


@cache
def _coarse_filters() -> Floats:
    """Triangles of unit sum over the wide bands, [COARSE_BANDS, WIDE_BANDS]."""
    lowest, highest, wide = (
        2_595 * np.log10(1 + hz / 700)
        for hz in (_LOWEST_HZ, RATE_HZ / 2, centres_hz()[NARROW_BANDS:])
    )
    middles = np.linspace(lowest, highest, COARSE_BANDS + 2)[1:-1]
    step = (highest - lowest) / (COARSE_BANDS + 1)
    triangles = np.maximum(0, 1 - np.abs(wide - middles[:, None]) / step)
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True), dtype=np.float32)
