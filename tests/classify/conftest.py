"""A bundle with untrained weights, and recordings to hear with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from beepwatch.classify.bundle import TrainingData
from beepwatch.train.export import write_bundle
from beepwatch.train.networks import ToneNet
from beepwatch.train.recipe import (
    Cycle,
    DataRecipe,
    ModelRecipe,
    Recipe,
    SceneRecipe,
    TrainingRecipe,
)

RECORDINGS = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of a small network; do not write into it."""
    torch.manual_seed(3)
    recipe = Recipe(
        model=ModelRecipe(name="untrained", labels=["beep", "spin"], arguments={"channels": 4}),
        data=DataRecipe(negatives=["household"], beeps=["beep_real"]),
        scenes=SceneRecipe(seed=1, train_clips=1, dev_clips=1),
        training=TrainingRecipe(seed=1, cycles=[Cycle(steps=1, learning_rate=0.1)]),
    )
    directory = tmp_path_factory.mktemp("bundle")
    write_bundle(
        directory,
        ToneNet(labels=2, channels=4),
        recipe=recipe,
        recipe_digest="0" * 64,
        data=TrainingData(digest="0" * 64, licences={"CC0": 1}),
        thresholds={"beep": 0.5, "spin": 0.7},
        quality={},
    )
    return directory


@pytest.fixture
def bundle_copy(untrained: Path, tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    copy = tmp_path / "bundle"
    shutil.copytree(untrained, copy)
    return copy


@pytest.fixture(scope="session")
def recording() -> Callable[[str], NDArray[np.int16]]:
    """Reads a recording from tests/data, int16 at 16 kHz."""

    def read(name: str) -> NDArray[np.int16]:
        pcm, rate_hz = soundfile.read(RECORDINGS / f"{name}.flac", dtype="int16")
        assert rate_hz == 16_000
        return np.asarray(pcm, dtype=np.int16)

    return read
