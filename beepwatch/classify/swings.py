"""How a machine's sound swings within a window: what clicks, rattles and beats.

A lower quartile over time hears nothing that is brief. So in five octaves the level is followed
every 4 ms, and three things are kept of it: how strongly it swings at each rate (a part that clicks
with every turn stands out at that rate and at its multiples); how uneven it is, which is more for
whatever clicks, in time or out of it; and how loud it is in between.
"""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.spectra import WINDOW_S, Floats

_FRAME, _HOP = 128, 64  # 8 ms, every 4 ms
OCTAVES_HZ = np.array([375, 750, 1_500, 3_000, 6_000], dtype=np.float32)  # their middles
OCTAVES = len(OCTAVES_HZ)
_SLOWEST, _FASTEST = 3, 183  # lines of a third of a hertz
RATES_HZ = (np.arange(_SLOWEST, _FASTEST) / WINDOW_S).astype(np.float32)
RATES = len(RATES_HZ)
SWINGS = RATES + 2 * OCTAVES
_BLOCKS = 6  # half a second each: what is not in most of them does not go on
_FULL_SCALE = 32_768.0
_POINTS = 750  # of the transform of a window's levels, of which there are 749
_FLOOR = np.float32(1e-10)
_LEAST = np.float32(1e-6)
_OCTAVE_OF_LINE = [line.bit_length() - 2 for line in range(_FRAME // 2)]  # 125 Hz apart
_FILTERS = np.equal.outer(_OCTAVE_OF_LINE, range(OCTAVES)).astype(np.float32)
_HALF = _FRAME // 2
_AT_A_TIME = 64  # frames: of larger products BLAS makes a task for every core


def _waves() -> tuple[Floats, Floats]:
    """Cosines and sines under a Hann window, [sample 1 to _HALF, line], of a frame's two halves.

    The window and the cosines are even about the frame's middle and the sines odd, so a frame is
    folded there, which halves the work; so short a transform is faster as a product than by FFT.
    """
    window = np.hanning(_FRAME + 1)[:-1]
    window /= np.sqrt((window**2).sum()) * _FULL_SCALE
    places = np.arange(1, _HALF + 1)
    folded = window[places, None] * np.where(places == _HALF, 0.5, 1.0)[:, None]
    turns = 2 * np.pi * np.outer(places, np.arange(_HALF)) / _FRAME
    return (folded * np.cos(turns)).astype(np.float32), (folded * np.sin(turns)).astype(np.float32)


_EVEN, _ODD = _waves()


def swings(pcm: NDArray[np.int16]) -> Floats:
    """Of a whole window, [SWINGS], natural logs: RATES, OCTAVES of unevenness, OCTAVES of quiet.

    Power at a rate is over that at the typical one; unevenness is the mean square of an octave's
    power over its squared mean, of 0.5 s, in the median of them; quiet is the lower quartile.
    """
    octaves = _octaves(pcm)
    levels = np.log(octaves)
    lower = len(levels) // 4
    quiet = np.partition(levels, lower, axis=0)[lower]
    found = [_at_rates(levels), _unevenness(octaves), quiet]
    return np.concatenate(found).astype(np.float32)


def _octaves(pcm: NDArray[np.int16]) -> Floats:
    """Power of each octave in every frame, [frames, OCTAVES]."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float32), _FRAME)[::_HOP]
    first, last = frames[:, 1 : _HALF + 1], frames[:, : _HALF - 1 : -1]
    even, odd = first + last, first - last
    octaves = np.empty((len(frames), OCTAVES), dtype=np.float32)
    for start in range(0, len(frames), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        power = (even[part] @ _EVEN) ** 2 + (odd[part] @ _ODD) ** 2  # [frames, lines]
        octaves[part] = power @ _FILTERS
    return octaves + _FLOOR


def _at_rates(levels: Floats) -> Floats:
    """The octaves' mean, each over its own median: of a loud one no more than of a soft one."""
    taper = np.hanning(len(levels) + 1)[:-1, None].astype(np.float32)
    swing = (levels - levels.mean(axis=0)) * taper
    lines = np.fft.rfft(swing, n=_POINTS, axis=0)[_SLOWEST:_FASTEST]
    power = lines.real**2 + lines.imag**2
    typical = np.median(power, axis=0)
    return np.asarray(np.log((power / (typical + _LEAST)).mean(axis=1) + _LEAST))


def _unevenness(octaves: Floats) -> Floats:
    length = len(octaves) // _BLOCKS
    blocks = octaves[: length * _BLOCKS].reshape(_BLOCKS, length, OCTAVES)
    ratio = (blocks**2).mean(axis=1) / blocks.mean(axis=1) ** 2
    return np.asarray(np.median(np.log(ratio), axis=0))
