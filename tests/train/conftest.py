"""A tiny data directory in the shape of the real one: tones for beeps, hiss for homes."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from beepwatch.train.display import Lines
from beepwatch.train.recipe import read_recipe
from beepwatch.train.training import train
from tests.once import made_once

RATE_HZ = 16_000
COLUMNS = (
    *("path", "split", "category", "group", "redistribute", "licence", "source", "source_path"),
    *("source_commit", "duration_s", "rate_hz", "f0_hz", "pattern", "snr_db", "note"),
)

RECIPE = """
[model]
name = "tiny"
labels = ["beep"]
arguments = { channels = 4, deep_channels = 4, shared_channels = 4 }

[data]
negatives = ["household"]
beeps = ["beep_real"]
clean_beeps = ["example.org/monitors"]

[scenes]
seed = 5
train_clips = 12
dev_clips = 8

[training]
seed = 5
cycles = [{ steps = 4, learning_rate = 0.003 }, { steps = 2, learning_rate = 0.0015 }]
batch_clips = 4
checkpoint_every = 2

[mining]
at_steps = [3]
candidates = 4
kept = 2
"""


def beeps(pitch_hz: float, spans_s: list[tuple[float, float]], length_s: float) -> np.ndarray:
    """Tones at known times."""
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    sounding = np.any([(time_s >= on) & (time_s < off) for on, off in spans_s], axis=0)
    return np.asarray(0.3 * np.sin(2 * np.pi * pitch_hz * time_s) * sounding)


SPANS_S = [(0.2, 0.5), (0.8, 1.1), (1.4, 1.7)]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beeps, homes and rooms of three splits; do not write into it."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    pulses: list[tuple[str, float, float]] = []

    def add(split: str, category: str, name: str, sound: np.ndarray, **more: object) -> str:
        path = f"{split}/{category}/{name}.flac"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, sound, RATE_HZ)
        row: dict[str, object] = dict.fromkeys(COLUMNS, "")
        row |= {"path": path, "split": split, "category": category, "group": f"{split} {name}"}
        row |= {"redistribute": "yes", "licence": "CC0", "source": "example.org/sounds"}
        row |= {"duration_s": len(sound) / RATE_HZ, "rate_hz": RATE_HZ} | more
        rows.append(row)
        return path

    for number, split in enumerate(("train", "dev", "test")):
        pitch_hz = 1_000 + 700 * number
        path = add(
            split, "beep_real", "timer", beeps(pitch_hz, SPANS_S, 2.0), f0_hz=pitch_hz, snr_db=40
        )
        pulses += [(path, on, off) for on, off in SPANS_S]
        add(split, "household", "fan", rng.normal(0, 0.02, 6 * RATE_HZ))
        room = np.zeros(4_000)
        room[100], room[1_000:] = 0.8, rng.normal(0, 0.005, 3_000)
        add(split, "rir", "kitchen", room)
    add("train", "household", "secret", np.zeros(100), redistribute="no", licence="unknown")
    add(
        "train", "beep_clean", "monitor", beeps(3_000, [(0.5, 0.7), (1.0, 1.2)], 1.5),
        source="example.org/monitors", note="f0 3000 Hz, n 2 on 0.2 off 0.3, SNR 60.5",
    )  # fmt: skip
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    with (root / "pulses.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "onset_s", "offset_s"), *pulses])
    return root


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    """A recipe that is done in seconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole training left."""

    out: Path  # the bundle and its report
    run: Path
    digest: str  # of the recipe
    lines: list[str]  # said on the way


@pytest.fixture(scope="session")
def trained(
    data: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Trained:
    """The tiny recipe, followed to its end; do not write into it."""

    def follow(root: Path) -> None:
        path = root / "tiny.toml"
        path.write_text(RECIPE)
        lines: list[str] = []
        display = Lines(lines.append)
        train(path, data, root / "out", runs=root / "runs", workers=0, threads=1, display=display)
        (root / "lines.json").write_bytes(msgspec.json.encode(lines))

    root = made_once(pytestconfig, tmp_path_factory, "trained", follow)
    return Trained(
        out=root / "out",
        run=root / "runs" / "tiny",
        digest=read_recipe(root / "tiny.toml")[1],
        lines=msgspec.json.decode((root / "lines.json").read_bytes(), type=list[str]),
    )
