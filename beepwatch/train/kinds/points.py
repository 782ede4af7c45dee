"""Recordings of a feature store as points: one for each, whatever its length."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.train.datasets.loader import Numbers, StoredFeatures, UnusableFeatures
from beepwatch.validation import shortened

Points = NDArray[np.float64]

STATISTICS = ("mean", "deviation")  # over a recording's frames, of every column
_CHUNK_FRAMES = 4_096  # that are in memory at once
_META = "features.json"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What `features.json` says of what a store was made of; labels are no part of it."""

    recipe_sha256: str
    inputs_sha256: str
    column_names: tuple[str, ...]


class Recordings(msgspec.Struct, frozen=True, kw_only=True):
    """Some recordings of a store, as they are: in its order, none of them augmented."""

    rows: Numbers
    points: Points  # [recordings, len(STATISTICS) * columns of the store]
    problems: tuple[str, ...]  # a line for each that cannot be a point


def read_origin(directory: Path) -> Origin:
    """Raises UnusableFeatures."""
    file = directory / _META
    try:
        return msgspec.json.decode(file.read_bytes(), type=Origin)
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnusableFeatures(
            f"{file} is none of a feature store: {reason}. "
            "Make one with `beepwatch dataset features`."
        ) from error


def column_titles(columns: Sequence[str]) -> list[str]:
    """What the coordinates of a point are called."""
    return [f"{column} {statistic}" for statistic in STATISTICS for column in columns]


def labelled(store: StoredFeatures, labels: Sequence[str]) -> Numbers:
    """Rows of recordings that have one of the labels and are not augmented.

    Raises UnusableFeatures if there are none.
    """
    cells = store.index.cells
    pairs = zip(cells["label"], cells["parent"], strict=True)
    found = [row for row, (label, parent) in enumerate(pairs) if label in labels and not parent]
    if not found:
        others = shortened(", ".join(map(repr, sorted(set(cells["label"])))))
        raise UnusableFeatures(
            f"{store.directory} has no recording labelled {' or '.join(map(repr, labels))}; "
            f"found {others or 'no recordings'}. Name the labels of faults with --abnormal."
        )
    return np.asarray(found, dtype=np.int64)


def versions(store: StoredFeatures, rows: Numbers) -> dict[str, list[str]]:
    """By the path of each of the recordings, the augmentations of its augmented rows."""
    cells = store.index.cells
    found: dict[str, list[str]] = {cells["path"][row]: [] for row in rows.tolist()}
    for parent, augmentation in zip(cells["parent"], cells["augmentation"], strict=True):
        if parent in found:
            found[parent].append(augmentation)
    return found


def points_of(store: StoredFeatures, rows: Numbers) -> Recordings:
    """Mean and deviation of every column over each recording's frames."""
    kept: list[int] = []
    points: list[Points] = []
    problems: list[str] = []
    for row in rows.tolist():
        point = _point(store, row)
        if point is None:
            path = shortened(store.index.cells["path"][row])
            problems.append(f"{path} is left out: its features are none, or no numbers.")
            continue
        kept.append(row)
        points.append(point)
    width = len(STATISTICS) * store.columns
    return Recordings(
        rows=np.asarray(kept, dtype=np.int64),
        points=np.asarray(points, dtype=np.float64).reshape(-1, width),
        problems=tuple(problems),
    )


def _point(store: StoredFeatures, row: int) -> Points | None:
    first, frames = int(store.index.first_frame[row]), int(store.index.frames[row])
    total, squares = np.zeros(store.columns), np.zeros(store.columns)
    centre = np.zeros(store.columns)  # near the mean: squares of large numbers lose digits
    for begin in range(0, frames, _CHUNK_FRAMES):
        chunk = np.empty((min(_CHUNK_FRAMES, frames - begin), store.columns), dtype=np.float32)
        store.read(first + begin, chunk)
        if not np.isfinite(chunk).all():
            return None
        if begin == 0:
            centre = chunk.mean(axis=0, dtype=np.float64)
        off = chunk - centre
        total += off.sum(axis=0)
        squares += np.square(off).sum(axis=0)
    if frames == 0:
        return None
    mean = total / frames
    variance = np.maximum(squares / frames - np.square(mean), 0)
    return np.concatenate([centre + mean, np.sqrt(variance)])
