"""Feature stores as tests make them, and what is in them."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from beepwatch.clock import ManualClock
from beepwatch.train import features
from beepwatch.train.features import Outcome

FILES = ("features.npy", "index.csv", "features.json")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
LATER = ManualClock(datetime(2100, 1, 1, tzinfo=UTC))  # no file is so fresh that it is not trusted


def extract(recipe: Path, data: Path, out: Path, workers: int = 0) -> Outcome:
    return features.extract(recipe, data, out, workers=workers, clock=LATER)


def stored(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


def index(out: Path) -> list[dict[str, str]]:
    with (out / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rows_of(out: Path, entry: dict[str, str]) -> np.ndarray:
    first, frames = int(entry["first_frame"]), int(entry["frames"])
    found: np.ndarray = np.load(out / "features.npy", mmap_mode="r")[first : first + frames]
    return found
