"""A veto: a head that knows what was called wrong, and pushes the shipped label down there.

It may silence the sound that was called wrong and nothing else. What it must leave alone: the
clips that were called right, what is taught, beeps that are made up (of every timbre and rhythm,
put beside its pitches), and the shipped bank's beeps of other devices.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from beepwatch.classify import heads
from beepwatch.classify.engines import Answers
from beepwatch.classify.heads import (
    BANDS,
    FEATURES,
    HIGHEST_HZ,
    LOWEST_HZ,
    Expected,
    Head,
    features,
    smoothed,
)
from beepwatch.classify.taught import TaughtEngine
from beepwatch.train import augment, synthesis
from beepwatch.train.teaching.disguise import Sound, disguised
from beepwatch.train.teaching.examples import Example, tones_of
from beepwatch.train.teaching.judged import alarms
from beepwatch.train.teaching.logistic import fit
from beepwatch.train.teaching.negatives import Bank

LEARNT, TRIED = 64, 32  # disguises of what was called wrong, in all
AS_THEY_ARE = 4  # of so many disguises one is the clip itself
MADE = 50  # beeps that are made up, each to learn from, to set the threshold by, and to check with
MADE_S = 4.0
SNRS_DB = (0.0, 25.0)
PENALTY = 3e-3
BESIDE = (0.015, 0.07)  # relative: so far off a veto of fixed pitches has to leave a beep alone
WIDEST = 0.1  # relative tolerance of one that moves
AROUND = 0.02  # relative: beyond the lowest and highest pitch that were heard of it
THRESHOLD = 0.9  # probability; the bias is such that it is right there
SHARP = 2.0
SURE_OF = 0.2  # share of a sound's frames that a veto need not be sure of
LEVELS = (0.02, 0.15, 0.4)  # shares of the trials that the threshold may lie above
TRIED_LOST = 0.02  # share of beeps put where a veto has its say, or just beside, that it may cost
NARROWER = 0.75  # than what is taught may be off: one that drifts further is heard again
MOST_TONES = 4  # of a veto of fixed pitches: each is one that no other device can have
SAME_COSTS = 0.3  # shares of silenced clips that it is worth to spare other beeps of the pitch
SEED = 40
_WEIGHTS = {"wrong": 1.0, "kept": 1.0, "made": 0.7, "same": 0.3, "bank": 0.3, "moved": 0.4}

Frames = NDArray[np.float32]
Place = Callable[[Generator, float], tuple[float, ...]]  # pitches, for a beep of a pitch


class Tones(msgspec.Struct, frozen=True, kw_only=True):
    """Where a veto has its say."""

    pitches_hz: tuple[float, ...]
    tolerance: float
    moving: bool  # its pitch is never the same: a bird's, a child's

    def at(self, rng: Generator, pitch_hz: float) -> tuple[float, ...]:
        """The tones moved so that a beep of this pitch is at one of them."""
        off = rng.uniform(-self.tolerance, self.tolerance)
        target_hz = self.pitches_hz[int(rng.integers(len(self.pitches_hz)))] * (1 + off)
        return tuple(hz * pitch_hz / target_hz for hz in self.pitches_hz)

    def beside(self, rng: Generator, pitch_hz: float) -> tuple[float, ...]:
        """The tones moved so that a beep of this pitch is another sound."""
        if self.moving:
            low, high = math.log(self.pitches_hz[0]), math.log(self.pitches_hz[-1])
            target_hz = math.exp(rng.uniform(low, high))
        else:
            off = rng.uniform(*BESIDE) * rng.choice([-1, 1])
            target_hz = self.pitches_hz[int(rng.integers(len(self.pitches_hz)))] * (1 + off)
        return tuple(hz * pitch_hz / target_hz for hz in self.pitches_hz)


class Beep(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is to be heard whatever is taught."""

    answers: Answers
    sounding: NDArray[np.bool_]
    pitch_hz: float


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Beeps that are made up: to learn from, to set a threshold by, to check with."""

    learnt: tuple[Beep, ...]
    tried: tuple[Beep, ...]
    checked: tuple[Beep, ...]


def make_beeps(engine: TaughtEngine, label: str) -> Made:
    """The same ones every time; those that the label does not hear are left out."""
    several = [tuple(_made(engine, label, stream)) for stream in range(3)]
    return Made(learnt=several[0], tried=several[1], checked=several[2])


def fixed_tones(examples: Sequence[Example]) -> Tones | None:
    """The pitches that clips share; None if they share none."""
    pitches_hz, tolerance = tones_of(examples)
    if not pitches_hz:
        return None
    return Tones(pitches_hz=pitches_hz[:MOST_TONES], tolerance=NARROWER * tolerance, moving=False)


def moving_tones(examples: Sequence[Example]) -> Tones:
    """All the pitches between the lowest and the highest that count."""
    heard = np.concatenate([example.answers.pitch_hz[example.sounding, 0] for example in examples])
    low, high = np.quantile(heard, [0.02, 0.98])
    low = float(np.clip(low * (1 - AROUND), LOWEST_HZ, HIGHEST_HZ))
    high = float(np.clip(high * (1 + AROUND), low, HIGHEST_HZ))
    count = int(np.clip(math.ceil(math.log(high / low) / WIDEST), 2, heads.MOST_TONES))
    pitches_hz = np.geomspace(low, high, count)
    apart = math.log(high / low) / (count - 1)
    return Tones(
        pitches_hz=tuple(float(hz) for hz in pitches_hz),
        tolerance=min(max(apart / 1.5, 0.01), WIDEST),
        moving=True,
    )


def silenced(
    head: Head, engine: TaughtEngine, label: str, beeps: Sequence[Beep], place: Place
) -> int:
    """How many beeps a veto would silence, if its pitches lay where `place` puts them."""
    rng = np.random.default_rng([SEED, 9])
    lost = 0
    for beep in beeps:
        moved = msgspec.structs.replace(head, pitches_hz=place(rng, beep.pitch_hz))
        lost += silences(moved, engine, label, beep.answers)
    return lost


def silences(head: Head, engine: TaughtEngine, label: str, answers: Answers) -> bool:
    """Whether a veto silences what an engine without heads tells."""
    left = engine.with_heads([head]).named(answers)
    says_something = not np.array_equal(left.probabilities, answers.probabilities)
    return says_something and not alarms(engine, left, label)


class Lesson:
    """Clips of one sound that was called wrong, and those that are to be kept, disguised.

    `pitches_hz` are the sound's own.
    """

    def __init__(
        self,
        wrong: Sequence[Example],
        kept: Sequence[Example],
        engine: TaughtEngine,
        label: str,
        made: Made,
        *,
        pitches_hz: tuple[float, ...],
        bank: Bank | None = None,
        room: Sound | None = None,
    ) -> None:
        self._engine = engine.with_heads([])
        self._label = label
        self._made = made
        self._bank = bank
        self._count = len(wrong)
        self._noise = [] if room is None else [room]
        as_they_are = [
            Beep(answers=one.answers, sounding=one.sounding, pitch_hz=pitches_hz[0])
            for one in wrong
        ]
        times = -(-LEARNT // (AS_THEY_ARE * len(wrong)))
        self._wrong = [*self._disguises(wrong, LEARNT, 0, pitches_hz), *(as_they_are * times)]
        self._tried = [*self._disguises(wrong, TRIED, 1, pitches_hz), *as_they_are]
        self._told = [one for one in self._tried if alarms(self._engine, one.answers, label)]
        self._kept = [beep for one in kept for beep in self._beeps(one, 2, pitches_hz)]
        self._kept_tried = [beep for one in kept for beep in self._beeps(one, 3, pitches_hz)]

    def veto(self, name: str, tones: Tones) -> tuple[Head, float]:
        """A head that is sure of what was called wrong, and which share of other devices' beeps at
        its very pitches it silences too.

        Its threshold is, of several, the best one that hardly costs a beep beside them and nothing
        of what is to be kept: the one that silences most of the trials for what it costs of other
        devices' beeps. Where there is none such, the highest.
        """
        parts = self._rows(tones)
        used = {kind: np.concatenate(seen) for kind, seen in parts.items() if seen}
        weights, _ = fit(
            np.concatenate(list(used.values())),
            np.concatenate([np.full(len(seen), kind == "wrong") for kind, seen in used.items()]),
            np.concatenate(
                [np.full(len(seen), _WEIGHTS[kind] / len(seen)) for kind, seen in used.items()]
            ),
            penalty=PENALTY,
        )
        head = Head(
            name=name,
            kind="veto",
            model_id=self._engine.model_id,
            threshold=THRESHOLD,
            pitches_hz=tones.pitches_hz,
            tolerance=tones.tolerance,
            weights=tuple(float(f"{SHARP * weight:.7g}") for weight in weights),
            bias=0.0,
            expected=Expected(examples=self._count, caught=0, false_alarms_per_month=None),
        )
        return self._at_its_best(head, tones, weights)

    def _at_its_best(
        self, head: Head, tones: Tones, weights: NDArray[np.float64]
    ) -> tuple[Head, float]:
        sure = math.log(THRESHOLD / (1 - THRESHOLD))
        tried = [
            msgspec.structs.replace(head, bias=float(f"{sure - SHARP * level:.7g}"))
            for level in self._levels(weights, tones)
        ]
        allowed = [one for one in tried if self._may_be(one, tones)] or tried[-1:]
        same = [self._same(one, tones) for one in allowed]
        worth = [
            self._caught(one) - SAME_COSTS * share for one, share in zip(allowed, same, strict=True)
        ]
        best = worth.index(max(worth))
        return allowed[best], same[best]

    def _may_be(self, head: Head, tones: Tones) -> bool:
        """Whether it hardly costs a beep beside its pitches, and nothing of what is to be kept."""
        lost = self._silenced(head, tones.beside)
        return lost <= TRIED_LOST * len(self._made.tried) and not self._loses(head)

    def _same(self, head: Head, tones: Tones) -> float:
        """Which share of other devices' beeps at its very pitches it silences."""
        if tones.moving:
            return 0.0
        return self._silenced(head, tones.at) / max(len(self._made.tried), 1)

    def _caught(self, head: Head) -> float:
        """Which share of the trials it silences."""
        caught = [silences(head, self._engine, self._label, one.answers) for one in self._told]
        return sum(caught) / max(len(caught), 1)

    def _silenced(self, head: Head, place: Place) -> int:
        return silenced(head, self._engine, self._label, self._made.tried, place)

    def _rows(self, tones: Tones) -> dict[str, list[Frames]]:
        """What a veto is to know, and what it is to leave alone."""
        rng = np.random.default_rng([SEED, 4])
        own = tones.pitches_hz

        def seen(beep: Beep, pitches_hz: tuple[float, ...]) -> Frames:
            return features(beep.answers, pitches_hz, tones.tolerance)[beep.sounding]

        found: dict[str, list[Frames]] = {kind: [] for kind in _WEIGHTS}
        found["wrong"] = [seen(beep, own) for beep in self._wrong]
        found["kept"] = [seen(beep, own) for beep in self._kept]
        for beep in self._made.learnt:
            found["made"].append(seen(beep, tones.beside(rng, beep.pitch_hz)))
            if not tones.moving:
                found["same"].append(seen(beep, tones.at(rng, beep.pitch_hz)))
        if not tones.moving:
            found["moved"] = [seen(beep, tones.beside(rng, own[0])) for beep in self._wrong]
        if self._bank is not None and "another beep" in self._bank.kinds:
            found["bank"].append(_of_bank(rng, self._bank, tones))
        return {kind: [seen for seen in parts if len(seen)] for kind, parts in found.items()}

    def _levels(self, weights: NDArray[np.float64], tones: Tones) -> list[float]:
        """Logits that the threshold may lie at, from what silences most to what least."""
        levels = []
        for beep in self._tried:
            seen = features(beep.answers, tones.pitches_hz, tones.tolerance)
            logits = smoothed((seen @ weights).astype(np.float32))
            levels.append(float(np.quantile(logits[beep.sounding], SURE_OF)))
        return [float(np.quantile(levels or [0.0], share)) for share in LEVELS]

    def _loses(self, head: Head) -> int:
        """How many of what is to be kept, heard otherwise, a veto would silence."""
        with_it = self._engine.with_heads([head])
        return sum(
            alarms(self._engine, beep.answers, self._label)
            and not alarms(with_it, beep.answers, self._label)
            for beep in self._kept_tried
        )

    def _beeps(
        self, example: Example, stream: int, pitches_hz: tuple[float, ...]
    ) -> Iterator[Beep]:
        own_hz, _ = tones_of([example])
        yield from self._disguises([example], 4, stream, own_hz or pitches_hz)

    def _disguises(
        self, examples: Sequence[Example], count: int, stream: int, tones_hz: tuple[float, ...]
    ) -> Iterator[Beep]:
        for number in range(max(count, len(examples))):
            rng = np.random.default_rng([SEED, stream, number])
            one = disguised(
                rng,
                examples[number % len(examples)],
                self._engine,
                tones_hz=tones_hz,
                rooms_noise=self._noise,
                snr_db=rng.uniform(*SNRS_DB),
            )
            if one.sounding.any():
                yield Beep(answers=one.answers, sounding=one.sounding, pitch_hz=tones_hz[0])


def _of_bank(rng: Generator, bank: Bank, tones: Tones) -> Frames:
    """Beeps of other devices, where they are to be left alone."""
    chosen = np.flatnonzero(bank.kind == bank.kinds.index("another beep"))
    usable = chosen[bank.reference_hz[chosen] > LOWEST_HZ]
    if not len(usable):
        return np.zeros((0, FEATURES), dtype=np.float32)
    own_hz = tones.pitches_hz[0]
    to_hz = np.array(
        [own_hz * hz / tones.beside(rng, float(hz))[0] for hz in bank.reference_hz[usable]]
    )
    moved = bank.moved(usable, to_hz)
    sure = moved.embedding[:, :BANDS].max(axis=1) > 0
    return np.asarray(features(moved, tones.pitches_hz, tones.tolerance)[sure])


def _made(engine: TaughtEngine, label: str, stream: int) -> Iterator[Beep]:
    column = engine.labels.index(label)
    for number in range(MADE):
        rng = np.random.default_rng([SEED, 6, stream, number])
        signal = synthesis.beep(rng, MADE_S, engine.rate_hz)
        sound = np.concatenate([np.zeros(engine.rate_hz, dtype=np.float32), signal.sound])
        loud = np.float32(np.sqrt(np.square(signal.sound).mean()))
        noise = (
            augment.noise(rng, len(sound)) * loud * np.float32(10 ** (-rng.uniform(10, 30) / 20))
        )
        mixed = augment.coloured(rng, sound + noise, engine.rate_hz)
        peak = 10 ** (rng.uniform(-30, -3) / 20)
        answers = engine.answers(augment.to_int16(synthesis.at_peak(mixed) * peak))
        if alarms(engine, answers, label):
            sounding = answers.probabilities[:, column] >= 0.5 * engine.thresholds[label]
            if sounding.any():
                yield Beep(answers=answers, sounding=sounding, pitch_hz=signal.pitch_hz)
