"""A head for a new sound, from one to twenty examples, on the box itself: numpy, no torch.

Each example is heard in rooms and noise that it was never in; frames of its tones are what the
head must know. What it must not take for them: the rest of those recordings, the same sound a
little higher or lower, the shipped bank's events moved to the taught pitch, other taught sounds.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Engine
from beepwatch.classify.heads import Expected, Head, features, smoothed
from beepwatch.errors import ConfigurationError
from beepwatch.train.teaching.disguise import Disguise, Sound, disguised
from beepwatch.train.teaching.examples import Example, NoBeepFound, sounding_at, tones_of
from beepwatch.train.teaching.expectation import Rates, rates_of
from beepwatch.train.teaching.logistic import fit
from beepwatch.train.teaching.negatives import FRAMES, Bank

MOST_EXAMPLES = 20
DISGUISES = 72  # in all, however many examples there are
TRIED = 36  # others that only the threshold and the report are taken from
OF_OTHERS = 12  # of each other taught sound
MOST_ROWS = 5_000  # of a kind
SNRS_DB = (0.0, 25.0)  # of what is learnt from
TRIED_SNRS_DB = (6.0, 12.0)
PENALTY = 1e-2
MOVES = (0.012, 0.07)  # relative: so much higher or lower it is another sound
AT_PITCH = 0.5  # share of the bank's events that are put within the tolerance
THRESHOLD = 0.9  # probability; the bias is such that it is right there
SURE = math.log(THRESHOLD / (1 - THRESHOLD))
SHARP = 2.0  # of a head: `decide/` believes what is repeated at lower odds, here at fewer of them
SEED = 20
MANY_PULSES = 3
NEARLY = 0.5  # of the threshold
MATCHED = 2  # of the features: how well the pitch fits
LEAST_MATCH = 0.05

WEIGHTS = {"sounding": 1.0, "silent": 0.4, "moved": 0.5, "bank": 1.0, "other": 0.6}


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a lesson."""

    head: Head
    examples: tuple[Example, ...]


class Shelved(msgspec.Struct, frozen=True, kw_only=True):
    """Another taught sound: something that this one must not be taken for."""

    name: str
    examples: tuple[Example, ...]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Frames to learn from, all of one kind."""

    kind: str
    seen: NDArray[np.float32]  # [rows, features]
    example: int = -1  # which one they are of; -1 for none
    half: int = -1  # of the bank, 0 or 1; -1 if they are not of it


def teach(
    name: str,
    examples: Sequence[Example],
    engine: Engine,
    *,
    bank: Bank | None = None,
    others: Sequence[Shelved] = (),
    room: Sound | None = None,
) -> Taught:
    """A head, and what to expect of it. The same examples give the same head.

    Raises ConfigurationError for no example or too many, NoBeepFound where they share no pitch.
    """
    if not 1 <= len(examples) <= MOST_EXAMPLES:
        raise ConfigurationError(
            f"{len(examples)} examples of {name!r} were given; give 1 to {MOST_EXAMPLES}."
        )
    lesson = Lesson(examples, engine, room)
    parts = [*lesson.rows(), *lesson.of_bank(bank), *lesson.of_others(others)]
    pulses = pulses_to_ask_for(lesson.examples, engine.frame_s)
    rates = rates_of(bank, lesson.tones_hz, lesson.tolerance, pulses=pulses)
    weights, bias = learnt(parts)
    tried = lesson.tried(weights, bias)
    threshold = rates.threshold(rates.peaks(weights, bias), joined(tried))
    head = Head(
        name=name,
        model_id=engine.model_id,
        threshold=THRESHOLD,
        pitches_hz=lesson.tones_hz,
        tolerance=lesson.tolerance,
        weights=tuple(float(f"{SHARP * weight:.7g}") for weight in weights),
        bias=float(f"{SHARP * (bias - threshold) + SURE:.7g}"),
        pulses=pulses,
        expected=Expected(examples=len(examples), caught=0, false_alarms_per_month=0.0),
    )
    caught = (lesson.caught(parts, rates), len(examples))
    confusions = lesson.confusions(others, head)
    peaks = lesson.unmet(parts, rates, float(np.median(joined(tried))))
    expected = rates.expected(peaks, threshold, caught, confusions)
    return Taught(head=msgspec.structs.replace(head, expected=expected), examples=lesson.examples)


def pulses_to_ask_for(examples: Sequence[Example], frame_s: float) -> int:
    """Two where every example has three and more: what is no beep seldom comes twice alike."""
    fewest = min(len(example.spans_s(frame_s)) for example in examples)
    return 2 if fewest >= MANY_PULSES else 1


def joined(tried: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Of all examples together."""
    return np.concatenate(list(tried.values()))


def learnt(
    parts: Sequence[Rows], without: int | None = None, without_half: int | None = None
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias from rows of every kind; each kind counts as `WEIGHTS` says.

    `without` leaves out an example, `without_half` a half of the bank.
    """
    kept = [rows for rows in parts if rows.example < 0 or rows.example != without]
    used = _thinned([rows for rows in kept if rows.half < 0 or rows.half != without_half])
    of_kind: dict[str, int] = {}
    for rows in used:
        of_kind[rows.kind] = of_kind.get(rows.kind, 0) + len(rows.seen)
    weight = np.concatenate(
        [np.full(len(rows.seen), WEIGHTS[rows.kind] / of_kind[rows.kind]) for rows in used]
    )
    truth = np.concatenate([np.full(len(rows.seen), rows.kind == "sounding") for rows in used])
    return fit(np.concatenate([rows.seen for rows in used]), truth, weight, penalty=PENALTY)


def taken_for(head: Head, other: Shelved, engine: Engine) -> bool:
    """Whether a head would take another sound for its own now and then."""
    rng = np.random.default_rng([SEED, 6])
    tones_hz, _ = tones_of(other.examples)
    for example in _spread(other.examples, OF_OTHERS):
        one = disguised(
            rng,
            example,
            engine,
            tones_hz=tones_hz,
            rooms_noise=[],
            snr_db=rng.uniform(*TRIED_SNRS_DB),
        )
        if head.probabilities(one.answers).max(initial=0) >= NEARLY * head.threshold:
            return True
    return False


class Lesson:
    """One sound's examples, as they are and disguised."""

    def __init__(self, examples: Sequence[Example], engine: Engine, room: Sound | None) -> None:
        self.tones_hz, self.tolerance = tones_of(examples)
        if not self.tones_hz:
            raise NoBeepFound(
                f"the {len(examples)} examples share no pitch. Give examples of one sound only, "
                "or fewer, clearer ones."
            )
        self._engine = engine
        self.examples = tuple(self._marked(example) for example in examples)
        self._noise = [] if room is None else [room]
        self._usable = [i for i, one in enumerate(self.examples) if one.sounding.any()]
        if not self._usable:
            raise NoBeepFound("no example holds its pitch for as long as a beep. Record it nearer.")
        self._learnt = self._disguises(DISGUISES, 0, SNRS_DB)
        self._tried = self._disguises(TRIED, 1, TRIED_SNRS_DB)

    def rows(self) -> list[Rows]:
        """What the examples themselves teach."""
        rng = np.random.default_rng([SEED, 2])
        found: list[Rows] = []
        for index, several in self._learnt.items():
            for disguise in several:
                seen = self._seen(disguise)
                silent = seen[~disguise.sounding & ~disguise.unsure]
                # Where no taught pitch is heard, nothing but the truth tells that there is one.
                told = seen[disguise.sounding & (seen[:, MATCHED] > LEAST_MATCH)]
                found.append(Rows(kind="sounding", seen=told, example=index))
                found.append(Rows(kind="silent", seen=silent, example=index))
                found.append(Rows(kind="moved", seen=self._moved(rng, disguise), example=index))
        return found

    def of_bank(self, bank: Bank | None) -> list[Rows]:
        """The bank's events at the taught tones, or a little beside them."""
        if bank is None:
            return []
        rng = np.random.default_rng([SEED, 3])
        found: list[Rows] = []
        for tone_hz in self.tones_hz:
            chosen = np.arange(len(bank.kind))
            beside = rng.uniform(-0.04, 0.04, len(chosen))
            within = rng.uniform(-self.tolerance, self.tolerance, len(chosen))
            real = bank.weight > 0  # a beep of another device at this very pitch is no other sound
            at_pitch = (rng.random(len(chosen)) < AT_PITCH) & real
            to_hz = tone_hz * (1 + np.where(at_pitch, within, beside))
            answers = bank.moved(chosen, to_hz)
            far = np.abs(to_hz / tone_hz - 1) > 2.5 * self.tolerance
            seen = features(answers, self.tones_hz, self.tolerance)
            for half in (0, 1):
                kept = np.repeat((real | far) & (chosen % 2 == half), FRAMES)
                found.append(Rows(kind="bank", seen=seen[kept], half=half))
        return found

    def of_others(self, others: Sequence[Shelved]) -> list[Rows]:
        """Other taught sounds, disguised too."""
        found: list[Rows] = []
        for number, other in enumerate(others):
            rng = np.random.default_rng([SEED, 4, number])
            for example in _spread(other.examples, OF_OTHERS):
                disguise = self._disguise(rng, example, rng.uniform(*SNRS_DB))
                found.append(Rows(kind="other", seen=self._seen(disguise)[disguise.sounding]))
        return [rows for rows in found if len(rows.seen)]

    def tried(self, weights: NDArray[np.float64], bias: float) -> dict[int, NDArray[np.float64]]:
        """How sure a head is of each disguise that it was not made from, by example."""
        return {
            index: np.array([self._peak(one, weights, bias) for one in several])
            for index, several in self._tried.items()
        }

    def caught(self, parts: Sequence[Rows], rates: Rates) -> int:
        """How many of the examples a head made of the others hears in most disguises."""
        found = 0
        for index in self._usable:
            weights, bias = learnt(parts, index if len(self._usable) > 1 else None)
            tried = self.tried(weights, bias)
            threshold = rates.threshold(rates.peaks(weights, bias), joined(tried))
            found += bool((tried[index] >= threshold).mean() > 0.5)
        return found

    def unmet(self, parts: Sequence[Rows], rates: Rates, median: float) -> NDArray[np.float64]:
        """How sure heads made without an event's half of the bank are of each event.

        By the scale of the head that they stand for: what was tried has the same `median`.
        """
        peaks = np.zeros(len(rates.per_month))
        if not len(peaks):
            return peaks
        for half in (0, 1):
            weights, bias = learnt(parts, without_half=half)
            shift = median - float(np.median(joined(self.tried(weights, bias))))
            of_half = rates.half == half
            peaks[of_half] = rates.peaks(weights, bias)[of_half] + shift
        return peaks

    def confusions(self, others: Sequence[Shelved], head: Head) -> dict[str, float]:
        """Share of each other taught sound's disguises that this head would take for its own."""
        shares: dict[str, float] = {}
        for number, other in enumerate(others):
            rng = np.random.default_rng([SEED, 5, number])
            several = [
                self._disguise(rng, example, rng.uniform(*TRIED_SNRS_DB))
                for example in _spread(other.examples, OF_OTHERS)
            ]
            peaks = [head.probabilities(one.answers).max(initial=0) for one in several]
            shares[other.name] = float(np.mean([peak >= head.threshold for peak in peaks]))
        return shares

    def _marked(self, example: Example) -> Example:
        sounding = sounding_at(
            example.pcm, example.answers, self.tones_hz, self.tolerance, self._engine.rate_hz
        )
        return msgspec.structs.replace(example, sounding=sounding)

    def _disguises(
        self, count: int, stream: int, snrs_db: tuple[float, float]
    ) -> dict[int, list[Disguise]]:
        found: dict[int, list[Disguise]] = {index: [] for index in self._usable}
        for number in range(max(count, len(self._usable))):
            index = self._usable[number % len(self._usable)]
            rng = np.random.default_rng([SEED, stream, number])
            found[index].append(self._disguise(rng, self.examples[index], rng.uniform(*snrs_db)))
        return found

    def _disguise(self, rng: np.random.Generator, example: Example, snr_db: float) -> Disguise:
        return disguised(
            rng,
            example,
            self._engine,
            tones_hz=self.tones_hz,
            rooms_noise=self._noise,
            snr_db=snr_db,
        )

    def _seen(self, disguise: Disguise) -> NDArray[np.float32]:
        return features(disguise.answers, self.tones_hz, self.tolerance)

    def _moved(self, rng: np.random.Generator, disguise: Disguise) -> NDArray[np.float32]:
        """The sound as if its tones lay elsewhere, where that is no other of its tones."""
        by = rng.uniform(*MOVES) * rng.choice([-1, 1])
        tones_hz = tuple(hz * (1 + by) for hz in self.tones_hz)
        seen = features(disguise.answers, tones_hz, self.tolerance)[disguise.sounding]
        return np.asarray(seen[seen[:, MATCHED] < 0.3])

    def _peak(self, disguise: Disguise, weights: NDArray[np.float64], bias: float) -> float:
        if not disguise.sounding.any():
            return -math.inf
        logits = smoothed((self._seen(disguise) @ weights).astype(np.float32))
        return float(logits[disguise.sounding].max()) + bias


def _thinned(parts: Sequence[Rows]) -> list[Rows]:
    """Every so many of the rows of a kind that has more than are of use."""
    count = {kind: sum(len(one.seen) for one in parts if one.kind == kind) for kind in WEIGHTS}
    return [
        msgspec.structs.replace(one, seen=one.seen[:: -(-count[one.kind] // MOST_ROWS)])
        for one in parts
        if len(one.seen)
    ]


def _spread(examples: Sequence[Example], count: int) -> list[Example]:
    """So many, each example as often as any other."""
    return [examples[number % len(examples)] for number in range(count)]
