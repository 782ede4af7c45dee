"""A taught sound: a small head that reads what the shipped network said, frame by frame.

What a head knows is where its sound's tones lie. Everything it looks at is told relative to them
(the taught band, its neighbours and harmonics, what is elsewhere), so its weights are few, and
sounds at other pitches can serve as examples of what it is not.
"""

import math
import re
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers, Floats, sigmoid
from beepwatch.errors import ModelError
from beepwatch.validation import shortened

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
NOT_TO_BE_TAUGHT = ("beep",)  # what the shipped network calls everything
MOST_TONES = 8
MOST_PULSES = 10
FEATURE_FRAMES = 2  # before and after a frame that its features look at
SMOOTH_FRAMES = 2  # before and after it that its logit is a mean over
AROUND_FRAMES = FEATURE_FRAMES + SMOOTH_FRAMES  # what its answer depends on

# How the shipped network's embedding is laid out.
LOWEST_HZ, BAND_HZ, SPACING_HZ = 350.0, 200.0, 50.0
BANDS = 32
DEEP = 32
EMBEDDING = 2 * BANDS + DEEP
HIGHEST_HZ = LOWEST_HZ + BANDS * BAND_HZ

PARTIALS = (0.5, 2.0, 3.0)  # of a tone that are looked at beside it
PLAIN = 16  # features beside the deep ones
FEATURES = PLAIN + DEEP
_MOST_BYTES = 100_000
_DAYS = 30  # of a month
_LARGEST = 1e4  # of a weight; what is taught has less than a hundred


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What teaching found a head good for, by examples and negatives that it was not made from."""

    examples: int
    caught: int  # of them, by a head made of the others
    nearest: str = ""  # what it is most likely to be mistaken for; empty if nothing is near
    false_alarms_per_month: float | None  # None where there was nothing to try it with
    advice: str = ""  # what to do about it; empty if nothing needs to be done

    @property
    def alarms(self) -> str:
        """How many false alarms there will be, in words."""
        per_month = self.false_alarms_per_month
        if per_month is None:
            return "not known without a bank"
        if per_month <= 1:
            return "fewer than 1 a month"
        if per_month < 2 * _DAYS:
            return f"at most {per_month:.0f} a month"
        return f"at most {per_month / _DAYS:.0f} a day"


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One taught sound: its tones, and what makes a frame its own rather than another's."""

    format: int = FORMAT
    name: str
    kind: Literal["sound", "veto"] = "sound"  # a veto pushes the shipped label down instead
    model_id: str  # of the network whose answers it reads
    threshold: float
    pitches_hz: tuple[float, ...]
    tolerance: float  # relative, how far off a tone may be
    weights: tuple[float, ...]  # one a feature
    bias: float
    pulses: int = 1  # that are asked for before it is told, where no rule of the user's says so
    expected: Expected

    def logits(self, answers: Answers) -> Floats:
        """How sure it is that a frame is of its sound, [frames]."""
        seen = features(answers, self.pitches_hz, self.tolerance)
        weights = np.array(self.weights, dtype=np.float32)
        return smoothed(seen @ weights + np.float32(self.bias))

    def probabilities(self, answers: Answers) -> Floats:
        """The same between 0 and 1, [frames]."""
        return sigmoid(self.logits(answers))


def features(answers: Answers, pitches_hz: tuple[float, ...], tolerance: float) -> Floats:
    """What a head weighs, [frames, features], of each frame's likeliest taught tone."""
    near = _places(pitches_hz)
    logits = answers.embedding[:, :BANDS]
    contrast = answers.embedding[:, BANDS : 2 * BANDS]
    deep = answers.embedding[:, 2 * BANDS :]
    match = matches(answers.pitch_hz, pitches_hz, tolerance)  # [frames, pitches, tones]
    any_match = match.max(axis=1)  # [frames, tones]
    tone_logit = logits[:, near.own].max(axis=2)
    tone_contrast = contrast[:, near.own].max(axis=2)
    chosen = (4 * any_match + 0.5 * tone_contrast + 0.3 * tone_logit).argmax(axis=1)
    rows = np.arange(len(chosen))
    matched = any_match[rows, chosen]
    logit = np.clip(tone_logit[rows, chosen] / 4, -4, 4)
    loud = np.clip(tone_contrast[rows, chosen] / 3, -1, 4)
    partials = np.where(near.heard, contrast[:, near.partials].max(axis=3), np.float32(0))
    best_logit = logits.max(axis=1)
    heard = matched * loud
    around = _around(np.stack([heard, matched]), FEATURE_FRAMES)  # [2, frames, around]
    plain = [
        logit,
        loud,
        matched,
        heard,
        matched * logit,
        match[rows, 0, chosen],
        np.clip(logits[:, near.elsewhere].max(axis=1) / 4, -4, 4),
        np.clip(contrast[:, near.elsewhere].max(axis=1) / 3, -1, 4),
        np.clip(contrast.mean(axis=1), -2, 2),
        (logits > best_logit[:, None] - 2).mean(axis=1) * 4,
        *np.clip(partials[rows, :, chosen].T / 3, -1, 4),
        *around.mean(axis=2),
        # The least of a frame and its two neighbours.
        around[0, :, FEATURE_FRAMES - 1 : FEATURE_FRAMES + 2].min(axis=1),
    ]
    return np.concatenate(
        [np.stack(plain, axis=1), matched[:, None] * np.clip(deep, -8, 8)], axis=1, dtype=np.float32
    )


def smoothed(logits: Floats) -> Floats:
    """Mean over a frame and its neighbours, along the last axis: one frame alone proves little."""
    return np.asarray(_around(logits, SMOOTH_FRAMES).mean(axis=-1), dtype=np.float32)


def bands_of(pitch_hz: float) -> list[int]:
    """The answering bands in which a tone may be seen: its own, or two if it lies between them."""
    centre = (pitch_hz - LOWEST_HZ) / SPACING_HZ
    per_band = BAND_HZ / SPACING_HZ
    first, last = (math.floor((centre + off) / per_band) for off in (-0.6, 0.6))
    return sorted({min(max(band, 0), BANDS - 1) for band in (first, last)})


def matches(pitch_hz: Floats, pitches_hz: tuple[float, ...], tolerance: float) -> Floats:
    """How well each heard pitch fits each taught one, 0 to 1, [frames, heard, taught]."""
    heard = np.log(np.maximum(pitch_hz, 1.0))[:, :, None]
    off = (heard - np.log(np.array(pitches_hz, dtype=np.float32))) / np.float32(tolerance)
    return np.asarray(np.exp(-0.5 * off**2), dtype=np.float32)


class _Places(NamedTuple):
    """In which bands what a head asks about lies."""

    own: NDArray[np.intp]  # [tones, 2], of each tone; the same twice where it is one
    partials: NDArray[np.intp]  # [partials, tones, 2]
    heard: NDArray[np.bool_]  # [partials, tones], whether there is such a band
    elsewhere: NDArray[np.intp]  # that neither a taught tone nor its harmonics fall in


@lru_cache(maxsize=64)
def _places(pitches_hz: tuple[float, ...]) -> _Places:
    partials_hz = np.multiply.outer(PARTIALS, pitches_hz)
    bands = [[_two(float(hz)) for hz in several] for several in partials_hz]
    own = [_two(hz) for hz in pitches_hz]
    known = {
        band + side
        for pitch_hz in pitches_hz
        for times in (1, 2, 3)
        for band in bands_of(times * pitch_hz)
        for side in (-1, 0, 1)
    }
    return _Places(
        own=np.array(own),
        partials=np.array(bands),
        heard=(partials_hz >= LOWEST_HZ) & (partials_hz <= HIGHEST_HZ),
        elsewhere=np.array([band for band in range(BANDS) if band not in known] or [0]),
    )


def _two(pitch_hz: float) -> tuple[int, int]:
    bands = bands_of(pitch_hz)
    return bands[0], bands[-1]


def _around(values: Floats, frames: int) -> Floats:
    """Each of [..., frames] with so many before and after it, [..., frames, around].

    The first and the last stand in for what is beyond them. Not `np.pad`, which takes longer.
    """
    first, last = values[..., :1], values[..., -1:]
    padded = np.concatenate([*[first] * frames, values, *[last] * frames], axis=-1)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * frames + 1, axis=-1)


def encode(head: Head) -> bytes:
    """As `decode` reads it: JSON, one line a field."""
    return msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n"


def decode(content: bytes) -> Head:
    """A head whose every number is one that it may have; ModelError says which is not."""
    if len(content) > _MOST_BYTES:
        raise _unusable(f"it has {len(content)} bytes, more than {_MOST_BYTES}")
    try:
        head = msgspec.json.decode(content, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(shortened(str(error))) from error
    if head.format != FORMAT:
        raise ModelError(
            f"the taught sound has format {head.format}, this beepwatch reads {FORMAT}. "
            "Upgrade beepwatch, or teach it again with `beepwatch teach`."
        )
    for problem in (_name_problem(head), _number_problem(head), _expected_problem(head)):
        if problem:
            raise _unusable(problem)
    return head


def name_problem(name: str) -> str | None:
    """Why a name can be no taught sound's; None if it can."""
    if not NAME.fullmatch(name):
        return f"the name {shortened(name)!r} is not 1 to 40 of a-z, 0-9, - and _"
    if name in NOT_TO_BE_TAUGHT:
        return f"the name {name!r} is the shipped model's own"
    return None


def _name_problem(head: Head) -> str | None:
    if not re.fullmatch(r"[0-9a-f]{12}", head.model_id):
        return f"model_id is {shortened(head.model_id)!r}, not 12 hexadecimal digits"
    return name_problem(head.name)


def _number_problem(head: Head) -> str | None:
    tones = head.pitches_hz
    if not 1 <= len(tones) <= MOST_TONES or not all(100 <= hz <= HIGHEST_HZ for hz in tones):
        return f"pitches_hz are {_shown(tones)}, not 1 to {MOST_TONES} within 100 to {HIGHEST_HZ:g}"
    if len(head.weights) != FEATURES:
        return f"it has {len(head.weights)} weights, expected {FEATURES}"
    for number in (*head.weights, head.bias):
        if not abs(number) <= _LARGEST:
            return f"a weight is {number}, not within ±{_LARGEST:g}"
    if not 0 < head.threshold < 1:
        return f"threshold is {head.threshold}, not between 0 and 1"
    if not 1 <= head.pulses <= MOST_PULSES:
        return f"pulses is {head.pulses}, not 1 to {MOST_PULSES}"
    if not 1e-4 <= head.tolerance <= 0.1:
        return f"tolerance is {head.tolerance}, not within 0.0001 to 0.1"
    return None


def _expected_problem(head: Head) -> str | None:
    expected = head.expected
    if not 0 <= expected.caught <= expected.examples <= 1_000:
        return f"it says that {expected.caught} of {expected.examples} examples were caught"
    per_month = expected.false_alarms_per_month
    if per_month is not None and not 0 <= per_month < math.inf:
        return f"false_alarms_per_month is {per_month}"
    for text in (expected.nearest, expected.advice):
        if len(text) > 400 or not text.isprintable():
            return "a text of it is too long or cannot be printed"
    return None


def _shown(values: Any) -> str:  # noqa: ANN401 - a tuple of numbers
    return shortened(str(list(values)))


def _unusable(reason: str) -> ModelError:
    return ModelError(
        f"this is no taught sound: {reason}. Teach it again with `beepwatch teach`, "
        "or import it again."
    )
