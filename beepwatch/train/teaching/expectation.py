"""How often a head would raise a false alarm, and from where on it may be believed.

A month holds far more than any bank, so its rate is extrapolated twice. Over pitch: every event
that held a tone near the taught one is put at the taught pitch and beside it, and counts with the
chance that it would have been there. Over the score: beyond the highest few events their rate
falls exponentially, as the excess over a high threshold does (Coles, An Introduction to
Statistical Modeling of Extreme Values, 2001, section 4.2, with shape 0).

The network was trained on the recordings that the bank is made of, and so is surer of them than of
any others. By how much was measured on the dev split, which it never met, with forty sounds from
one example and from three: what holds a pitch was taken for the sound five times as often as the
bank tells, and two such pulses in one episode came half as often. Those are what is aimed at.
What a person is told is three times as much. Where the rate is as high as is borne, that held for
each group of those sounds: smoke alarms and timers, washing machines' tunes, and notifications that
are hardly beeps. Where it is a tenth of that, the last came somewhat more often than told.
"""

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.heads import FEATURES, Expected, features, smoothed
from beepwatch.train.teaching.negatives import FRAMES, Bank

MONTH_H = 30 * 24.0
OFFSETS = (-0.02, -0.012, -0.007, -0.003, 0.0, 0.003, 0.007, 0.012, 0.02)  # relative, of pitch
TONES = 3  # of the taught ones that are looked at
TAIL = 0.03  # share of the events' whole rate that tells how fast it falls
WANTED_PER_MONTH = 1.0
CAUGHT = 0.05  # share of the tried that the threshold may lie above
UNMET = 5.0  # how much more often a recording that the network was not trained on comes as near
REPEATED = 0.1  # share of those that come with another pulse like them
AT_MOST = 3.0  # how many times the likeliest rate is told
UNKNOWN = 3.0  # logits below what is to be caught, where there is no bank to ask
LEAST_SCALE = 0.3  # logits in which the rate falls to 1/e, at least
MOST_PER_MONTH = 500.0  # that are borne to catch what was shown, were there no quiet hour in it
POOR_PER_MONTH = 300.0  # more is said to be poor
NEAR_SHARE = 0.05  # of another sound's disguises that are taken for this one


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The bank's events at the taught tones, with how many of each a month are to be expected."""

    seen: NDArray[np.float32]  # [events, FRAMES, features]
    per_month: NDArray[np.float64]  # [events]
    kind: NDArray[np.uint8]  # [events]
    kinds: tuple[str, ...]
    half: NDArray[np.intp]  # [events], 0 or 1: which half of the bank it is of

    def peaks(self, weights: NDArray[np.float64], bias: float) -> NDArray[np.float64]:
        """How sure a head is of each event at most, [events]."""
        if not len(self.per_month):
            return np.zeros(0)
        logits = smoothed(self.seen @ weights.astype(np.float32))
        return np.asarray(logits.max(axis=1) + bias, dtype=np.float64)

    def tail(self, peaks: NDArray[np.float64]) -> tuple[float, float, float]:
        """A high score, the rate a month of what is above it, and its scale of falling."""
        order = np.argsort(-peaks)
        rate = np.cumsum(self.per_month[order])
        if not len(peaks) or rate[-1] <= 0:
            return 0.0, 0.0, 1.0
        index = int(np.searchsorted(rate, TAIL * rate[-1]))
        index = min(max(index, 1), len(order) - 1)
        high = float(peaks[order[index]])
        above = order[: index + 1]
        scale = float(np.average(peaks[above] - high, weights=self.per_month[above] + 1e-12))
        return high, float(rate[index]), max(scale, LEAST_SCALE)

    def at(self, peaks: NDArray[np.float64], threshold: float) -> float:
        """False alarms a month of a head that is as sure of each event as that."""
        high, rate, scale = self.tail(peaks)
        if threshold >= high:
            return rate * math.exp(-(threshold - high) / scale)
        return float(self.per_month[peaks >= threshold].sum())

    def threshold(self, peaks: NDArray[np.float64], tried: NDArray[np.float64]) -> float:
        """The logit to believe from: above what a month may hold, below what is to be caught.

        Where there is room between the two, two thirds of the way down; where there is none, what
        is to be caught decides as far as that can be borne.
        """
        high, rate, scale = self.tail(peaks)
        catching = float(np.quantile(tried, CAUGHT))
        if not rate:
            return catching - UNKNOWN
        wanted, bearable = (
            high + scale * math.log(rate / most) for most in (WANTED_PER_MONTH, MOST_PER_MONTH)
        )
        if wanted <= catching:
            return wanted + (catching - wanted) / 3
        return max(bearable, min(wanted, catching))

    def expected(
        self,
        peaks: NDArray[np.float64],
        threshold: float,
        caught: tuple[int, int],
        confusions: Mapping[str, float],
    ) -> Expected:
        """In the words of a report; `peaks` best of heads that had not met the event."""
        per_month = AT_MOST * self.at(peaks, threshold)
        nearest = self._nearest(peaks, threshold)
        taken = max(confusions, key=lambda name: confusions[name], default="")
        if taken and confusions[taken] >= NEAR_SHARE:
            nearest = taken
        return Expected(
            examples=caught[1],
            caught=caught[0],
            nearest=nearest,
            false_alarms_per_month=float(f"{per_month:.3g}") if len(self.per_month) else None,
            advice=_advice(per_month, caught, confusions.get(taken, 0.0), taken),
        )

    def _nearest(self, peaks: NDArray[np.float64], threshold: float) -> str:
        if not len(peaks):
            return ""
        near = self.per_month * np.exp(np.clip(peaks - threshold, -50, 0))
        return self.kinds[int(np.bincount(self.kind, near, len(self.kinds)).argmax())]


def rates_of(
    bank: Bank | None, tones_hz: tuple[float, ...], tolerance: float, *, pulses: int = 1
) -> Rates:
    """The bank's recorded events, put at each tone and beside it, for a head that asks for so many
    pulses.
    """
    if bank is None:
        return Rates(
            seen=np.zeros((0, FRAMES, FEATURES), dtype=np.float32),
            per_month=np.zeros(0),
            kind=np.zeros(0, dtype=np.uint8),
            kinds=(),
            half=np.zeros(0, dtype=np.intp),
        )
    offsets = np.array(OFFSETS)
    octaves = np.gradient(np.log2(1 + offsets))
    likely = MONTH_H * UNMET * (REPEATED if pulses > 1 else 1.0)
    seen: list[NDArray[np.float32]] = []
    per_month: list[NDArray[np.float64]] = []
    events: list[NDArray[np.intp]] = []
    for tone_hz in tones_hz[:TONES]:
        chances = bank.chances(tone_hz)
        chosen = np.flatnonzero(chances > 1e-4 * max(float(chances.max(initial=0)), 1e-12))
        for offset, width in zip(offsets, octaves, strict=True):
            answers = bank.moved(chosen, np.full(len(chosen), tone_hz * (1 + offset)))
            found = features(answers, tones_hz, tolerance)
            seen.append(found.reshape(len(chosen), FRAMES, FEATURES))
            per_month.append(chances[chosen] * width * likely)
            events.append(chosen)
    return Rates(
        seen=np.concatenate(seen),
        per_month=np.concatenate(per_month),
        kind=bank.kind[np.concatenate(events)],
        kinds=bank.kinds,
        half=np.concatenate(events) % 2,
    )


def _advice(per_month: float, caught: tuple[int, int], share: float, taken: str) -> str:
    heard, of = caught
    if share >= NEAR_SHARE:
        return f"it sounds much like {taken}; give examples of both in which they differ"
    if heard < of:
        return "give more examples, recorded nearer and in a quieter moment"
    if per_month > POOR_PER_MONTH:
        return "sounds like it are common; ask for more pulses in its rule"
    return ""
