"""How strange a machine sounds, beside how it sounded when it was well.

Learned by `train/machines/learning.py` from normal sound alone. Each operating state is a cloud of
steady spectra in few bands, with the room's own sounds over it; how far a window lies from the
nearest, by Mahalanobis, is how strange it is. What is too faint or too brief for that is looked for
by `novelties.py`.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from beepwatch.classify.heads import name_problem
from beepwatch.classify.spectra import (
    ABOVE_NARROW,
    BANDS,
    COARSE_BANDS,
    LINES,
    NARROW_BANDS,
    Floats,
    centres_hz,
    coarse,
    level_db,
)
from beepwatch.classify.swings import OCTAVES, RATES
from beepwatch.errors import ModelError
from beepwatch.validation import shortened

FORMAT = 2
_FORMATS = (1, FORMAT)  # the first has no ceilings: whines and clicks are not looked for
MOST_STATES = 8
QUIETER_DB = 10.0  # than it ever was when well: it is switched off
_MOST_BYTES = 4_000_000
_TONE_DB = 6.0  # over its neighbours
_SMALLEST, _LARGEST = 1e-6, 1e6
_OF_STATE = {"alone": BANDS, "deviation": BANDS}
_OF_CLOUD = {"centre": COARSE_BANDS, "whitening": COARSE_BANDS**2}
_OF_CEILING = {
    "lines": len(LINES),
    "noise": len(LINES),
    "rates": RATES,
    "uneven": OCTAVES,
    "quiet": OCTAVES,
}


class Cloud(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where coarse spectra of one kind lie."""

    centre: bytes  # [COARSE_BANDS]
    whitening: bytes  # [COARSE_BANDS, COARSE_BANDS], after which the cloud is even all around


class Ceiling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that half a minute of normal sound has of each, natural logs."""

    lines: bytes  # [LINES], above the neighbouring bands, at a slightly other speed too
    noise: bytes  # [LINES], of those neighbours
    rates: bytes  # [RATES], swinging above the neighbouring rates
    uneven: bytes  # [OCTAVES]
    quiet: bytes  # [OCTAVES]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far above its ceiling something is new."""

    line_db: float
    rate_db: float
    uneven_db: float


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way in which the machine runs. Arrays are float32, little-endian."""

    share: float  # of the time that was learned from
    alone: bytes  # [BANDS], median spectrum, nothing else being heard
    deviation: bytes  # [BANDS], of it
    heard: Cloud  # with the room's sounds over it
    ceiling: Ceiling | None = None


class Normal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a machine sounds when it is well."""

    format: int = FORMAT
    name: str
    learned_s: float
    states: tuple[State, ...]
    usual: float  # log of the distance of half of what was held back
    spread: float  # how much more it is for the strangest hundredth of it
    lowest_db: float  # level of the quietest hundredth
    drowned: Cloud  # where the room is far louder than the machine
    drowned_within: float  # so near to it lies nearly all that is
    limits: Limits | None = None  # of every state's ceiling


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One window."""

    strangeness: float  # 0: as half of normal sound, 1: as its strangest hundredth
    state: int  # that it is nearest to
    drowned: bool  # most of it may be the room's, so it tells of no fault


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What is most unlike normal."""

    pitch_hz: float  # of clicks, where they are clearest
    more_db: float  # less than 0 for what is missing
    kind: Literal["tone", "noise", "clicks", "rattling"]
    per_s: float | None = None  # clicks that come evenly


class Listener:
    """A learned normal, unpacked."""

    def __init__(self, normal: Normal) -> None:
        self.normal = normal
        self._clouds = [_Unpacked(state.heard) for state in normal.states]
        self._drowned = _Unpacked(normal.drowned)

    def judge(self, spectrum: Floats) -> Judged | None:
        """Of a steady spectrum [BANDS]; None if the machine is off."""
        level = float(level_db(spectrum))
        if level < self.normal.lowest_db - QUIETER_DB:
            return None
        few = coarse(spectrum[None])
        distances = self._from_states(few)[0]
        drowned = float(self._drowned.distances(few)[0]) <= self.normal.drowned_within
        nearest = int(distances.argmin())
        strangeness = (float(np.log(distances[nearest])) - self.normal.usual) / self.normal.spread
        return Judged(strangeness=strangeness, state=nearest, drowned=drowned)

    def distances(self, spectra: Floats) -> Floats:
        """How far spectra [windows, BANDS] lie from each state, [windows, states]."""
        return self._from_states(coarse(spectra))

    def difference(self, spectrum: Floats, state: int) -> Difference:
        """What a spectrum, best a median of many, has most that this state has not."""
        learned = self.normal.states[state]
        return _difference(spectrum, unpacked(learned.alone), unpacked(learned.deviation))

    def _from_states(self, few: Floats) -> Floats:
        return np.stack([cloud.distances(few) for cloud in self._clouds], axis=1)


class _Unpacked:
    def __init__(self, cloud: Cloud) -> None:
        self._centre = unpacked(cloud.centre)
        self._whitening = unpacked(cloud.whitening).reshape(COARSE_BANDS, COARSE_BANDS)

    def distances(self, few: Floats) -> Floats:
        even = (few - self._centre) @ self._whitening.T
        return np.asarray((even**2).mean(axis=1), dtype=np.float32)


def distances(clouds: Sequence[Cloud], few: Floats) -> Floats:
    """Squared Mahalanobis distance, a band, of coarse spectra from each: [windows, clouds]."""
    return np.stack([_Unpacked(cloud).distances(few) for cloud in clouds], axis=1)


def packed(values: Floats) -> bytes:
    """As a state keeps an array."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def unpacked(content: bytes) -> Floats:
    """The array that was packed, flat."""
    return np.frombuffer(content, dtype="<f4").astype(np.float32)


def encode(normal: Normal) -> bytes:
    """As `decode` reads it: JSON, arrays in base64."""
    return msgspec.json.format(msgspec.json.encode(normal), indent=1) + b"\n"


def decode(content: bytes) -> Normal:
    """A normal whose every number is one that it may have; ModelError says which is not."""
    if len(content) > _MOST_BYTES:
        raise _unusable(f"it has {len(content)} bytes, more than {_MOST_BYTES}")
    try:
        normal = msgspec.json.decode(content, type=Normal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(shortened(str(error))) from error
    if normal.format not in _FORMATS:
        raise ModelError(
            f"the learned normal has format {normal.format}, this beepwatch reads {FORMAT}. "
            "Upgrade beepwatch, or learn it again."
        )
    problems = [name_problem(normal.name), _number_problem(normal), _limits_problem(normal)]
    for problem in (*problems, *map(_state_problem, normal.states)):
        if problem:
            raise _unusable(problem)
    return normal


def _number_problem(normal: Normal) -> str | None:
    if not 1 <= len(normal.states) <= MOST_STATES:
        return f"it has {len(normal.states)} states, not 1 to {MOST_STATES}"
    if not 0 < normal.learned_s < 1e9:
        return f"learned_s is {normal.learned_s}"
    if not (abs(normal.usual) <= 100 and _SMALLEST <= normal.spread <= 100):
        return f"usual and spread are {normal.usual} and {normal.spread}"
    if not (-200 <= normal.lowest_db <= 20 and 0 <= normal.drowned_within <= _LARGEST):
        return f"lowest_db, drowned_within are {normal.lowest_db}, {normal.drowned_within}"
    return _array_problem(normal.drowned, _OF_CLOUD)


def _limits_problem(normal: Normal) -> str | None:
    with_ceiling = sum(state.ceiling is not None for state in normal.states)
    if normal.limits is None:
        return "it has ceilings and no limits" if with_ceiling else None
    if with_ceiling < len(normal.states):
        return f"{with_ceiling} of its {len(normal.states)} states have a ceiling"
    for name in normal.limits.__struct_fields__:
        value = getattr(normal.limits, name)
        if not 0.1 <= value <= 1_000:
            return f"{name} is {value}"
    return None


def _state_problem(state: State) -> str | None:
    if not 0 <= state.share <= 1:
        return f"a state has a share of {state.share}"
    problem = _array_problem(state, _OF_STATE) or _array_problem(state.heard, _OF_CLOUD)
    if problem or state.ceiling is None:
        return problem
    return _array_problem(state.ceiling, _OF_CEILING)


def _array_problem(holder: State | Cloud | Ceiling, lengths: dict[str, int]) -> str | None:
    for name, length in lengths.items():
        content: bytes = getattr(holder, name)
        if len(content) != 4 * length:
            return f"{name} has {len(content)} bytes, expected {4 * length}"
        values = unpacked(content)
        least = _SMALLEST if name == "deviation" else -_LARGEST
        if not ((values >= least) & (values <= _LARGEST)).all():  # nor is NaN
            return f"{name} holds what it cannot"
    return None


def _unusable(reason: str) -> ModelError:
    return ModelError(f"this is no learned normal: {reason}. Learn it again.")


def _difference(spectrum: Floats, alone: Floats, deviation: Floats) -> Difference:
    """The band that is furthest off in its own deviations; a tone if it stands out by itself."""
    change = (spectrum - alone) * np.float32(10 / np.log(10))  # dB
    off = np.abs(change[LINES]) / np.maximum(deviation[LINES], 0.1)
    band = int(LINES[off.argmax()])
    first = 0 if band < NARROW_BANDS else ABOVE_NARROW
    end = NARROW_BANDS if band < NARROW_BANDS else BANDS
    around = np.r_[
        max(first, band - 8) : max(first, band - 2), min(end, band + 3) : min(end, band + 9)
    ]
    beside = float(np.median(change[around])) if len(around) else 0.0
    more_db = float(change[band])
    tonal = abs(more_db - beside) >= _TONE_DB
    return Difference(
        pitch_hz=float(centres_hz()[band]), more_db=more_db, kind="tone" if tonal else "noise"
    )
