"""Clips that sound alike, put together, so that a person can judge many at a glance.

k-means from a k-means++ start (Arthur and Vassilvitskii, SODA 2007), on the principal components
of what the network said of each clip. The same clips give the same groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CLIPS_OF_A_GROUP = 40  # on average: what a person looks through in one go
LARGEST_GROUP = 60
_COMPONENTS = 20
_MOST_ROUNDS = 50
_TOO_CERTAIN = 1e-6  # of a probability, whose entropy is asked for


def groups_of(blocks: Sequence[Floats], scores: Floats) -> list[list[int]]:
    """Numbers of clips, by group: most uncertain group first, in it the highest score first.

    `blocks` are kinds of features that count alike, each [clips, features]; `scores` are the
    probabilities that a clip holds what is looked for, [clips].
    """
    if len(scores) == 0:
        return []
    points = principal_components(blocks)
    wanted = -(-len(points) // CLIPS_OF_A_GROUP)
    cluster = clusters(points, wanted)
    members = [np.flatnonzero(cluster == number) for number in range(wanted)]
    small = [part for group in members if len(group) for part in _small_enough(points, group)]
    doubt = uncertainty(scores)
    small.sort(key=lambda group: (-float(doubt[group].mean()), int(group[0])))
    return [sorted(group.tolist(), key=lambda clip: (-scores[clip], clip)) for group in small]


def uncertainty(scores: Floats) -> Floats:
    """How little a probability says: its entropy in bits, 1 at a half, 0 at certainty."""
    sure = np.clip(scores, _TOO_CERTAIN, 1 - _TOO_CERTAIN)
    return np.asarray(-sure * np.log2(sure) - (1 - sure) * np.log2(1 - sure), dtype=np.float32)


def principal_components(blocks: Sequence[Floats]) -> Floats:
    """Where each clip lies, [clips, at most 20]; every block with the same say."""
    columns = [
        (block - block.mean(axis=0)) / (block.std() + 1e-9) / np.sqrt(block.shape[1])
        for block in blocks
        if block.shape[1] > 0
    ]
    left, sizes, _ = np.linalg.svd(np.concatenate(columns, axis=1), full_matrices=False)
    return np.asarray(left[:, :_COMPONENTS] * sizes[:_COMPONENTS], dtype=np.float32)


def clusters(points: Floats, count: int) -> NDArray[np.intp]:
    """For each of the points [points, dimensions], which of at most `count` clusters it is in."""
    centres = _start(points, count)
    nearest = _nearest(points, centres)
    for _ in range(_MOST_ROUNDS):
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        sizes = np.bincount(nearest, minlength=len(centres))[:, np.newaxis]
        centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        before, nearest = nearest, _nearest(points, centres)
        if (before == nearest).all():
            break
    return nearest


def _start(points: Floats, count: int) -> Floats:
    """Centres far apart: each is drawn with the square of its distance from those before it."""
    rng = np.random.default_rng(0)
    centres = [points[rng.integers(len(points))]]
    squares = np.square(points - centres[0]).sum(axis=1)
    while len(centres) < count and squares.max() > 0:
        drawn = rng.choice(len(points), p=squares / squares.sum(dtype=np.float64))
        centres.append(points[drawn])
        squares = np.minimum(squares, np.square(points - centres[-1]).sum(axis=1))
    return np.array(centres)


def _nearest(points: Floats, centres: Floats) -> NDArray[np.intp]:
    # |p - c|² without |p|², which is the same for every centre
    squares = np.square(centres).sum(axis=1) - 2 * points @ centres.T
    return np.asarray(squares.argmin(axis=1))


def _small_enough(points: Floats, group: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """The group, halved until it can be looked through; if all points are alike, by number."""
    if len(group) <= LARGEST_GROUP:
        return [group]
    second = clusters(points[group], 2) == 1
    if not second.any() or second.all():
        second = np.arange(len(group)) >= len(group) // 2
    return [
        part for half in (group[~second], group[second]) for part in _small_enough(points, half)
    ]
