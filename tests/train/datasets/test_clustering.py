"""Planted clusters are found, in the order in which a person should see them."""

import numpy as np
import pytest

from beepwatch.train.datasets import clustering
from beepwatch.train.datasets.clustering import (
    LARGEST_GROUP,
    clusters,
    groups_of,
    principal_components,
    uncertainty,
)


def planted(sizes: list[int]) -> np.ndarray:
    """Points around centres far apart, [points, 30]: those of the first centre come first."""
    rng = np.random.default_rng(1)
    centres = rng.normal(0, 10, (len(sizes), 30))
    return np.concatenate(
        [rng.normal(centre, 0.5, (size, 30)) for centre, size in zip(centres, sizes, strict=True)]
    ).astype(np.float32)


def test_planted_clusters_are_found_whole() -> None:
    points = planted([7, 30, 12])
    found = clusters(points, 3)
    assert [len(set(found[part])) for part in (slice(0, 7), slice(7, 37), slice(37, 49))] == [1] * 3
    assert len(set(found)) == 3


def test_every_clip_is_in_one_group_and_none_is_too_large_to_look_through() -> None:
    features = planted([150, 3, 80])
    scores = np.linspace(0, 1, len(features), dtype=np.float32)
    groups = groups_of([features], scores)
    assert sorted(clip for group in groups for clip in group) == list(range(len(features)))
    assert max(map(len, groups)) <= LARGEST_GROUP
    kinds = np.repeat([0, 1, 2], [150, 3, 80])
    assert all(len(set(kinds[group])) == 1 for group in groups)


def test_the_most_uncertain_group_comes_first_and_in_it_the_highest_score() -> None:
    sizes = [40, 40, 40]
    scores = np.concatenate(
        [np.linspace(low, high, 40) for low, high in ((0, 0.1), (0.3, 0.8), (0.9, 1))]
    ).astype(np.float32)
    groups = groups_of([planted(sizes)], scores)
    assert groups[0] == list(range(79, 39, -1))
    assert sorted(map(tuple, groups[1:])) == [tuple(range(39, -1, -1)), tuple(range(119, 79, -1))]


def test_clips_are_clustered_once_however_many_groups_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else ten thousand clips, 250 groups, take 250 times as long."""
    asked: list[int] = []

    def counted(points: np.ndarray, count: int) -> np.ndarray:
        asked.append(count)
        return clusters(points, count)

    monkeypatch.setattr(clustering, "clusters", counted)
    groups_of([planted([40, 40, 40])], np.full(120, 0.5, dtype=np.float32))
    assert asked == [3]


def test_the_same_clips_give_the_same_groups() -> None:
    features = np.random.default_rng(3).normal(size=(200, 12)).astype(np.float32)
    scores = np.random.default_rng(4).random(200, dtype=np.float32)
    assert groups_of([features], scores) == groups_of([features.copy()], scores.copy())


@pytest.mark.parametrize("count", [1, 2, 61, 130])
def test_clips_that_are_all_alike_are_split_by_number(count: int) -> None:
    features = np.ones((count, 5), dtype=np.float32)
    groups = groups_of([features], np.full(count, 0.5, dtype=np.float32))
    assert sorted(clip for group in groups for clip in group) == list(range(count))
    assert max(map(len, groups)) <= LARGEST_GROUP


def test_no_clips_make_no_groups() -> None:
    assert groups_of([], np.zeros(0, dtype=np.float32)) == []


def test_blocks_count_alike_whatever_their_size_and_unit() -> None:
    """A block of one loud feature and one of 50 small ones span the same variance."""
    rng = np.random.default_rng(0)
    loud = rng.normal(0, 1_000, (400, 1)).astype(np.float32)
    small = rng.normal(0, 0.001, (400, 50)).astype(np.float32)
    none = np.zeros((400, 0), dtype=np.float32)
    spread = principal_components([loud, small, none]).var(axis=0)
    assert spread[0] == pytest.approx(1.0, rel=0.05)
    assert spread[1:].max() < 0.05


def test_uncertainty_is_a_bit_at_a_half_and_nothing_at_certainty() -> None:
    found = uncertainty(np.array([0, 0.11002786, 0.5, 1], dtype=np.float32))
    assert found == pytest.approx([0, 0.5, 1, 0], abs=1e-4)
