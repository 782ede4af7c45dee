"""The beat that pulses come at, where they can hardly be told apart one by one.

A room fills short pauses, and its echoes weaken one pulse and not the next: by how much the level
falls differs from pause to pause. But what an appliance does again, it does after the same time.
How alike the level's rises and falls are to those some time later tells that time, of all pulses at
once; how often it fits into what sounds tells how many there are.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.demodulation import STEP_S
from beepwatch.decide.loudness import Loudness
from beepwatch.decide.ranks import median

SHORTEST_BEAT_S = 0.09
FEWEST_BEATS = 2.5  # that what is looked at has to hold
MARGIN_STEPS = 20  # that are looked at beside it
LOWEST_DB, HIGHEST_DB = -25.0, 6.0  # of what is looked at; 0 dB is the pulses' own level
EDGE_STEPS = 4  # a change is one within so many
MOST_CHANGE_DB = 10.0
LEAST_ALIKE = 0.3  # correlation of changes with those a beat later
NEARLY_AS_ALIKE = 0.7  # of the highest correlation: the shortest such time is the beat
OFF = 0.08  # of a beat, by which a multiple of it may be off what is known so far
KNOWN_SHARE = 0.75  # of what is looked at: a correlation over more of it rests on too little
NEXT = 1.35  # beats: what comes later is not the next pulse
LEAST_NEXT = 0.3  # share of pulses that have a next one
SAME_BEAT = 0.15  # by which the interval that was counted may differ from the beat
HEARD = 0.3  # share of the ways of counting that hear something
UNBROKEN = 0.9  # of a beat: what is silent for less goes on
FEWEST_UNBROKEN = 2.0  # beats that something has to go on for
ROUNDING = 0.6  # of a beat: a last one that is cut short by so much less than a whole one is one

Span = tuple[float, float]  # seconds
Values = NDArray[np.float64]


def in_beat(counts: Sequence[Sequence[Span]], loudness: Loudness, start_s: float) -> list[Span]:
    """Pulses at a beat, for as long as `counts` hear something.

    Each of `counts` is what was found in one way, in order, one pulse at least; the level begins at
    `start_s`. Empty if there is no beat, or it is not that of the pulses that were found.
    """
    first_s = _middle([spans[0][0] for spans in counts])
    last_s = _middle([spans[-1][1] for spans in counts])
    beat_s = _beat_s(loudness, first_s - start_s, last_s - start_s)
    usual_s = None if beat_s is None else _usual_s(counts, beat_s)
    if beat_s is None or usual_s is None:
        return []
    runs = [run for run in _runs(counts, beat_s) if run[1] - run[0] >= usual_s / 2]
    if all(end_s - from_s < FEWEST_UNBROKEN * beat_s for from_s, end_s in runs):
        return []
    onsets_s: list[float] = []
    for from_s, end_s in runs:
        further = max(int((end_s - from_s - usual_s) / beat_s + ROUNDING), 0)
        onsets_s += [from_s + beats * beat_s for beats in range(further + 1)]
    return [(onset_s, onset_s + usual_s) for onset_s in onsets_s]


def _usual_s(counts: Sequence[Sequence[Span]], beat_s: float) -> float | None:
    """How long pulses are that others follow a beat later; None if they come at no such beat.

    That of a group of pulses, or of their echoes, is another than their own.
    """
    followed = [pair for spans in counts for pair in pairwise(spans)]
    near = [(one, later) for one, later in followed if later[0] - one[0] < NEXT * beat_s]
    if len(near) < max(LEAST_NEXT * len(followed), 1):
        return None
    own_s = _middle([later[0] - one[0] for one, later in near])
    if abs(beat_s / own_s - 1) > SAME_BEAT:
        return None
    return _middle([one[1] - one[0] for one, _later in near])


def _runs(counts: Sequence[Sequence[Span]], beat_s: float) -> list[Span]:
    """From when to when enough of them hear something, or do not for less than a beat."""
    edges = [(from_s, 1) for spans in counts for from_s, _end_s in spans]
    edges += [(end_s, -1) for spans in counts for _from_s, end_s in spans]
    runs: list[Span] = []
    hearing, least = 0, HEARD * len(counts)
    for at_s, change in sorted(edges):
        before, hearing = hearing, hearing + change
        if before < least <= hearing:
            goes_on = runs and at_s - runs[-1][1] < UNBROKEN * beat_s
            from_s = runs.pop()[0] if goes_on else at_s
        elif hearing < least <= before:
            runs.append((from_s, at_s))
    return runs


def _beat_s(loudness: Loudness, first_s: float, last_s: float) -> float | None:
    """The shortest time after which the level between two times changes in much the same way."""
    first = max(round(first_s / STEP_S) - MARGIN_STEPS, 0)
    last = round(last_s / STEP_S) + MARGIN_STEPS
    lowest_db = max(LOWEST_DB, -loudness.contrast_db)
    level_db = loudness.level_db[first:last].clip(lowest_db, HIGHEST_DB)
    changes = (level_db[EDGE_STEPS:] - level_db[:-EDGE_STEPS]).clip(-MOST_CHANGE_DB, MOST_CHANGE_DB)
    shortest, longest = round(SHORTEST_BEAT_S / STEP_S), int(len(changes) / FEWEST_BEATS)
    if longest - shortest < 3:
        return None
    alike = _alike_later(changes - changes.mean())
    near = alike[shortest:longest]
    is_peak = (near[1:-1] >= near[:-2]) & (near[1:-1] >= near[2:])
    peaks = np.flatnonzero(is_peak) + shortest + 1
    highest = float(alike[peaks].max(initial=0.0))
    if highest < LEAST_ALIKE:
        return None
    beat = int(peaks[alike[peaks] >= NEARLY_AS_ALIKE * highest][0])
    return STEP_S * _to_a_fraction(beat, alike, highest)


def _alike_later(changes: Values) -> Values:
    """[steps]: the correlation of changes [steps] with those so many steps later."""
    steps = len(changes)
    spectrum = np.fft.rfft(changes, 1 << (2 * steps - 1).bit_length())
    products = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:steps]
    energy = np.concatenate([[0.0], (changes**2).cumsum()])
    earlier, later = energy[steps:0:-1], energy[-1] - energy[:-1]
    return np.asarray(products / np.sqrt(np.maximum(earlier * later, 1e-9)))


def _to_a_fraction(beat: int, alike: Values, highest: float) -> float:
    """A beat in steps, by where its multiples are."""
    beats = float(beat)
    times = 2
    while times * beats < KNOWN_SHARE * len(alike):
        reach = max(round(OFF * beats), 2)
        start = round(times * beats) - reach
        place = int(alike[start : start + 2 * reach + 1].argmax())
        if 0 < place < 2 * reach and alike[start + place] > 0.6 * highest:
            beats = (start + place) / times
        times += 1
    return beats


def _middle(values: Sequence[float]) -> float:
    return float(median(np.array(values)))
