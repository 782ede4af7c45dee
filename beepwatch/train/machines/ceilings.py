"""Learns what half a minute of a machine that is well has at most: of lines, of clicks, of noise.

The least limits were chosen on machines of the train split (propellers of mission `square`, toys of
DCASE) and on made ones, under household recordings of train and dev: docs/machines.md.
"""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.condition import Ceiling, Limits, packed
from beepwatch.classify.novelties import (
    LINE_PARTS,
    RATE_PARTS,
    Excess,
    Known,
    line_ridges,
    rate_ridges,
)
from beepwatch.classify.portraits import QUIET, UNEVEN
from beepwatch.classify.spectra import LINES, Floats, centres_hz
from beepwatch.classify.swings import RATES_HZ

PACE_TOLERANCE = 0.03  # relative: how far its speed may wander
RUN, STRIDE = 10, 3  # windows whose median is taken, from one such to the next
LEAST_LINE_DB, LEAST_RATE_DB, LEAST_UNEVEN_DB = 9.0, 6.0, 3.0
_BEYOND = 1.25  # what was held back: so much of its most


def learn_ceilings(
    portraits: Floats, of_state: NDArray[np.intp], halves: NDArray[np.intp]
) -> tuple[list[Ceiling], Limits]:
    """Of each state, from portraits [windows, FEATURES] in their order, and the limits of all.

    A limit is beyond what half of the sound has that the other half has not.
    """
    numbers = np.unique(of_state).tolist()
    held_back = [
        excess
        for number in numbers
        for own in (0, 1)
        for excess in _held_back(
            portraits[(of_state == number) & (halves != own)],
            portraits[(of_state == number) & (halves == own)],
        )
    ]
    limits = Limits(
        line_db=_limit([one.lines for one in held_back], LEAST_LINE_DB),
        rate_db=_limit([one.rates for one in held_back], LEAST_RATE_DB),
        uneven_db=_limit([one.uneven for one in held_back], LEAST_UNEVEN_DB),
    )
    return [_ceiling(portraits[of_state == number]) for number in numbers], limits


def _held_back(known: Floats, other: Floats) -> list[Excess]:
    if not len(known) or not len(other):
        return []
    ceiling = Known(_ceiling(known))
    return [ceiling.excess(middle) for middle in _middles(other)]


def _limit(excesses: list[Floats], least_db: float) -> float:
    most_db = max((float(excess.max()) for excess in excesses), default=0.0)
    return max(least_db, _BEYOND * most_db)


def _ceiling(portraits: Floats) -> Ceiling:
    middles = _middles(portraits)
    lines, rates = line_ridges(middles), rate_ridges(middles)
    return Ceiling(
        lines=packed(_widened(lines.above.max(axis=0), centres_hz()[LINES], LINE_PARTS)),
        noise=packed(lines.noise.max(axis=0)),
        rates=packed(_widened(rates.above.max(axis=0), RATES_HZ, RATE_PARTS)),
        uneven=packed(middles[:, UNEVEN].max(axis=0)),
        quiet=packed(middles[:, QUIET].max(axis=0)),
    )


def _middles(portraits: Floats) -> Floats:
    """Medians of runs, [runs, FEATURES]; of all of it if it is shorter than a run."""
    firsts = range(0, max(len(portraits) - RUN, 0) + 1, STRIDE)
    return np.stack([np.median(portraits[first : first + RUN], axis=0) for first in firsts])


def _widened(most: Floats, hz: Floats, parts: tuple[slice, ...]) -> Floats:
    """The most within what a band may wander to."""
    wide = np.empty_like(most)
    for part in parts:
        own, bands_hz = most[part], hz[part]
        step_hz = float(bands_hz[1] - bands_hz[0])
        reach = np.maximum(np.ceil(PACE_TOLERANCE * bands_hz / step_hz), 1).astype(int).tolist()
        wide[part] = [
            own[max(0, band - far) : band + far + 1].max() for band, far in enumerate(reach)
        ]
    return wide
