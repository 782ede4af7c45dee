"""Learns which known fault a machine has, from recordings that say it: linear discriminants.

Fisher's discriminant with a shrunken covariance (Ledoit and Wolf 2004, with a fixed amount), over
steady spectra alone and with household sounds laid over them.
"""

from collections.abc import Sequence

import numpy as np

from beepwatch.classify.condition import packed
from beepwatch.classify.faults import MOST_LABELS, Faults
from beepwatch.classify.heads import name_problem
from beepwatch.classify.spectra import BANDS, Floats
from beepwatch.errors import ConfigurationError
from beepwatch.train.machines.household import overlaid, read_household
from beepwatch.train.machines.learning import HOP_S

SHRINKAGE = 0.1
_LEAST_SCALE = 0.05
_SEED = 5


def learn_faults(
    name: str, spectra: Floats, labels: Sequence[str], household: Floats | None = None
) -> Faults:
    """From steady spectra [windows, BANDS] and the label of each.

    Raises ConfigurationError for a name that cannot be, or labels there is nothing to tell of.
    """
    known = sorted(set(labels))
    problem = name_problem(name)
    if problem or not 2 <= len(known) <= MOST_LABELS:
        raise ConfigurationError(
            f"{problem}. Give another, for example: fan."
            if problem
            else f"{len(known)} labels were given for {name}; give 2 to {MOST_LABELS}."
        )
    sounds = read_household() if household is None else household
    rng = np.random.default_rng(_SEED)
    numbers = np.array([known.index(label) for label in labels])
    sums, squares, counts = _sums(rng, spectra, numbers, sounds)
    total = counts.sum()
    centre = sums.sum(axis=0) / total
    means = sums / counts[:, None]
    within = (squares - (means.T * counts) @ means) / total
    spread = np.maximum(np.sqrt(np.maximum(np.diag(squares) / total - centre**2, 0)), _LEAST_SCALE)
    scaled = within / np.outer(spread, spread)
    even = np.trace(scaled) / BANDS * np.eye(BANDS)
    towards = (means - centre) / spread
    weights = np.linalg.solve((1 - SHRINKAGE) * scaled + SHRINKAGE * even, towards.T).T
    biases = -0.5 * (weights * towards).sum(axis=1)
    weights = weights / spread
    return Faults(
        name=name,
        labels=tuple(known),
        weights=packed(weights.astype(np.float32)),
        biases=packed((biases - weights @ centre).astype(np.float32)),
        learned_s=len(spectra) * HOP_S,
    )


def _sums(
    rng: np.random.Generator, spectra: Floats, numbers: np.ndarray, household: Floats
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum and count of each label, and the sum of all products; a label's copies at a time."""
    labels = int(numbers.max()) + 1
    sums, squares = np.zeros((labels, BANDS)), np.zeros((BANDS, BANDS))
    counts = np.zeros(labels)
    for number in range(labels):
        alone = spectra[numbers == number]
        cloud = np.concatenate([alone, overlaid(rng, alone, household)]).astype(np.float64)
        sums[number] = cloud.sum(axis=0)
        squares += cloud.T @ cloud
        counts[number] = len(cloud)
    return sums, squares, counts
