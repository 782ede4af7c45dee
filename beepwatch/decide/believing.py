"""Whether pulses are believed: by their score, by their sound, by their likes.

An appliance repeats itself exactly; nothing alive does. So two pulses that would not be believed
by themselves are, if they are alike in pitch and length. And as they end their sound is looked at,
and heard again where that may matter: what scores as high at another speed and holds its pitch as
only a machine does needs less of a score, what does not needs more; what is cut into even pulses
needs hardly any, what comes amid many other tones (`decide/company.py`) again more. A motor holds
its pitch as well: where a tone went on between its pulses, all of it has to look like an
appliance's.
"""

from collections.abc import Sequence
from math import inf
from typing import Protocol

import msgspec

from beepwatch.decide.company import Company
from beepwatch.decide.opinion import LONGEST_S
from beepwatch.decide.pulses import Opinion, Pulse, odds_of
from beepwatch.decide.rehearing import MOST_MORE

ROUNDING = 1e-6  # of odds
REPEATED_ODDS = 12.0  # by how much the odds of a pulse rise that comes again just so
FAINT_ODDS = 30.0  # and of one that comes a third time
KNOWN_ODDS = 100.0  # and of one at the pitch of an episode's others
SURER = 1.0  # log odds more than it says, for what was looked at so closely
CERTAIN_ODDS = 5.0  # times the threshold's: what has them need not be heard again,
HOPELESS_ODDS = 50.0  # nor what is so many times too small
LEAST_SAID = -0.5  # log odds: its sound may hardly speak against what is cut evenly
SILENT_SHARE = 0.05  # of the half second before a pulse: if its tone sounded in more, it went on
LEAST_LIKENESS = -0.4  # to an appliance's pulses, of what a tone that went on is cut into


class Ear(Protocol):
    """What can be asked of the sound; None where it is not there."""

    def opinion(self, pulse: Pulse) -> Opinion | None:
        """What a pulse's own sound says of it."""

    def again(self, pulse: Pulse) -> float:
        """By how much likelier it is, in log odds, by what the network says of it once more."""

    def is_regular(self, pulses: Sequence[Pulse]) -> bool:
        """Whether their tone is cut as a clock would cut it."""

    def likeness(self, pulses: Sequence[Pulse]) -> float | None:
        """How much like an appliance's the sound of several is, all that it holds of their tone."""


def lowered(threshold: float, odds: float) -> float:
    """The probability whose odds are so many times less than those of `threshold`."""
    return threshold / (threshold + odds * (1 - threshold))


class Belief:
    """What it takes for pulses of one label.

    Without an `ear` those that reach its threshold are believed at once, and so is what goes on
    for `LONGEST_S`; all others when they end.
    """

    def __init__(self, threshold: float, ear: Ear | None) -> None:
        self._threshold = threshold
        self._needed = odds_of(threshold)
        self._ear = ear
        self._company = Company()

    def holds_at_once(self, pulse: Pulse) -> bool:
        """Whether one that may still sound is believed, by its score: if nobody will ask it."""
        asked = self._ear is not None and pulse.duration_s <= LONGEST_S
        return pulse.peak_score >= self._threshold and not asked

    def asked_of(self, pulse: Pulse) -> Pulse:
        """With what its sound and its company say, and the most that hearing it again may add."""
        said = None if self._ear is None else self._ear.opinion(pulse)
        if said is None:
            return pulse
        said = said._replace(log_odds=said.log_odds + SURER + self._company.log_odds(pulse))
        asked = _with(pulse, said)
        if self._reaches(asked, 1 / CERTAIN_ODDS) or not self._reaches(asked, HOPELESS_ODDS):
            return asked
        return _with(pulse, said._replace(again=MOST_MORE, unheard=True))

    def passed(self, pulse: Pulse, believed: Sequence[Pulse]) -> None:
        """A pulse is over and judged: company for those to come, unless it is `believed`."""
        if self._ear is not None:
            self._company.hear(pulse, believed)

    def settled(self, pulses: Sequence[Pulse]) -> list[Pulse]:
        """Alike ones, the last of them just over and the others before it: heard again, from the
        last to the first, for as long as it may be believed and is not for itself.
        """
        *alike, pulse = pulses
        if self._may_hold(pulse, alike):
            pulse = self._heard_again(pulse)
        for place in reversed(range(len(alike))):
            if self._reaches(pulse, 1.0) or not self._may_hold(pulse, alike):
                break
            alike[place] = self._heard_again(alike[place])
        return [*alike, pulse]

    def holds(self, pulse: Pulse, alike: Sequence[Pulse]) -> bool:
        """Whether a pulse is believed, for itself or with those before it that are its like.

        For itself if its odds reach the threshold's; with another if both come near it (by
        `REPEATED_ODDS`), and with two if all are faint (by `FAINT_ODDS`).
        """
        if self._reaches(pulse, 1.0):
            return True
        return self._are_enough(pulse, alike) and not self._go_on(self._faint([*alike, pulse]))

    def holds_as_regular(self, pulses: Sequence[Pulse]) -> bool:
        """Whether the last of some at one pitch is believed for how evenly their tone is cut,
        however few of its pulses the network tells apart and however near to the least score.
        """
        pulse = pulses[-1]
        if self._ear is None or pulse.opinion is None:
            return False
        known = pulse.opinion.log_odds >= LEAST_SAID and self._reaches(pulse, KNOWN_ODDS)
        return known and self._ear.is_regular(pulses) and not self._go_on(pulses)

    def is_near(self, pulse: Pulse) -> bool:
        """Whether it would be believed if it came again."""
        return self._reaches(pulse, REPEATED_ODDS)

    def _may_hold(self, pulse: Pulse, alike: Sequence[Pulse]) -> bool:
        """Whether it is believed, if no tone goes on."""
        return self._reaches(pulse, 1.0) or self._are_enough(pulse, alike)

    def _heard_again(self, pulse: Pulse) -> Pulse:
        """With what the network says of it once more, if it was not asked yet."""
        said = pulse.opinion
        if self._ear is None or said is None or not said.unheard:
            return pulse
        return _with(pulse, said._replace(again=self._ear.again(pulse), unheard=False))

    def _is_faint(self, pulse: Pulse) -> bool:
        """Or more than that."""
        return self._reaches(pulse, FAINT_ODDS)

    def _reaches(self, pulse: Pulse, odds: float) -> bool:
        """Whether its odds, with what its sound says, are at most so many times too small."""
        return pulse.odds * odds * (1 + ROUNDING) >= self._needed

    def _faint(self, pulses: Sequence[Pulse]) -> list[Pulse]:
        return [one for one in pulses if self._is_faint(one)]

    def _are_enough(self, pulse: Pulse, alike: Sequence[Pulse]) -> bool:
        """Three, or two that come near."""
        faint = self._faint([*alike, pulse])
        return self._is_faint(pulse) and (len(faint) >= 3 or sum(map(self.is_near, faint)) >= 2)

    def _go_on(self, alike: Sequence[Pulse]) -> bool:
        """Whether they are a whine that wavers: their tone sounded before each of them already,
        and what it is cut into has neither the lengths nor the pauses of an appliance, or no pauses
        at all though not each comes near the threshold.
        """
        before = [one.opinion.before for one in alike if one.opinion is not None]
        if self._ear is None or not before or min(before) <= SILENT_SHARE:
            return False
        likeness = self._ear.likeness(alike)
        if likeness == -inf:  # a whine, or pulses that the room drowns: the score has to tell
            return not all(map(self.is_near, alike))
        return likeness is not None and likeness < LEAST_LIKENESS


def _with(pulse: Pulse, said: Opinion) -> Pulse:
    return msgspec.structs.replace(pulse, opinion=said)
