"""A tiny data set and a recipe on disk."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE_HZ = 16_000

RECIPE = """
features = ["logmel", "rms"]

[sound]
rate_hz = 16_000
channel = "mean"

[frames]
fft_samples = 512
window_samples = 400
hop_samples = 256
window = "hann"
periodic = true
divided_by = "nothing"
centred = true
padding = "zeros"
precision = "single"

[mel]
bands = 8
lowest_hz = 60
highest_hz = 7_600
scale = "slaney"
norm = "slaney"
power = 2

[log]
base = 10
factor = 10
gain = 1
floor = 1e-10
floor_is = "least"

[normalisation]
kind = "none"
"""

AUGMENTED = """seed = 3
augmented_splits = ["train"]

{recipe}
[[augment]]
name = "noisy"
copies = 2
steps = [{{ kind = "white_noise", snr_db = [5, 15] }}, {{ kind = "roll", shift_s = [0.1, 0.4] }}]
"""


def hiss(path: Path, number: int, *, samples: int = 8_000, rate_hz: int = RATE_HZ) -> None:
    """A recording that no other number gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    soundfile.write(path, rng.normal(0, 0.1, samples), rate_hz)


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def augmented_file(tmp_path: Path) -> Path:
    path = tmp_path / "augmented.toml"
    path.write_text(AUGMENTED.format(recipe=RECIPE))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six recordings of three labels, two of them for training; one is a flac at 44.1 kHz."""
    root = tmp_path / "data"
    for number, name in enumerate(("beep/a.wav", "beep/b.wav", "spin/c.wav", "spin/d.wav")):
        hiss(root / name, number, samples=8_000 + 100 * number)
    hiss(root / "wash/e.flac", 5, samples=20_000, rate_hz=44_100)
    hiss(root / "wash/f.wav", 6, samples=1_000)
    rows = [
        f"{path.relative_to(root).as_posix()},{path.parent.name},{split}"
        for path, split in zip(
            sorted(root.rglob("*.*")), ("train", "dev", "train", "", "dev", "dev"), strict=True
        )
    ]
    (root / "dataset.csv").write_text("path,label,split\n" + "\n".join(rows) + "\n")
    return root
