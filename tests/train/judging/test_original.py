"""The original network learns what it can, the same for the same seed, and slides over streams."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from beepwatch.train.judging.original import (
    Plan,
    WindowEvidence,
    fit,
    open_original,
    stereo,
    windows,
)
from beepwatch.train.recipe import read_recipe
from beepwatch.train.scenes import Clip
from tests.train.conftest import RATE_HZ, beeps


def clip(truth: list[float]) -> Clip:
    """Four seconds of numbered samples with a truth for each of 100 frames."""
    frames = np.array(truth, dtype=np.float32)
    pcm = np.arange(4 * RATE_HZ, dtype=np.int64).astype(np.int16)
    return Clip(pcm=pcm, truth=frames, weight=np.ones(100, dtype=np.float32))


def test_one_microphone_makes_both_channels_at_its_own_rate() -> None:
    tone = np.round(32_767 * beeps(1_000, [(0.0, 3.0)], 3.0)).astype(np.int16)
    sound = stereo(tone, RATE_HZ)
    assert sound.shape == (2, 132_300)
    assert torch.equal(sound[0], sound[1])
    spectrum = np.abs(np.fft.rfft(sound[0].numpy()))
    assert np.argmax(spectrum) / 3.0 == pytest.approx(1_000, abs=0.5)


def test_short_sound_is_padded_to_a_window() -> None:
    assert stereo(np.zeros(100, dtype=np.int16), RATE_HZ).shape == (2, 132_300)


def test_a_window_holds_a_beep_if_a_frame_of_it_does() -> None:
    silent, sounding, hardly = [0.0] * 100, [0.0] * 100, [0.0] * 100
    sounding[50], hardly[50] = 0.9, 0.2
    sounds, targets = windows([clip(silent), clip(sounding), clip(hardly)], RATE_HZ, 1)
    assert sounds.shape == (2, 3 * RATE_HZ)
    assert targets.tolist() == [0, 1]
    assert np.all(np.diff(sounds[0].astype(np.int64)) % 65_536 == 1)


def test_runs_of_windows_over_the_threshold_are_detections() -> None:
    evidence = WindowEvidence(probabilities=np.array([0.1, 0.9, 0.8, 0.2, 0.7]))
    first, second = evidence.at(0.5)
    assert first.span == (1.0, 5.0)
    assert first.score == 0.9
    assert second.span == (4.0, 7.0)
    assert evidence.at(0.95) == []


def test_it_learns_a_step_in_the_sound_and_the_same_twice() -> None:
    """A constant is what its filters see best: half of the windows rest at a level, half at 0."""
    rng = np.random.default_rng(0)
    targets = torch.tensor([0, 1] * 16)
    level = 8_000 * targets.numpy()[:, np.newaxis]
    sounds = (level + rng.normal(0, 300, (32, 3 * RATE_HZ))).astype(np.int16)
    plan = Plan(clips=32, epochs=6, seed=3)
    first, second = (fit(sounds, targets, RATE_HZ, plan).eval() for _time in range(2))
    with torch.inference_mode():
        logits = [net(torch.stack([stereo(s, RATE_HZ) for s in sounds])) for net in (first, second)]
    assert torch.equal(logits[0], logits[1])
    assert logits[0].argmax(dim=1).tolist() == targets.tolist()


def test_weights_are_kept_until_they_shall_be_trained_anew(
    data: Path, recipe_path: Path, tmp_path: Path
) -> None:
    recipe, _digest = read_recipe(recipe_path)
    runs, plan = tmp_path / "original", Plan(clips=6, epochs=1)
    said: list[str] = []
    pcm = np.random.default_rng(0).integers(-9_000, 9_000, 5 * RATE_HZ).astype(np.int16)
    first = open_original(recipe, data, runs, plan=plan, report=said.append)
    again = open_original(recipe, data, runs, plan=plan, report=said.append)
    assert len(said) == 1
    heard = [network.hear(pcm, RATE_HZ).probabilities for network in (first, again)]
    assert len(heard[0]) == 3
    assert heard[0].tolist() == heard[1].tolist()
    open_original(recipe, data, runs, plan=plan, retrain=True, report=said.append)
    scenes = msgspec.structs.replace(recipe.scenes, loudest_snr_db=12.0)
    other = msgspec.structs.replace(recipe, scenes=scenes)
    open_original(other, data, runs, plan=plan, report=said.append)
    training = msgspec.structs.replace(recipe.training, weight_decay=0.1)
    same = msgspec.structs.replace(recipe, training=training)
    open_original(same, data, runs, plan=plan, report=said.append)
    assert len(said) == 3
    assert len(list(runs.iterdir())) == 2
