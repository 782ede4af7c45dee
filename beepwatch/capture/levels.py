"""How loud a stretch of sound is."""

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32_768.0  # int16


def level_dbfs(pcm: NDArray[np.int16]) -> float:
    """RMS over full scale in dB; -inf for digital silence and for no samples at all.

    A sine of full amplitude sits at -3.01 dBFS.
    """
    samples = pcm.astype(np.float32)
    energy = float(np.dot(samples, samples))
    if energy == 0:
        return -math.inf
    return 10 * math.log10(energy / samples.size / FULL_SCALE**2)
