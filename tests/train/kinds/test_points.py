"""A recording is one point, however long it is."""

from pathlib import Path

import numpy as np
import pytest

from beepwatch.train.datasets.loader import StoredFeatures, UnusableFeatures
from beepwatch.train.kinds.points import (
    column_titles,
    labelled,
    points_of,
    read_origin,
    versions,
)
from tests.train.kinds.faults import write_features, write_machine


def row(path: str, first: int, frames: int, **cells: object) -> dict[str, object]:
    return {"path": path, "label": "abnormal", "first_frame": first, "frames": frames} | cells


def test_a_point_is_the_mean_and_the_deviation_of_each_column(tmp_path: Path) -> None:
    """Of more frames than are read at once, far from zero where squares would lose digits."""
    frames = np.tile([[0.0, 1_000_000.0], [2.0, 1_000_002.0]], (5_000, 1))
    store = StoredFeatures(write_features(tmp_path, [row("a", 0, 10_000)], frames))
    found = points_of(store, labelled(store, ["abnormal"]))
    assert found.points.tolist() == [[1.0, 1_000_001.0, 1.0, 1.0]]
    assert found.problems == ()
    assert column_titles(read_origin(tmp_path).column_names) == [
        *("hum mean", "rattle mean", "hum deviation", "rattle deviation"),
    ]


def test_neither_normal_nor_augmented_rows_are_points(tmp_path: Path) -> None:
    store = StoredFeatures(write_machine(tmp_path))
    rows = labelled(store, ["abnormal"])
    paths = [store.index.cells["path"][n] for n in rows.tolist()]
    assert len(paths) == len(set(paths)) == 9 + 7 + 5
    assert not any(path.startswith("normal/") for path in paths)
    assert versions(store, rows)["abnormal/worn0.wav"] == ["noisy"]
    assert versions(store, rows)["abnormal/worn1.wav"] == []


def test_what_is_no_number_and_what_is_empty_is_left_out_and_told(tmp_path: Path) -> None:
    frames = np.asarray([[1.0], [np.nan], [3.0]])
    rows = [row("good", 2, 1), row("bad", 0, 2), row("none", 3, 0)]
    store = StoredFeatures(write_features(tmp_path, rows, frames))
    found = points_of(store, np.arange(3))
    assert found.rows.tolist() == [0]
    assert found.points.tolist() == [[3.0, 0.0]]
    assert [problem.split()[0] for problem in found.problems] == ["bad", "none"]


def test_a_label_that_nothing_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    store = StoredFeatures(write_machine(tmp_path, label="anomaly"))
    with pytest.raises(UnusableFeatures, match=r"labelled 'abnormal'; found 'anomaly', 'normal'"):
        labelled(store, ["abnormal"])


def test_a_directory_without_features_is_told(tmp_path: Path) -> None:
    told = r"features\.json is none of a feature store: No such file or directory\. Make one"
    with pytest.raises(UnusableFeatures, match=told):
        read_origin(tmp_path)
