"""All that is kept of three seconds of a machine: its steady spectrum and how it swings."""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.spectra import BANDS, Floats, spectrum
from beepwatch.classify.swings import OCTAVES, RATES, SWINGS, swings

FEATURES = BANDS + SWINGS
STEADY = slice(0, BANDS)  # as `spectrum`
BEATING = slice(BANDS, BANDS + RATES)
UNEVEN = slice(BANDS + RATES, BANDS + RATES + OCTAVES)
QUIET = slice(BANDS + RATES + OCTAVES, FEATURES)


def portrait(pcm: NDArray[np.int16]) -> Floats:
    """Of a whole window, [FEATURES]."""
    return np.concatenate([spectrum(pcm), swings(pcm)])
