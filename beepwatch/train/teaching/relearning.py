"""A taught sound once more, with what was called right and wrong of it since."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Engine
from beepwatch.classify.heads import Head
from beepwatch.train.teaching.disguise import Disguise, Sound, disguised
from beepwatch.train.teaching.examples import Example
from beepwatch.train.teaching.expectation import WANTED_PER_MONTH, rates_of
from beepwatch.train.teaching.fitting import MOST_EXAMPLES, OF_OTHERS, Shelved, teach
from beepwatch.train.teaching.negatives import Bank
from beepwatch.wording import counted

CHECKED = 48  # disguises that neither the head before nor the new one was made from
CHECKED_SNRS_DB = (6.0, 20.0)
CALLED_WRONG = "a sound that you called wrong"
SPARE = 0.1  # of a logit, left between the threshold and the faintest that is to be heard
SEED = 41


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a head makes of what neither it nor another was made from."""

    caught: int  # of the disguises of every example
    alarms_per_month: float  # as the bank tells
    wrong: int  # of the clips that were called wrong

    def is_worse_than(self, before: "Trial") -> str:
        """In which way, for a line; empty if in none."""
        if self.caught < before.caught:
            return f"it would hear {self.caught} of {CHECKED} trials where it hears {before.caught}"
        if self.alarms_per_month > max(before.alarms_per_month, WANTED_PER_MONTH):
            alarms = counted(round(self.alarms_per_month), "false alarm")
            was = f"where it is {before.alarms_per_month:.0f}"
            return f"about {alarms} a month would be expected {was}"
        if self.wrong > before.wrong:
            return f"it would take {counted(self.wrong, 'clip')} called wrong, not {before.wrong}"
        return ""


class Relearnt(msgspec.Struct, frozen=True, kw_only=True):
    """Another head for a taught sound, and how it compares."""

    head: Head
    before: Trial
    after: Trial


class Relearning:
    """One taught sound, with its examples, and what was said of it."""

    def __init__(
        self,
        examples: Sequence[Example],
        right: Sequence[Example],
        wrong: Sequence[Example],
        engine: Engine,
        *,
        bank: Bank | None,
        room: Sound | None,
    ) -> None:
        """Of the clips that were called right the newest count, as far as there is room."""
        room_for = max(MOST_EXAMPLES - len(examples), 0)
        self._examples = [*examples, *(right[-room_for:] if room_for else [])]
        self._wrong = list(wrong)
        self._engine = engine
        self._bank = bank
        self._room = room

    def relearn(self, before: Head, others: Sequence[Shelved]) -> Relearnt:
        """A head made of all of it, its threshold such that it hears no less than the one before.

        Raises NoBeepFound where the examples share no pitch.
        """
        batches = [
            Shelved(name=CALLED_WRONG, examples=tuple(self._wrong[first : first + OF_OTHERS]))
            for first in range(0, len(self._wrong), OF_OTHERS)
        ]
        taught = teach(
            before.name,
            self._examples,
            self._engine,
            bank=self._bank,
            others=[*others, *batches],
            room=self._room,
        ).head
        # A clip of any number of pulses was called right: how many to ask for stays as it was.
        taught = msgspec.structs.replace(taught, pulses=min(taught.pulses, before.pulses))
        trials = list(self._trials(before))
        then, now = (np.array([_peak(head, one) for one in trials]) for head in (before, taught))
        was = self._trial(before, then)
        spare = float(np.sort(now)[-was.caught]) - SPARE if was.caught else 0.0
        worse = self._alarms(taught) > max(was.alarms_per_month, WANTED_PER_MONTH)
        if spare < 0 or worse:  # to hear as much as before, and no more where that costs quiet
            taught = msgspec.structs.replace(taught, bias=float(f"{taught.bias - spare:.7g}"))
            now = now - spare
        return Relearnt(head=taught, before=was, after=self._trial(taught, now))

    def _trials(self, head: Head) -> list[Disguise]:
        found: list[Disguise] = []
        for number in range(CHECKED):
            rng = np.random.default_rng([SEED, number])
            found.append(
                disguised(
                    rng,
                    self._examples[number % len(self._examples)],
                    self._engine,
                    tones_hz=head.pitches_hz,
                    rooms_noise=[] if self._room is None else [self._room],
                    snr_db=rng.uniform(*CHECKED_SNRS_DB),
                )
            )
        return found

    def _trial(self, head: Head, peaks: NDArray[np.float64]) -> Trial:
        wrong = [head.logits(one.answers)[one.sounding] for one in self._wrong]
        return Trial(
            caught=int((peaks >= 0).sum()),
            alarms_per_month=self._alarms(head),
            wrong=sum(bool((logits >= _needed(head)).any()) for logits in wrong),
        )

    def _alarms(self, head: Head) -> float:
        rates = rates_of(self._bank, head.pitches_hz, head.tolerance, pulses=head.pulses)
        peaks = rates.peaks(np.array(head.weights), head.bias)
        return rates.at(peaks, _needed(head))


def _needed(head: Head) -> float:
    """The logit of its threshold."""
    return math.log(head.threshold / (1 - head.threshold))


def _peak(head: Head, trial: Disguise) -> float:
    """By how much a head is surer than it needs to be, at most, while the sound lasts."""
    if not trial.sounding.any():
        return -math.inf
    return float(head.logits(trial.answers)[trial.sounding].max()) - _needed(head)
