"""What is measured of three seconds of a machine: what any engineer tries first, and what ships."""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.portraits import portrait
from beepwatch.classify.spectra import RATE_HZ, spectrum, typical
from beepwatch.train import augment

Sound = NDArray[np.float32]
Features = NDArray[np.float32]

_FRAME, _MELS = 1_024, 64


def _mel_filters() -> Features:
    edges_mel = np.linspace(0, 2_595 * np.log10(1 + RATE_HZ / 2 / 700), _MELS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2_595) - 1)
    line_hz = np.fft.rfftfreq(_FRAME, 1 / RATE_HZ)
    rising = (line_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling = (edges_hz[2:, None] - line_hz) / np.diff(edges_hz)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


_FILTERS = _mel_filters()
_WINDOW = np.hanning(_FRAME + 1)[:-1].astype(np.float32)


def plain(window: Sound) -> Features:
    """Mean and deviation over time of 64 log-mel bands, [128]."""
    frames = np.lib.stride_tricks.sliding_window_view(window, _FRAME)[:: _FRAME // 2] * _WINDOW
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bands = np.log(power @ _FILTERS.T + 1e-8)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)]).astype(np.float32)


def quartiles(window: Sound) -> Features:
    """What ships, of full scale 1: for strangeness."""
    return spectrum(augment.to_int16(window))


def middles(window: Sound) -> Features:
    """The same for faults."""
    return typical(augment.to_int16(window))


def portrayed(window: Sound) -> Features:
    """What is learned from when all is well, of full scale 1."""
    return portrait(augment.to_int16(window))
