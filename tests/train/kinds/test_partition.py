"""Planted clusters are found, and every figure that is shown of them is right."""

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.errors import ConfigurationError
from beepwatch.train.kinds.partition import Partition, Plan, partition
from beepwatch.train.machines.learning import silhouette

Floats = NDArray[np.float64]


def planted(sizes: list[int]) -> Floats:
    """Recordings of one cluster after another, each far out in a column of its own."""
    rng = np.random.default_rng(1)
    centres = 20 * np.eye(len(sizes))
    return np.concatenate(
        [rng.normal(centre, 1, (n, len(sizes))) for centre, n in zip(centres, sizes, strict=True)]
    )


def parted(points: Floats, plan: Plan, shaping: NDArray[np.bool_] | None = None) -> Partition:
    return partition(points, np.ones(len(points), dtype=bool) if shaping is None else shaping, plan)


def test_planted_clusters_are_found_the_largest_first() -> None:
    found = parted(planted([4, 9, 6]), Plan(most=6))
    assert found.numbers == (3,) * 4 + (1,) * 9 + (2,) * 6
    assert found.best().clusters == found.clusters == 3
    assert [one.clusters for one in found.tried] == [1, 2, 3, 4, 5, 6]
    inertia = [one.inertia for one in found.tried]
    assert inertia == sorted(inertia, reverse=True)
    assert inertia[1] - inertia[2] > 20 * (inertia[2] - inertia[3])  # the elbow
    assert [columns[0][0] for columns in found.apart] == [1, 2, 0]
    assert all(columns[0][1] > 0.8 for columns in found.apart)


def test_distances_are_counted_in_deviations() -> None:
    """Of -11, -9, 9, 11 the deviation is √101, and each is 1 from its centre."""
    found = parted(np.asarray([[-11.0], [-9.0], [9.0], [11.0]]), Plan(clusters=2, most=2))
    assert found.distances == pytest.approx((101**-0.5,) * 4, abs=1e-6)
    assert sorted(x for x, _, _ in found.centres) == pytest.approx(
        [-10 / 101**0.5, 10 / 101**0.5], abs=1e-6
    )
    (one, two) = found.tried
    assert (one.inertia, two.inertia) == pytest.approx((4.0, 4 / 101), abs=1e-6)
    assert one.silhouette is None


def test_components_are_kept_by_share_or_by_number_and_constant_columns_left_out() -> None:
    """Two columns that have nothing to do with one another, and one that never changes."""
    corners = np.asarray([[1, 1, 7], [1, -1, 7], [-1, 1, 7], [-1, -1, 7]] * 3, dtype=float)
    for plan, kept in (
        (Plan(clusters=2, most=2), 2),
        (Plan(clusters=2, most=2, variance=0.5), 1),
        (Plan(clusters=2, most=2, components=1), 1),
    ):
        found = parted(corners, plan)
        assert found.explained == pytest.approx((0.5, 0.5))
        assert (found.kept, found.constant) == (kept, 1)


def test_the_silhouette_is_the_one_that_a_box_without_scikit_learn_counts() -> None:
    points = planted([8, 8, 8])
    found = parted(points, Plan(variance=1.0, most=4))
    scaled = ((points - points.mean(axis=0)) / points.std(axis=0)).astype(np.float32)
    own = silhouette(scaled, np.asarray(found.numbers, dtype=np.intp) - 1)
    three = found.of(3)
    assert three is not None
    assert three.silhouette == pytest.approx(own, abs=1e-4)


def test_the_split_test_shapes_nothing_and_is_given_to_the_nearest_centre() -> None:
    points = planted([6, 5, 4])
    strange = np.concatenate([points, points[:1] + 0.1, np.full((1, 3), 1e6)])
    shaping = np.arange(len(strange)) < len(points)
    alone, beside = parted(points, Plan(most=4)), parted(strange, Plan(most=4), shaping)
    assert beside.numbers[:15] == alone.numbers
    assert beside.numbers[15] == 1
    assert beside.tried == alone.tried
    assert beside.distances[16] > 1e4


def test_the_seed_decides_and_nothing_else_does() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(40, 4))  # no clusters at all: starts differ
    assert parted(points, Plan(clusters=5, seed=1)) == parted(points, Plan(clusters=5, seed=1))


@pytest.mark.parametrize(
    ("points", "plan", "complaint"),
    [
        (
            np.zeros((9, 3)),
            Plan(),
            "1 different recording cannot be 2 clusters. Give more recordings.$",
        ),
        (
            np.zeros((1, 3)),
            Plan(clusters=1),
            "1 different recording cannot be 2 clusters. Give more recordings.$",
        ),
        (np.repeat(np.eye(3), 4, axis=0), Plan(clusters=4), "3 different recordings cannot be 4"),
        (planted([3, 3]), Plan(clusters=2, components=6), "--components is 6; there are 2"),
    ],
)
def test_too_few_recordings_are_told(points: Floats, plan: Plan, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parted(points, plan)


def test_faults_that_are_all_to_be_tested_on_are_told() -> None:
    """As DCASE has them: one may train on what is normal alone."""
    points = planted([3, 3])
    for left, said in ((0, "no recordings"), (1, "1 recording")):
        shaping = np.arange(len(points)) < left
        with pytest.raises(ConfigurationError, match=f"of 6 recordings of faults {said} can shape"):
            parted(points, Plan(clusters=2), shaping)


def test_as_many_clusters_as_different_recordings_are_possible() -> None:
    found = parted(np.repeat(np.eye(3), [3, 2, 1], axis=0), Plan())
    assert found.numbers == (1, 1, 1, 2, 2, 3)
    assert found.distances == (0.0,) * 6
    assert [one.clusters for one in found.tried] == [1, 2, 3]
