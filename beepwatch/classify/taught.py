"""Taught sounds beside the shipped ones: a column for each head, in the answers of any engine.

A sound that has a name is not told nameless as well. Where a head is sure, the shipped labels are
pushed down: a little before, as the network hears a beep's first frames before a head is sure of
them; while it rings on; and for its fainter pulses, which a head is not sure of by themselves.
Of two heads that are sure of the same sound, the surer one has it. And one that is sure of a single
frame is told: it is given the frames beside it too, so that no sound gets lost between its names.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle
from beepwatch.classify.engines import Answers, Engine, Floats, open_engine, sigmoid
from beepwatch.classify.heads import AROUND_FRAMES, Head
from beepwatch.classify.shelf import Shelf
from beepwatch.errors import ModelError

SURE = 0.5  # the threshold of every taught column, wherever its head's lies
UNSURE = 4.0  # below it, logits count so much: what repeats itself is a beep, and not yet this one
BEFORE_S = 0.1  # pushed down before a head is sure; costs as much delay
AFTER_S = 0.1  # and after it was
RIVALS_S = 0.5  # a head that was sure so lately leaves it to a surer one
RINGS_S = 0.6  # and as long as the shipped label does not fall
PATTERN_S = 1.5  # and where the head is nearly sure again
NEARLY = 40.0  # by how much less the odds may be then
SPARED = 3.0  # tolerances; what is further off is no pitch of a head's
LASTING_FRAMES = 3
_FALLEN = 250.0  # by how much less than at its threshold a label's odds are, once it rings no more
_MOST = 30.0  # of a logit


class TaughtEngine:
    """An engine with taught sounds; `thresholds` has one for each of its labels."""

    def __init__(
        self, engine: Engine, thresholds: Mapping[str, float], heads: Sequence[Head] = ()
    ) -> None:
        """`thresholds` are the engine's own. A name that is a label already is a ValueError."""
        self._engine = engine
        self._own_thresholds = dict(thresholds)
        self.heads = tuple(heads)
        self._named = [number for number, head in enumerate(heads) if head.kind == "sound"]
        self._vetoes = [number for number, head in enumerate(heads) if head.kind == "veto"]
        names = tuple(heads[number].name for number in self._named)
        self.labels = (*engine.labels, *names)
        if len(set(self.labels)) < len(self.labels):
            raise ValueError(f"each label needs a name of its own: {self.labels}")
        self.thresholds = {**thresholds, **dict.fromkeys(names, SURE)}
        self.rate_hz = engine.rate_hz
        self.frame_s = engine.frame_s
        self.step_frames = engine.step_frames
        self.model_id = engine.model_id
        reach_s = (AROUND_FRAMES + LASTING_FRAMES + 1) * engine.frame_s if heads else 0.0
        self.context_s = engine.context_s + reach_s + (BEFORE_S if heads else 0.0)
        self.history_s = engine.history_s + reach_s + (PATTERN_S if heads else 0.0)
        self._pitches = _Pitches(heads)
        self._needed = _logits(np.array([head.threshold for head in heads], dtype=np.float32))
        self._fallen = np.array(
            [_less_likely(thresholds.get(label, 0.5), _FALLEN) for label in engine.labels],
            dtype=np.float32,
        )

    @property
    def network(self) -> Engine:
        """What the heads hear with."""
        return self._engine

    def with_heads(self, heads: Sequence[Head]) -> "TaughtEngine":
        """The same network with these heads instead."""
        return TaughtEngine(self._engine, self._own_thresholds, heads)

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """Of int16 mono [samples], as the engine's, with a column for each taught sound."""
        return self.named(self._engine.answers(pcm))

    def named(self, answers: Answers) -> Answers:
        """What the engine has answered, with names."""
        if not self.heads:
            return answers
        margin = self._margins(answers)
        shipped = answers.probabilities
        if margin.max() >= 0:
            sure = (margin >= 0).any(axis=1, keepdims=True)  # one that a rival outdoes as well
            margin = np.where(self._surest(margin), margin, np.float32(-_MOST))
            beside = _highest_around(margin, 1, 1)
            margin = np.where(beside >= 0, beside, margin)
            shipped = np.where(sure | self._has_name(margin, shipped), np.float32(0), shipped)
        by_name = sigmoid(np.where(margin < 0, UNSURE * margin, margin)[:, self._named])
        columns = np.concatenate([shipped, by_name], axis=1, dtype=np.float32)
        return Answers(columns, answers.pitch_hz, answers.embedding)

    def _margins(self, answers: Answers) -> Floats:
        """By how much each head is surer than it needs to be, a logit, [frames, heads]."""
        there = self._pitches.there(answers.pitch_hz)
        margins = np.full(there.shape, -_MOST, dtype=np.float32)
        for number in np.flatnonzero(there.any(axis=0)).tolist():
            frames = there[:, number]
            # With what these depend on, and nothing else: it is by the frame that a head costs.
            asked = np.flatnonzero(
                _any_within(np.pad(frames, AROUND_FRAMES), 2 * AROUND_FRAMES + 1)
            )
            logits = self.heads[number].logits(Answers(*(column[asked] for column in answers)))
            margins[frames, number] = logits[frames[asked]] - self._needed[number]
        return np.clip(margins, -_MOST, _MOST)

    def _frames(self, seconds: float) -> int:
        return round(seconds / self.frame_s)

    def _surest(self, margin: Floats) -> NDArray[np.bool_]:
        """Which of the heads that are sure at the same time is the surest, [frames, heads]."""
        nearby = _highest_around(margin, self._frames(RIVALS_S), self._frames(BEFORE_S))
        nearby[:, self._vetoes] = -_MOST
        surest = nearby.max(axis=1, keepdims=True)
        wins = (surest < 0) | (nearby >= surest)
        wins[:, self._vetoes] = True
        return np.asarray(wins)

    def _has_name(self, margin: Floats, shipped: Floats) -> NDArray[np.bool_]:
        """Where a shipped label is heard that a head knows better, [frames, labels]."""
        since, until = _frames_since(margin >= 0), _frames_since((margin >= 0)[::-1])[::-1]
        close = (since <= self._frames(AFTER_S)) | (until <= self._frames(BEFORE_S))
        nearly = (margin >= -np.log(NEARLY)) & (since <= self._frames(PATTERN_S))
        named = (close | nearly).any(axis=1)
        rings = np.logical_not(shipped < self._fallen)  # [frames, labels]
        fell = _frames_since(np.logical_not(rings))
        since_any = since.min(axis=1, keepdims=True)
        ringing = rings & (fell > since_any) & (since_any <= self._frames(RINGS_S))
        return np.asarray(named[:, None] | ringing)


class _Pitches:
    """Where each head has a say: where a pitch of its own, or nearly so, lasts, and just around.

    Most of the time there is none, which spares asking: that would cost more than hearing does.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        taught = [(hz, SPARED * head.tolerance) for head in heads for hz in head.pitches_hz]
        self._lowest_hz = np.array([hz * (1 - off) for hz, off in taught], np.float32)
        self._highest_hz = np.array([hz * (1 + off) for hz, off in taught], np.float32)
        counts = [len(head.pitches_hz) for head in heads]
        self._firsts = np.cumsum([0, *counts[:-1]])

    def there(self, pitch_hz: Floats) -> NDArray[np.bool_]:
        """For each frame and head, [frames, heads]."""
        heard = pitch_hz[:, :, None]
        near = (heard >= self._lowest_hz) & (heard <= self._highest_hz)
        matched = np.asarray(near.any(axis=1))  # [frames, pitches]
        padded = np.pad(matched, ((LASTING_FRAMES + AROUND_FRAMES,) * 2, (0, 0)))
        lasting = _all_within(padded, LASTING_FRAMES)
        around = _any_within(lasting, LASTING_FRAMES + 2 * AROUND_FRAMES)
        return np.asarray(np.logical_or.reduceat(around[1:-1], self._firsts, axis=1))


def untaught(engine: Engine) -> Engine:
    """The network alone, of an engine with taught sounds or without."""
    return engine.network if isinstance(engine, TaughtEngine) else engine


def open_taught(
    bundle: Bundle, runtime: Literal["onnx", "torch"], shelf: Shelf
) -> tuple[TaughtEngine, list[str]]:
    """The bundle's network with what is on the shelf, and a line for each sound left out.

    Raises ModelError for what is wrong with the bundle; never for a taught sound.
    """
    heads, problems = usable_heads(shelf, bundle.info.model_id, bundle.info.labels)
    engine = open_engine(bundle, runtime)
    return TaughtEngine(engine, bundle.info.thresholds, heads), problems


def usable_heads(
    shelf: Shelf, model_id: str, labels: Iterable[str]
) -> tuple[list[Head], list[str]]:
    """Heads for the network that gives these labels, and a line for each sound left out."""
    heads: list[Head] = []
    problems: list[str] = []
    for name in shelf.digests():
        try:
            head = shelf.head(name)
            problem = unusable_because(head, model_id, labels)
        except ModelError as error:
            problem = str(error)
        if problem is None:
            heads.append(head)
        else:
            problems.append(f"the taught sound {name} is left out: {problem}")
    return heads, problems


def unusable_because(head: Head, model_id: str, labels: Iterable[str]) -> str | None:
    """Why a head is no use to the network that gives these labels; None if it is."""
    if head.model_id != model_id:
        how = "--from-feedback" if head.kind == "veto" else head.name
        return (
            f"it was taught for the model {head.model_id}, and the one in use is {model_id}. "
            f"Teach it again from what was recorded: beepwatch teach {how}."
        )
    if head.name in labels:
        return (
            f"the model in use has a label of that name. Teach it again under another, "
            f"then: beepwatch teach --remove {head.name}."
        )
    return None


def _logits(probabilities: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) - np.log1p(-probabilities)
    return np.asarray(np.clip(logits, -_MOST, _MOST), dtype=np.float32)


def _less_likely(probability: float, odds: float) -> float:
    """The probability whose odds are so many times less."""
    return probability / (probability + odds * (1 - probability))


def _all_within(true: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    """Whether each column is true in so many frames from each one on."""
    parts = [true[first : len(true) - frames + 1 + first] for first in range(frames)]
    return np.asarray(np.logical_and.reduce(parts))


def _any_within(true: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    return np.logical_not(_all_within(np.logical_not(true), frames))


def _frames_since(true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many frames ago each column was true, 0 where it is; before the first time, very many."""
    number = np.arange(len(true))[:, None]
    last = np.maximum.accumulate(np.where(true, number, -(1 << 30)), axis=0)
    return np.asarray(number - last)


def _highest_around(values: Floats, before: int, after: int) -> Floats:
    """The highest value of each column within so many frames before and after."""
    padded = np.pad(values, ((before, after), (0, 0)), constant_values=-_MOST)
    windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1, axis=0)
    return np.asarray(windows.max(axis=-1))
