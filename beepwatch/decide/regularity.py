"""Whether a tone is cut into pulses as a clock would cut it.

The network answers every 20 ms and hears a room ring: short pulses in quick succession become one
to it, or a few of any length. In their sound they are still apart.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.counting import (
    SHORTEST_S,
    Span,
    counts_of,
    how_many_overlap,
    middle,
    unevenness,
)
from beepwatch.decide.pulses import SHORTEST_PAUSE_S, Pulse

FEWEST = 3  # pulses: two have no more than one pause
LEAST_S = FEWEST * SHORTEST_S + (FEWEST - 1) * SHORTEST_PAUSE_S
TOLD = 0.5  # of them, by the network
MOST_UNEVEN = 0.1  # of lengths and of pauses, together


def is_regular(
    pulses: Sequence[Pulse], sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> bool:
    """Whether some way of counting finds the tone of `pulses` cut evenly.

    `sound` [samples] begins at `start_s`; what is not there is not regular.
    """
    if pulses[-1].offset_s - pulses[0].onset_s < LEAST_S:
        return False
    told = [(pulse.onset_s, pulse.offset_s) for pulse in pulses]
    counts = counts_of(pulses, sound, rate_hz, start_s) or ()
    different = set(map(tuple, counts))  # many ways find the same
    return any(_is_even(spans) and _are_told(spans, told) for spans in different)


def _are_told(spans: Sequence[Span], told: Sequence[Span]) -> bool:
    """Whether enough of them are in pulses that the network tells.

    What a taught sound or a person's word took away is in the sound all the same.
    """
    return how_many_overlap(spans, told) >= TOLD * len(spans)


def _is_even(spans: Sequence[Span]) -> bool:
    """Three and more of one length, with pauses of one length between them."""
    if len(spans) < FEWEST:
        return False
    pauses_s = [later[0] - one[1] for one, later in pairwise(spans)]
    uneven = unevenness(pauses_s)
    if uneven > MOST_UNEVEN or middle(sorted(pauses_s)) < SHORTEST_PAUSE_S:  # most are
        return False
    return uneven + unevenness([end_s - start_s for start_s, end_s in spans]) <= MOST_UNEVEN
