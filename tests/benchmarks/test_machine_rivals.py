"""What others publish for machines learns what it should, on sound whose answer is known."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.train.recording_recipe import read_classifier_recipe
from benchmarks.machine_rivals import (
    DCASE,
    KINDS,
    MIMII,
    Autoencoder,
    Floats,
    Score,
    learn_autoencoder,
    learn_names,
    logmel_64,
    logmel_128,
    strangeness,
    vectors_of,
)
from tests.train.machines.fan import fan

SAMPLES = 48_000
RECIPES = Path(__file__).parents[2] / "models" / "machine"


def windows(seed: int, count: int, *, whine_hz: float | None = None) -> Floats:
    sound = fan(seed, 3 * count, whine_hz=whine_hz).astype(np.float32) / np.float32(32_768)
    return np.stack([logmel_64(sound[first:][:SAMPLES]) for first in range(0, len(sound), SAMPLES)])


def test_a_window_of_three_seconds_is_94_frames() -> None:
    assert logmel_64(np.zeros(SAMPLES, np.float32)).shape == (94, 64)
    assert logmel_128(np.zeros(SAMPLES, np.float32)).shape == (94, 128)


def test_five_frames_that_follow_one_another_are_one_vector() -> None:
    frames = np.arange(7, dtype=np.float32)[None, :, None] * np.ones((1, 1, 2), np.float32)
    assert vectors_of(frames)[0].tolist() == [
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
        [1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
        [2, 2, 3, 3, 4, 4, 5, 5, 6, 6],
    ]


def test_the_autoencoders_have_as_many_weights_as_those_that_are_published() -> None:
    """DCASE 2020's baseline: 269,992 with the running means and deviations of its layers."""
    counts = [
        sum(one.numel() for one in Autoencoder(plan).state_dict().values() if one.dim())
        for plan in (MIMII, DCASE)
    ]
    assert counts == [
        320 * 64 + 64 + 2 * (64 * 64 + 64) + 64 * 8 + 8 + 8 * 64 + 64 + 64 * 320 + 320,
        269_992,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_there_is_rebuilt_worse(kind: Score) -> None:
    normal = windows(1, 8)
    quick = msgspec.structs.replace(MIMII, batch=128, learning_rate=5e-3)
    network = learn_autoencoder(normal, quick, epochs=30)
    score = strangeness(network, normal, kind)
    assert score(windows(3, 2, whine_hz=3_100)).min() > score(windows(2, 2)).max()


def test_the_same_seed_gives_the_same_network() -> None:
    normal = windows(1, 2)
    first, second = (learn_autoencoder(normal, MIMII, epochs=1) for _ in range(2))
    score, other = (strangeness(network, normal, "mean square") for network in (first, second))
    assert score(normal).tolist() == other(normal).tolist()


@pytest.mark.parametrize("recipe", ["reference", "recipe"])
def test_a_fault_is_named(recipe: str) -> None:
    known = np.concatenate([windows(1, 8), windows(2, 8, whine_hz=3_100)])
    plan = read_classifier_recipe(RECIPES / f"{recipe}.toml")
    told = learn_names(known, ["well"] * 8 + ["worn"] * 8, plan, epochs=40)
    more = np.concatenate([windows(3, 2), windows(4, 2, whine_hz=3_100)])
    assert told(more) == ["well", "well", "worn", "worn"]
