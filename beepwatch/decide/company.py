"""The company that a pulse is in: which tones sounded lately, and were not believed.

An appliance is heard alone, or beside whatever else sounds in a home: a few tones in a minute. A
tune is one pulse after another, at many pitches, and some of them are like an appliance's by
chance: no one of them can tell. So the more tones there were at other pitches, the surer a pulse
has to be. What was believed does not count: several appliances may call one after another.
"""

from collections.abc import Sequence
from math import log

from beepwatch.decide.pulses import Pulse, have_same_pitch

LATELY_S = 40.0
MOST_OF_A_PITCH = 3  # that count: who says the same again is no tune
USUAL = 4  # tones that a home has in that time without any music
STEEPNESS = 2.0  # log odds taken for each e-fold of tones beyond that
MOST_KEPT = 60  # pulses; more of them than that say no more


class Company:
    """Of one label, from pulse to pulse; times are the pulses' own."""

    def __init__(self) -> None:
        self._pulses: list[Pulse] = []  # the oldest first

    def hear(self, pulse: Pulse, believed: Sequence[Pulse]) -> None:
        """One more is over; those of an episode that is believed by now do not count any more."""
        explained = {one.onset_s for one in believed}
        kept = (one for one in [*self._lately(pulse), pulse] if one.onset_s not in explained)
        self._pulses = list(kept)[-MOST_KEPT:]

    def log_odds(self, pulse: Pulse) -> float:
        """What it takes from a pulse that is over: 0, or less where many tones sounded before."""
        tones = self._tones_beside(pulse)
        return 0.0 if tones <= USUAL else -STEEPNESS * log(tones / USUAL)

    def _tones_beside(self, pulse: Pulse) -> int:
        """At other pitches than its own, a few of each."""
        pitches: list[Pulse] = []
        counts: list[int] = []
        for other in self._lately(pulse):
            if have_same_pitch(other, pulse):
                continue
            known = next((i for i, one in enumerate(pitches) if have_same_pitch(one, other)), None)
            if known is None:
                pitches.append(other)
                counts.append(1)
            else:
                counts[known] += 1
        return sum(min(count, MOST_OF_A_PITCH) for count in counts)

    def _lately(self, pulse: Pulse) -> list[Pulse]:
        oldest_s = pulse.onset_s - LATELY_S
        return [one for one in self._pulses if one.onset_s >= oldest_s]
