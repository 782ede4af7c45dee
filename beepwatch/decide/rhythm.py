"""A taught sound that repeats itself is known by when its pulses begin as well.

What its head is not sure of is believed if two pulses are as far apart as it was taught, and what
it is fairly sure of is not if no two are: others have its pitch, but seldom its pace.
"""

from collections.abc import Sequence
from math import exp, log

from beepwatch.decide.believing import Belief
from beepwatch.decide.pulses import SHORTEST_PAUSE_S, Pulse, have_same_pitch, odds_of

SLACK_S = 0.05  # two frames and more: how far off its time a pulse may be told,
SLACK_SHARE = 0.05  # and so much of an interval
SUREST = exp(3.0)  # of the threshold's odds; a pulse that is surer proves no more
IN_TIME = exp(-2.5)  # of the threshold's odds, that two pulses in time have in the mean
OUT_OF_TIME = exp(3.0)  # and that each of two others has
BESIDE = exp(-1.2)  # and that one has which counts beside those for its pitch


class Rhythm(Belief):
    """What it takes for pulses of a sound whose pulses begin at known intervals."""

    def __init__(self, threshold: float, intervals_s: Sequence[float]) -> None:
        super().__init__(threshold, None)
        self._intervals_s = tuple(intervals_s)

    def holds_at_once(self, pulse: Pulse, earlier: Sequence[Pulse]) -> bool:
        """Whether one before it proves it, and it the one before."""
        return any(self._prove(one, pulse) for one in earlier)

    def holds(self, pulse: Pulse, alike: Sequence[Pulse]) -> bool:
        """Never: nothing is known at its end that was not known before."""
        return False

    def vouches(self, one: Pulse, other: Pulse) -> bool:
        """Whether they are in time, or of one pitch and not too faint."""
        earlier, later = sorted([one, other], key=lambda pulse: pulse.onset_s)
        if self._are_in_time(earlier, later):
            return True
        fainter = min(self._beside_needed(one), self._beside_needed(other))
        return fainter >= BESIDE and have_same_pitch(one, other)

    def _prove(self, one: Pulse, later: Pulse) -> bool:
        if later.onset_s - one.offset_s < SHORTEST_PAUSE_S:
            return False
        odds = [min(self._beside_needed(pulse), SUREST) for pulse in (one, later)]
        if min(odds) >= OUT_OF_TIME:
            return True
        return sum(map(log, odds)) / 2 >= log(IN_TIME) and self._are_in_time(one, later)

    def _are_in_time(self, one: Pulse, later: Pulse) -> bool:
        apart_s = later.onset_s - one.onset_s
        return any(
            abs(apart_s - interval_s) <= max(SLACK_S, SLACK_SHARE * interval_s)
            for interval_s in self._intervals_s
        )

    def _beside_needed(self, pulse: Pulse) -> float:
        return max(odds_of(pulse.peak_score) / self._needed, 1e-9)
