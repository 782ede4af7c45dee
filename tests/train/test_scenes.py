"""A composed clip's truth is true, and a clip is the same whenever it is drawn."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from beepwatch.train import augment
from beepwatch.train.dataset import read_manifest
from beepwatch.train.recipe import read_recipe
from beepwatch.train.scenes import (
    Clip,
    Material,
    chosen_recordings,
    draw_clip,
    draw_clips,
    frame_truth,
    gather,
    mix,
    placed,
)
from beepwatch.train.synthesis import Pulse, Signal
from tests.train.conftest import RATE_HZ, beeps


def pulse(onset_s: float, offset_s: float) -> Pulse:
    return Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=2_000)


@pytest.fixture
def draw(data: Path, recipe_path: Path) -> partial[Clip]:
    recipe, _digest = read_recipe(recipe_path)
    return partial(
        draw_clip, stream=0, material=gather(data, recipe, "train"), recipe=recipe,
        frame_samples=640, beep_share=0.5,
    )  # fmt: skip


def test_truth_is_the_share_of_each_frame_that_a_pulse_fills() -> None:
    truth, _weight = frame_truth((pulse(0.10, 0.20),), 8, 0.04)
    assert truth.tolist() == pytest.approx([0, 0, 0.5, 1, 1, 0, 0, 0], abs=1e-6)


def test_a_ringing_room_after_a_pulse_counts_little() -> None:
    _truth, weight = frame_truth((pulse(0.08, 0.20),), 12, 0.04)
    assert weight.tolist() == pytest.approx([1] * 5 + [0.1] * 3 + [1] * 4)


def test_the_next_pulse_counts_fully_even_while_the_last_one_rings() -> None:
    _truth, weight = frame_truth((pulse(0.0, 0.08), pulse(0.12, 0.2)), 5, 0.04)
    assert weight.tolist() == pytest.approx([1, 1, 0.1, 1, 1])


def test_a_tone_longer_than_any_beep_is_open_and_not_false() -> None:
    truth, weight = frame_truth((pulse(0.0, 3.6),), 100, 0.04)
    assert truth[:90].tolist() == [1.0] * 90
    assert weight[76:90].tolist() == [0.0] * 14


def test_a_placed_signal_and_its_pulses_move_together() -> None:
    sound = beeps(2_000, [(0.5, 0.6)], 1.0).astype(np.float32)
    late = placed(sound, [pulse(0.5, 0.6)], 1.0, 2.0, RATE_HZ)
    assert [(p.onset_s, p.offset_s) for p in late.pulses] == [(1.5, 1.6)]
    assert np.flatnonzero(late.sound)[0] == pytest.approx(1.5 * RATE_HZ, abs=2)
    early = placed(sound, [pulse(0.5, 0.6)], -0.55, 2.0, RATE_HZ)
    assert np.flatnonzero(early.sound)[-1] == pytest.approx(0.05 * RATE_HZ, abs=2)
    gone = placed(sound, [pulse(0.5, 0.6)], -0.7, 2.0, RATE_HZ)
    assert gone.pulses == ()


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_a_mix_has_the_ratio_that_was_asked_for(snr_db: float) -> None:
    back = np.random.default_rng(0).normal(0, 0.01, 2 * RATE_HZ).astype(np.float32)
    tone = beeps(2_000, [(0.5, 1.0)], 2.0).astype(np.float32)
    mixed = mix(tone, back, Signal(sound=tone, pulses=(pulse(0.5, 1.0),)), snr_db, RATE_HZ)
    loud = augment.band_rms((mixed - back)[8_000:16_000], 2_000, RATE_HZ)
    found_db = 20 * np.log10(loud / augment.band_rms(back, 2_000, RATE_HZ))
    assert found_db == pytest.approx(snr_db, abs=0.2)


def test_a_mix_with_nothing_is_the_background() -> None:
    back = np.ones(100, dtype=np.float32)
    silence = np.zeros(100, dtype=np.float32)
    assert mix(silence, back, Signal(sound=silence, pulses=()), 10, RATE_HZ) is back


def test_a_recipe_uses_no_recording_that_may_not_be_shipped(data: Path, recipe_path: Path) -> None:
    recipe, _digest = read_recipe(recipe_path)
    chosen = chosen_recordings(read_manifest(data), recipe, "train")
    assert {recording.category for recording in chosen} == {
        "household", "beep_real", "beep_clean", "rir",
    }  # fmt: skip
    assert all(recording.redistribute == "yes" for recording in chosen)
    assert all(recording.split == "train" for recording in chosen)


def test_material_is_what_the_recipe_names(data: Path, recipe_path: Path) -> None:
    recipe, _digest = read_recipe(recipe_path)
    material: Material = gather(data, recipe, "train")
    assert (len(material.signals), len(material.negatives), len(material.rooms)) == (2, 1, 1)
    assert material.chances.sum() == pytest.approx(1.0)


def test_a_clip_is_whole_frames_with_a_truth_each(draw: partial[Clip]) -> None:
    clips = [draw(index) for index in range(20)]
    assert {clip.pcm.shape for clip in clips} == {(64_000,)}
    assert {clip.truth.shape for clip in clips} == {(100,)}
    with_beep = sum(clip.truth.max() > 0 for clip in clips)
    assert 3 <= with_beep <= 17


def test_no_beeps_are_drawn_where_none_are_wanted(draw: partial[Clip]) -> None:
    assert all(draw(index, beep_share=0.0).truth.max() == 0 for index in range(10))


def test_workers_draw_the_same_clips_as_one_process(draw: partial[Clip]) -> None:
    alone = draw_clips(draw, 3, 0)
    together = draw_clips(draw, 3, 1)
    for first, second in zip(alone, together, strict=True):
        assert np.array_equal(first.pcm, second.pcm)
        assert np.array_equal(first.truth, second.truth)
    assert not np.array_equal(alone[0].pcm, alone[1].pcm)
