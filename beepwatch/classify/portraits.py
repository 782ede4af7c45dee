"""All that is kept of three seconds of a machine: its steady spectrum, how it swings, its typical
spectrum.
"""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.spectra import BANDS, Floats, steady_and_typical
from beepwatch.classify.swings import OCTAVES, RATES, SWINGS, swings

FEATURES = BANDS + SWINGS + BANDS
STEADY = slice(0, BANDS)  # as `spectrum`
BEATING = slice(BANDS, BANDS + RATES)
UNEVEN = slice(BANDS + RATES, BANDS + RATES + OCTAVES)
QUIET = slice(BANDS + RATES + OCTAVES, BANDS + SWINGS)
NEWS = slice(0, BANDS + SWINGS)  # in which what is new is looked for
TYPICAL = slice(BANDS + SWINGS, FEATURES)  # what faults are named by


def portrait(pcm: NDArray[np.int16]) -> Floats:
    """Of a whole window, [FEATURES]."""
    steady, typical = steady_and_typical(pcm)
    return np.concatenate([steady, swings(pcm), typical])
