"""A feature store of a machine with three faults, each with a feature of its own."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.train.datasets.stores import write_index

FAULTS = {"worn": 9, "loose": 7, "bent": 5}  # how many recordings of each
NORMAL = 4
COLUMNS = ("hum", "rattle", "whine", "rms")
FRAMES = 6
AUGMENTED = "noisy"


def write_features(
    directory: Path, rows: Sequence[dict[str, object]], features: NDArray[np.float32]
) -> Path:
    """A store of these frames; rows say where theirs begin."""
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "features.npy", features.astype(np.float32))
    write_index(directory, rows)
    told = {
        "recipe_sha256": "r",
        "inputs_sha256": "i",
        "column_names": COLUMNS[: features.shape[1]],
    }
    (directory / "features.json").write_text(json.dumps(told), encoding="utf-8")
    return directory


def path_of(fault: str, number: int) -> str:
    """As the data set has it; the label says nothing of the fault."""
    return f"{'normal' if fault == 'normal' else 'abnormal'}/{fault}{number}.wav"


def write_machine(directory: Path, *, label: str = "abnormal") -> Path:
    """Every second abnormal recording has an augmented row, and so have the normal ones."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    frames: list[NDArray[np.float64]] = []
    for place, (fault, count) in enumerate({**FAULTS, "normal": NORMAL}.items()):
        for number in range(count):
            path = path_of(fault, number)
            own = {"path": path, "label": "normal" if fault == "normal" else label}
            augmented = [{"augmentation": AUGMENTED, "parent": path}] if number % 2 == 0 else []
            for more in ({}, *augmented):
                first = FRAMES * len(frames)
                rows.append(own | {"split": "train", "first_frame": first, "frames": FRAMES} | more)
                level = 10.0 * np.eye(4)[place]
                frames.append(level + rng.normal(0, 0.5, (FRAMES, 4)))
    return write_features(directory, rows, np.concatenate(frames))


def write_sounds(directory: Path) -> Path:
    """A data set with something under the path of every recording, and its table."""
    lines = ["path,label,device"]
    for fault, count in {**FAULTS, "normal": NORMAL}.items():
        for number in range(count):
            path = directory / path_of(fault, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"sound of {fault} {number}".encode())
            lines.append(f"{path_of(fault, number)},{path.parent.name},fan")
    (directory / "dataset.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return directory
