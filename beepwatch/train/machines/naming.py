"""Learns which known fault a machine has, from recordings that say it: linear discriminants.

Fisher's discriminant with a shrunken covariance (Ledoit and Wolf 2004, with a fixed amount), over
typical spectra alone and, for each loudness of the room, with household sounds laid over them. The
figures were chosen on the propellers of mission `square` with household recordings of the dev
split: docs/machines.md.
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
PACE_DEVIATION = 0.01  # relative, of one copy of each: how far its speed may wander
SHRINKAGE = 0.1
COMMON = 0.1  # of a room's covariance: that of all rooms, since a still one has few spectra
_LEAST_SCALE = 0.05
_SEED = 5

_Doubles = NDArray[np.float64]


class _Heard(NamedTuple):
    """The spectra of one room."""

    means: _Doubles  # [labels, BANDS]
    shares: _Doubles  # [labels], of all
    within: _Doubles  # [BANDS, BANDS], covariance within the labels


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
            _rule(room.means, room.shares, (1 - COMMON) * room.within + COMMON * common)
            for room in rooms
        ),
        room=_rule_of_rooms(rooms),
        learned_s=len(spectra) * HOP_S,
    )


def _rule_of_rooms(rooms: Sequence[_Heard]) -> Rule:
    shares = np.full(len(rooms), 1 / len(rooms))
    within = np.mean([room.within + _between(room.means, room.shares) for room in rooms], axis=0)
    return _rule(np.stack([room.shares @ room.means for room in rooms]), shares, within)


def _between(means: _Doubles, shares: _Doubles) -> _Doubles:
    """Covariance of the means of kinds [kinds, BANDS]."""
    off = means - shares @ means
    return np.asarray((off.T * shares) @ off)


def _rule(means: _Doubles, shares: _Doubles, within: _Doubles) -> Rule:
    """From the mean of each kind [kinds, BANDS], its share, and the covariance within them."""
    centre = shares @ means
    variance = np.diag(within) + shares @ (means - centre) ** 2
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
    """What is heard in each room, the still one last; a label's copies at a time."""
    labels, rooms = int(numbers.max()) + 1, len(ROOMS_DB) + 1
    counts, sums = np.zeros((rooms, labels)), np.zeros((rooms, labels, BANDS))
    squares = np.zeros((rooms, BANDS, BANDS))
    for number in range(labels):
        for room, cloud in enumerate(_clouds(rng, spectra[numbers == number], household)):
            counts[room, number] = len(cloud)
            sums[room, number] = cloud.sum(axis=0)
            squares[room] += cloud.T @ cloud
    found = []
    for count, total, square in zip(counts, sums, squares, strict=True):
        means, shares = total / count[:, None], count / count.sum()
        found.append(_Heard(means, shares, square / count.sum() - (means.T * shares) @ means))
    return found


def _clouds(rng: np.random.Generator, alone: Floats, household: Floats) -> Iterator[_Doubles]:
    """Spectra of one label as they are heard in each room."""
    paces = np.concatenate([alone, at_another_pace(rng, alone, PACE_DEVIATION)])
    for snrs_db in ROOMS_DB:
        yield overlaid(rng, paces, household, COPIES, snrs_db).astype(np.float64)
    yield paces.astype(np.float64)
