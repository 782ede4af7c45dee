"""Feature stores with numbers known beforehand."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

COLUMNS = (
    *("path", "label", "session", "device", "split", "augmentation", "parent"),
    *("first_frame", "frames", "sha256", "rate_hz", "duration_s"),
)
WIDTH = 3  # columns of features


def write_index(directory: Path, rows: Sequence[dict[str, object]]) -> None:
    """`index.csv`; what a row does not say is empty."""
    with (directory / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def recording(path: str, frames: int, **cells: object) -> dict[str, object]:
    """A row of the index; `write_store` says where its frames are."""
    return {"path": path, "label": "beep", "split": "train", "frames": frames} | cells


def write_store(directory: Path, rows: Sequence[dict[str, object]]) -> Path:
    """A store whose frame n has the numbers n, n + 0.25 and n + 0.5."""
    first, placed = 0, []
    for row in rows:
        placed.append({"first_frame": first} | row)
        first += int(str(row["frames"]))
    frames = np.arange(first, dtype=np.float32)[:, np.newaxis]
    features = frames + np.arange(WIDTH, dtype=np.float32) / 4
    np.save(directory / "features.npy", features)
    write_index(directory, placed)
    return directory
