"""Which of a sound's pitches a veto is to know: as many as silence it anywhere, at little cost.

A veto knows a sound by the pitches that were heard of it, and a room may swallow any of them. So a
clip that two pitches silence, each by itself, promises more than one that a single one does, and a
pitch that silences most clips more than one that a few of the rooms favour. And each pitch more is
one that no other device may have.
"""

import math
from collections.abc import Sequence, Set
from itertools import combinations
from statistics import NormalDist

import msgspec

COSTS = 0.5  # shares of its clips that a sound may go on with, to spare the pitches that it takes
LEAST_SAME = 0.05  # share of others' beeps at a pitch that is taken to be lost, at least


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """What a veto of one pitch does by itself."""

    pitch_hz: float
    same: float  # share of made-up beeps at this very pitch that it silences too
    silent: frozenset[int]  # events


def by_worth(pitches: Sequence[Alone], events: Set[int]) -> list[tuple[Alone, ...]]:
    """Every choice of pitches that silences some of these events and is worth it, the best first.

    The pitches of a choice are in the order in which they were given.
    """
    choices = [
        several
        for count in range(1, len(pitches) + 1)
        for several in combinations(pitches, count)
        if worth(several, events) > 0
    ]
    return sorted(choices, key=lambda several: worth(several, events), reverse=True)


def silent_by(several: Sequence[Alone]) -> frozenset[int]:
    """The events that one of these pitches silences."""
    return frozenset[int]().union(*(one.silent for one in several))


def worth(several: Sequence[Alone], events: Set[int]) -> float:
    """Share of these events' sound that is to be silent elsewhere, less what the pitches cost.

    What a pitch silences here it silences elsewhere as often as it does here, by the rule of
    succession (Laplace 1812): never surely, however few the events.
    """
    missed = {one: 1 - (len(one.silent & events) + 1) / (len(events) + 2) for one in several}
    alarming = [
        math.prod(missed[one] for one in several if event in one.silent) for event in events
    ]
    others = sum(commonness(one.pitch_hz) * (one.same + LEAST_SAME) for one in several)
    return 1 - sum(alarming) / len(events) - COSTS * others


def commonness(pitch_hz: float) -> float:
    """How many other devices have this pitch, relative to other pitches.

    By what `synthesis.beep_pitch_hz` draws: half of all buzzers lie about 3 kHz.
    """
    piezo = 0.5 * pitch_hz * NormalDist(3_000, 650).pdf(pitch_hz)
    return piezo + 0.5 / math.log(6_000 / 400)
