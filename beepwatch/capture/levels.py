"""How loud a stretch of sound is."""

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32_768.0  # int16
_METER_FROM_DBFS = -70.0
_METER_WIDTH = 20  # with what stands behind it, on a terminal of 80 columns


def level_dbfs(
    samples: NDArray[np.int16] | NDArray[np.float32], *, full_scale: float = FULL_SCALE
) -> float:
    """RMS over `full_scale` in dB; -inf for digital silence and for no samples at all.

    A sine of full amplitude sits at -3.01 dBFS.
    """
    wide = samples.astype(np.float32)
    energy = float(np.dot(wide, wide))
    if energy == 0:
        return -math.inf
    return 10 * math.log10(energy / samples.size / full_scale**2)


def meter(level: float) -> str:
    """A level in dBFS as a bar and a number."""
    shown = min(0.0, max(level, _METER_FROM_DBFS))
    filled = round(_METER_WIDTH * (1 - shown / _METER_FROM_DBFS))
    return f"{'█' * filled}{'░' * (_METER_WIDTH - filled)} {level:6.1f} dBFS"
