"""Learns which known fault a machine has, from recordings that say it: linear discriminants.

Fisher's discriminant with a shrunken covariance (Ledoit and Wolf 2004, with a fixed amount), over
typical spectra alone and, for each loudness of the room, with household sounds laid over them. All
labels count alike, however much of each was recorded: of a machine that is well there is most, and
its spectrum does not wander as that of a failing one does. The figures were chosen on the
propellers of mission `square` with household recordings of the dev split: docs/machines.md.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.condition import packed
from beepwatch.classify.faults import MOST_LABELS, Faults, Rule
from beepwatch.classify.spectra import BANDS, Floats
from beepwatch.errors import ConfigurationError
from beepwatch.train.machines.household import TYPICAL_BANK, overlaid, read_household
from beepwatch.train.machines.learning import HOP_S, at_another_pace, check_name

# How loud the room is: SNRs are drawn between, and there is a room that is still.
ROOMS_DB = ((-9.0, -1.0), (-1.0, 7.0), (7.0, 14.0), (14.0, 30.0))
COPIES = 2  # of each window at each pace, with something else over each
PACES, PACE_DEVIATION = 5, 0.0125  # relative: how far its speed may wander
SHRINKAGE = 0.1
COMMON = 0.1  # of a room's covariance: that of all rooms, since a still one has few spectra
_LEAST_SCALE = 0.05
_SEED = 5

_Doubles = NDArray[np.float64]


class _Heard(NamedTuple):
    """The spectra of one room."""

    means: _Doubles  # [labels, BANDS]
    within: _Doubles  # [BANDS, BANDS], the mean of the labels' covariances


def learn_faults(
    name: str, spectra: Floats, labels: Sequence[str], household: Floats | None = None
) -> Faults:
    """From typical spectra [windows, BANDS] and the label of each.

    Raises ConfigurationError for a name that cannot be, or labels there is nothing to tell of.
    """
    check_name(name)
    known = sorted(set(labels))
    if not 2 <= len(known) <= MOST_LABELS:
        raise ConfigurationError(
            f"{len(known)} labels were given for {name}; give 2 to {MOST_LABELS}."
        )
    sounds = read_household(TYPICAL_BANK) if household is None else household
    numbers = np.array([known.index(label) for label in labels])
    rooms = _rooms(np.random.default_rng(_SEED), spectra, numbers, sounds)
    common = np.mean([room.within for room in rooms], axis=0)
    return Faults(
        name=name,
        labels=tuple(known),
        rules=tuple(
            _rule(room.means, (1 - COMMON) * room.within + COMMON * common) for room in rooms
        ),
        room=_rule_of_rooms(rooms),
        learned_s=len(spectra) * HOP_S,
    )


def _rule_of_rooms(rooms: Sequence[_Heard]) -> Rule:
    within = np.mean([room.within + _between(room.means) for room in rooms], axis=0)
    return _rule(np.stack([room.means.mean(axis=0) for room in rooms]), within)


def _between(means: _Doubles) -> _Doubles:
    """Covariance of the means of kinds [kinds, BANDS]."""
    off = means - means.mean(axis=0)
    return np.asarray(off.T @ off / len(off))


def _rule(means: _Doubles, within: _Doubles) -> Rule:
    """From the mean of each kind [kinds, BANDS] and the covariance within them."""
    centre = means.mean(axis=0)
    variance = np.diag(within) + ((means - centre) ** 2).mean(axis=0)
    spread = np.maximum(np.sqrt(np.maximum(variance, 0)), _LEAST_SCALE)
    scaled = within / np.outer(spread, spread)
    even = np.trace(scaled) / BANDS * np.eye(BANDS)
    towards = (means - centre) / spread
    weights = np.linalg.solve((1 - SHRINKAGE) * scaled + SHRINKAGE * even, towards.T).T
    biases = -0.5 * (weights * towards).sum(axis=1)
    weights = weights / spread
    return Rule(
        weights=packed(weights.astype(np.float32)),
        biases=packed((biases - weights @ centre).astype(np.float32)),
    )


def _rooms(
    rng: np.random.Generator, spectra: Floats, numbers: NDArray[np.intp], household: Floats
) -> list[_Heard]:
    """What is heard in each room, the still one last."""
    labels, rooms = int(numbers.max()) + 1, len(ROOMS_DB) + 1
    means, within = np.zeros((rooms, labels, BANDS)), np.zeros((rooms, BANDS, BANDS))
    for number in range(labels):
        counts, squares = np.zeros(rooms), np.zeros((rooms, BANDS, BANDS))
        for room, cloud in _clouds(rng, spectra[numbers == number], household):
            counts[room] += len(cloud)
            means[room, number] += cloud.sum(axis=0)
            squares[room] += cloud.T @ cloud
        means[:, number] /= counts[:, None]
        for room, mean in enumerate(means[:, number]):
            within[room] += (squares[room] / counts[room] - np.outer(mean, mean)) / labels
    return [_Heard(*one) for one in zip(means, within, strict=True)]


def _clouds(
    rng: np.random.Generator, alone: Floats, household: Floats
) -> Iterator[tuple[int, _Doubles]]:
    """Spectra of one label with the room that they are heard in, those of a pace at a time."""
    for number in range(1 + PACES):
        paced = at_another_pace(rng, alone, PACE_DEVIATION) if number else alone
        for room, snrs_db in enumerate(ROOMS_DB):
            yield room, overlaid(rng, paced, household, COPIES, snrs_db).astype(np.float64)
        yield len(ROOMS_DB), paced.astype(np.float64)
