"""Points are put together by k-means on their principal components, several counts tried.

Only what is not of the split test shapes scales, components and centres; the recordings of test are
given to the centre that is nearest. One thread does it, so that the sums are the same each time.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from beepwatch.errors import ConfigurationError
from beepwatch.train.kinds.naming import MOST_CLUSTERS
from beepwatch.train.kinds.points import Points
from beepwatch.wording import counted

Labels = NDArray[np.intp]

STARTS = 10  # of k-means, the best is kept
LEAST_DEVIATION = 1e-9  # relative to a column's size: what deviates less tells nothing
SILHOUETTE_POINTS = 2_000  # it grows with their square
_TOLD_COLUMNS = 5  # that set a cluster apart
_DIGITS = 6
_EQUAL_DIGITS = 9

Number = Annotated[int, msgspec.Meta(ge=1, le=MOST_CLUSTERS)]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How recordings are put together."""

    abnormal: tuple[str, ...] = ("abnormal",)
    clusters: Number = 3
    components: Annotated[int, msgspec.Meta(ge=1)] | None = None  # else as `variance` says
    variance: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95  # share that is kept
    most: Annotated[int, msgspec.Meta(ge=2, le=MOST_CLUSTERS)] = 10  # clusters that are tried
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """So many clusters."""

    clusters: int
    inertia: float  # sum of the squared distances to the centres
    silhouette: float | None  # of one cluster there is none


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Which recording is in which cluster; the largest cluster is number 1."""

    numbers: tuple[int, ...]  # [recordings], from 1
    distances: tuple[float, ...]  # [recordings], to the centre of its own cluster
    places: tuple[tuple[float, float, float], ...]  # [recordings], on the first components
    centres: tuple[tuple[float, float, float], ...]  # [clusters]
    apart: tuple[tuple[tuple[int, float], ...], ...]  # [clusters], column and how many deviations
    explained: tuple[float, ...]  # share of the variance, by component
    kept: int  # components
    tried: tuple[Tried, ...]
    constant: int  # columns that say nothing

    @property
    def clusters(self) -> int:
        """How many there are."""
        return len(self.centres)

    def best(self) -> Tried:
        """The count with the highest silhouette."""
        return max(self.tried, key=lambda one: (one.silhouette or -1.0, -one.clusters))

    def of(self, clusters: int) -> Tried | None:
        """What was found with so many clusters, if that was tried."""
        return next((one for one in self.tried if one.clusters == clusters), None)


def partition(points: Points, shaping: NDArray[np.bool_], plan: Plan) -> Partition:
    """Of points [recordings, columns]; `shaping` are those that the clusters are made of.

    Raises ConfigurationError if there are too few.
    """
    with threadpool_limits(limits=1):
        return _partition(points, shaping, plan)


def _partition(points: Points, shaping: NDArray[np.bool_], plan: Plan) -> Partition:
    known = points[shaping]
    _enough(len(points), 2)
    if len(known) < 2:
        raise ConfigurationError(
            f"of {counted(len(points), 'recording')} of faults {counted(len(known), 'recording')} "
            "can shape clusters, as the split test does not; DCASE has all of them there. "
            "Empty that column of dataset.csv for some, and make the features again."
        )
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    telling = deviation > LEAST_DEVIATION * np.maximum(np.abs(mean), 1)
    scaled = (points[:, telling] - mean[telling]) / deviation[telling]
    _enough(2 if telling.any() else 1, 2)
    analysis = PCA(svd_solver="full").fit(scaled[shaping])
    kept = _kept(analysis.explained_variance_ratio_, plan)
    # Rounded, so that what is equal stays equal, wherever in a product it stood.
    seen = np.round(analysis.transform(scaled)[:, :kept], _EQUAL_DIGITS)
    distinct = len(np.unique(seen[shaping], axis=0))
    _enough(distinct, plan.clusters)
    tried = [
        _tried(seen[shaping], count, plan.seed) for count in range(1, min(plan.most, distinct) + 1)
    ]
    found = _k_means(plan.clusters, plan.seed).fit(seen[shaping])
    centres = found.cluster_centers_[_by_size(found.labels_)]
    off = seen[:, np.newaxis] - centres  # [recordings, clusters, kept]
    distances = np.sqrt(np.square(off).sum(axis=2))
    numbers = distances.argmin(axis=1)
    return Partition(
        numbers=tuple((numbers + 1).tolist()),
        distances=_rounded(distances[np.arange(len(numbers)), numbers]),
        places=_triples(seen),
        centres=_triples(centres),
        apart=_apart(centres @ analysis.components_[:kept], np.flatnonzero(telling)),
        explained=_rounded(analysis.explained_variance_ratio_),
        kept=kept,
        tried=tuple(tried),
        constant=int(np.count_nonzero(~telling)),
    )


def _enough(distinct: int, clusters: int) -> None:
    if distinct < clusters:
        raise ConfigurationError(
            f"{counted(distinct, 'different recording')} cannot be {clusters} clusters. "
            f"Give more recordings{', or fewer --clusters' if distinct > 1 else ''}."
        )


def _kept(shares: Points, plan: Plan) -> int:
    if plan.components is None:
        return min(int(np.searchsorted(np.cumsum(shares), plan.variance - 1e-9)) + 1, len(shares))
    if plan.components > len(shares):
        raise ConfigurationError(
            f"--components is {plan.components}; there are {len(shares)}, "
            "no more than recordings or columns. Give fewer."
        )
    return plan.components


def _k_means(count: int, seed: int) -> KMeans:
    return KMeans(n_clusters=count, n_init=STARTS, random_state=seed)


def _tried(seen: Points, count: int, seed: int) -> Tried:
    found = _k_means(count, seed).fit(seen)
    silhouette = None
    if 1 < count < len(seen):
        size = SILHOUETTE_POINTS if len(seen) > SILHOUETTE_POINTS else None
        score = silhouette_score(seen, found.labels_, sample_size=size, random_state=seed)
        (silhouette,) = _rounded([score])
    (inertia,) = _rounded([found.inertia_])
    return Tried(clusters=count, inertia=inertia, silhouette=silhouette)


def _by_size(labels: Labels) -> Labels:
    """Clusters in their new order: the largest first, of equal ones that of the first recording."""
    sizes = np.bincount(labels)
    first = np.asarray([np.argmax(labels == number) for number in range(len(sizes))])
    return np.lexsort((first, -sizes))


def _apart(scaled: Points, columns: Labels) -> tuple[tuple[tuple[int, float], ...], ...]:
    """Of each centre the columns that are furthest from the mean of all, in deviations."""
    found = []
    for centre in scaled:
        order = np.lexsort((columns, -np.round(np.abs(centre), _DIGITS)))[:_TOLD_COLUMNS]
        found.append(tuple((int(columns[n]), round(float(centre[n]), 2)) for n in order))
    return tuple(found)


def _triples(seen: Points) -> tuple[tuple[float, float, float], ...]:
    """The first three components; those that are missing are 0."""
    three = np.zeros((len(seen), 3))
    three[:, : min(3, seen.shape[1])] = seen[:, :3]
    return tuple((_round(x), _round(y), _round(z)) for x, y, z in three.tolist())


def _rounded(values: Points | Sequence[float]) -> tuple[float, ...]:
    return tuple(_round(float(value)) for value in values)


def _round(value: float) -> float:
    return round(value, _DIGITS) + 0.0  # no -0.0
