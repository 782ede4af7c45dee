"""A composed clip's truth is true, and a clip is the same whenever it is drawn."""

from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from beepwatch.train import augment
from beepwatch.train.dataset import read_manifest
from beepwatch.train.recipe import Recipe, read_recipe
from beepwatch.train.scenes import (
    Clip,
    Material,
    background,
    chosen_recordings,
    compose,
    draw_clip,
    draw_clips,
    draw_signal,
    faster,
    gather,
    placed,
    signal_gain,
    stretch,
)
from beepwatch.train.sounds.rendering import Rendered
from beepwatch.train.synthesis import Pulse, Signal
from beepwatch.train.truth import TONE, cell_energy
from tests.train.conftest import RATE_HZ, beeps
from tests.train.workers import interrupted

FRAME = 320  # samples


def pulse(onset_s: float, offset_s: float) -> Pulse:
    return Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=2_000)


@pytest.fixture
def recipe(recipe_path: Path) -> Recipe:
    return read_recipe(recipe_path)[0]


@pytest.fixture
def material(data: Path, recipe: Recipe) -> Material:
    return gather(data, recipe, "train")


@pytest.fixture
def draw(material: Material, recipe: Recipe) -> partial[Clip]:
    return partial(
        draw_clip, stream=0, material=material, recipe=recipe, frame_samples=FRAME, beep_share=0.5
    )


def with_scenes(recipe: Recipe, **other: float) -> Recipe:
    """The recipe with other scenes."""
    return msgspec.structs.replace(recipe, scenes=msgspec.structs.replace(recipe.scenes, **other))


def loudest_hz(sound: np.ndarray) -> float:
    """The strongest bin of its spectrum."""
    return float(np.argmax(np.abs(np.fft.rfft(sound)))) * RATE_HZ / len(sound)


# Beeps


def test_a_placed_signal_and_its_pulses_move_together() -> None:
    sound = beeps(2_000, [(0.5, 0.6)], 1.0).astype(np.float32)
    late = placed(sound, [pulse(0.5, 0.6)], 1.0, 2.0, RATE_HZ)
    assert [(p.onset_s, p.offset_s) for p in late.pulses] == [(1.5, 1.6)]
    assert np.flatnonzero(late.sound)[0] == pytest.approx(1.5 * RATE_HZ, abs=2)
    early = placed(sound, [pulse(0.5, 0.6)], -0.55, 2.0, RATE_HZ)
    assert np.flatnonzero(early.sound)[-1] == pytest.approx(0.05 * RATE_HZ, abs=2)
    gone = placed(sound, [pulse(0.5, 0.6)], -0.7, 2.0, RATE_HZ)
    assert gone.pulses == ()


def test_played_faster_it_is_shorter_and_higher() -> None:
    sound = beeps(1_000, [(0.0, 1.0)], 1.0).astype(np.float32)
    higher = faster(sound, 1.25)
    assert len(higher) == pytest.approx(0.8 * RATE_HZ, abs=2)
    assert higher.dtype == np.float32
    assert loudest_hz(higher) == pytest.approx(1_250, abs=2)


def test_a_recorded_beep_is_drawn_with_its_pulses_at_another_speed(
    material: Material, recipe: Recipe
) -> None:
    """The timer has 1,000 Hz and pulses of 0.3 s, the monitor 3,000 Hz and 0.2 s."""
    recorded = with_scenes(recipe, recorded_share=1.0)
    factors: set[float] = set()
    for seed in range(20):
        drawn = draw_signal(np.random.default_rng(seed), material, recorded)
        assert drawn.sound.shape == (4 * RATE_HZ,)
        length_s, pitch_hz = (0.3, 1_000) if drawn.pitch_hz < 2_000 else (0.2, 3_000)
        for one in drawn.pulses:
            factor = one.pitch_hz / pitch_hz
            assert 0.7 <= factor <= 1.4
            assert one.offset_s - one.onset_s == pytest.approx(length_s / factor, abs=0.02)
            factors.add(factor)
        whole = [one for one in drawn.pulses if one.onset_s > 0 and one.offset_s < 4.0]
        for one in whole:
            span = drawn.sound[round(one.onset_s * RATE_HZ) : round(one.offset_s * RATE_HZ)]
            assert loudest_hz(span) == pytest.approx(one.pitch_hz, abs=10)
        assert drawn.pulses
    assert len(factors) >= 20


def test_a_beep_sounds_where_it_is_placed_in_a_clips_time(
    material: Material, recipe: Recipe
) -> None:
    """Most begin within the clip, some are under way when it begins."""
    synthesised = with_scenes(recipe, recorded_share=0.0)
    time_s = (np.arange(4 * RATE_HZ) + 0.5) / RATE_HZ
    under_way = 0
    for seed in range(60):
        drawn = draw_signal(np.random.default_rng(seed), material, synthesised)
        assert drawn.sound.shape == (4 * RATE_HZ,)
        outside = (time_s > 0.02) & (time_s < 3.98)  # what ends or begins there is no pulse
        for one in drawn.pulses:
            outside &= (time_s < one.onset_s - 1e-4) | (time_s > one.offset_s + 1e-4)
        assert not drawn.sound[outside].any()
        under_way += any(one.onset_s < 0 for one in drawn.pulses)
    assert 2 <= under_way <= 25


# Levels


def tone_of_half_a_second() -> Signal:
    return Signal(
        sound=beeps(2_000, [(0.5, 1.0)], 2.0).astype(np.float32), pulses=(pulse(0.5, 1.0),)
    )


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_a_beep_has_the_ratio_that_was_asked_for_within_its_band(snr_db: float) -> None:
    back = np.random.default_rng(0).normal(0, 0.01, 2 * RATE_HZ).astype(np.float32)
    tone = tone_of_half_a_second()
    sound = tone.sound * signal_gain(tone.sound, back, tone, snr_db, RATE_HZ)
    loud = augment.band_rms(sound[8_000:16_000], 2_000, RATE_HZ)
    found_db = 20 * np.log10(loud / augment.band_rms(back, 2_000, RATE_HZ))
    assert found_db == pytest.approx(snr_db, abs=0.01)


def test_a_look_alike_has_the_ratio_that_was_asked_for_over_all() -> None:
    back = np.random.default_rng(0).normal(0, 0.01, 2 * RATE_HZ).astype(np.float32)
    sound = beeps(2_000, [(0.0, 2.0)], 2.0).astype(np.float32)
    gain = signal_gain(sound, back, Signal(sound=sound, pulses=()), 6.0, RATE_HZ)
    found_db = 20 * np.log10((gain * sound).std() / back.std())
    assert found_db == pytest.approx(6.0, abs=0.01)


def test_over_silence_a_beep_stands_over_a_good_inputs_noise() -> None:
    """-80 dB of full scale in the band, and 20 dB over that."""
    tone = tone_of_half_a_second()
    gain = signal_gain(tone.sound, np.zeros_like(tone.sound), tone, 20.0, RATE_HZ)
    found = augment.band_rms(gain * tone.sound[8_000:16_000], 2_000, RATE_HZ)
    assert 20 * np.log10(found) == pytest.approx(-60.0, abs=0.01)


def test_what_is_silent_stays_silent_at_any_ratio() -> None:
    silence = np.zeros(100, dtype=np.float32)
    back = np.ones(100, dtype=np.float32)
    assert signal_gain(silence, back, Signal(sound=silence, pulses=()), 10, RATE_HZ) == 0


# Recordings


def test_a_recipe_uses_no_recording_that_may_not_be_shipped(data: Path, recipe: Recipe) -> None:
    chosen = chosen_recordings(read_manifest(data), recipe, "train")
    assert {recording.category for recording in chosen} == {
        "household", "beep_real", "beep_clean", "rir",
    }  # fmt: skip
    assert all(recording.redistribute == "yes" for recording in chosen)
    assert all(recording.split == "train" for recording in chosen)


@pytest.mark.parametrize(
    "other",
    [
        {"clean_snr_db": 61.0},
        {"clean_beeps": ["example.org/chimes"]},
        {"left_out": ["train/beep_clean/monitor.flac"]},
    ],
)
def test_a_clean_beep_is_of_a_listed_source_clean_enough_and_not_left_out(
    data: Path, recipe: Recipe, other: dict[str, object]
) -> None:
    plan = msgspec.structs.replace(recipe.data, **other)
    chosen = chosen_recordings(
        read_manifest(data), msgspec.structs.replace(recipe, data=plan), "train"
    )
    assert {recording.category for recording in chosen} == {"household", "beep_real", "rir"}


def test_material_is_what_the_recipe_names(material: Material) -> None:
    assert (len(material.signals), len(material.negatives), len(material.rooms)) == (2, 1, 1)
    assert material.chances.tolist() == [1.0]


def test_negatives_are_drawn_by_weight_and_length_up_to_20_s(
    data: Path, recipe: Recipe, tmp_path: Path
) -> None:
    """The fan's 6 s count twice; 30 s of rendered birds as 20, half as often, three times."""
    soundfile.write(tmp_path / "bird.flac", np.full(30 * RATE_HZ, 0.1), RATE_HZ)
    plan = msgspec.structs.replace(
        recipe.data, weights={"household": 2.0, "bird": 3.0}, rendered_weight=0.5
    )
    bird = Rendered(path=tmp_path / "bird.flac", kind="bird", program="bird")
    found = gather(data, msgspec.structs.replace(recipe, data=plan), "train", [bird])
    assert [len(sound) for sound in found.negatives] == [6 * RATE_HZ, 30 * RATE_HZ]
    assert found.chances.tolist() == pytest.approx([12 / 42, 30 / 42])


# Backgrounds


def numbered(material: Material) -> Material:
    """Two negatives of 1 s and 10 s, of which every sample is another number."""
    whole = np.arange(11 * RATE_HZ, dtype=np.float32) + 1
    return msgspec.structs.replace(
        material,
        negatives=[whole[:RATE_HZ], whole[RATE_HZ:]],
        chances=np.array([0.25, 0.75]),
    )


def test_a_stretch_is_part_of_one_negative_drawn_by_its_chance_and_a_short_one_again_and_again(
    material: Material,
) -> None:
    several = numbered(material)
    rng = np.random.default_rng(0)
    drawn = [stretch(rng, several, 2 * RATE_HZ) for _ in range(200)]
    assert {sound.shape for sound in drawn} == {(2 * RATE_HZ,)}
    short = [sound for sound in drawn if sound.max() < 1.2 * RATE_HZ]
    assert len(short) / 200 == pytest.approx(0.25, abs=0.1)
    plain = [sound for sound in drawn if np.all(sound == np.round(sound))]
    assert len(plain) / 200 == pytest.approx(0.7, abs=0.1)  # the others are faster or slower
    for sound in plain:
        steps = np.unique(np.diff(sound)).tolist()
        assert steps in ([1.0], [1.0 - RATE_HZ, 1.0])
    starts = [sound[0] for sound in plain if sound.max() > RATE_HZ]
    assert max(starts) - min(starts) > 5 * RATE_HZ


def test_a_background_is_household_often_with_hiss_or_another_sound(material: Material) -> None:
    """Of a pure tone: 12 % are hiss alone, 18 % the tone in hiss, and the rest tones alone."""
    tone = beeps(1_000, [(0.0, 6.0)], 6.0).astype(np.float32)
    pure = msgspec.structs.replace(material, negatives=[tone])
    rng = np.random.default_rng(0)
    drawn = [background(rng, pure, RATE_HZ) for _ in range(400)]
    assert {sound.shape for sound in drawn} == {(RATE_HZ,)}
    window = np.hanning(RATE_HZ)
    around = [np.abs(np.fft.rfft(sound * window))[780:1_320] ** 2 for sound in drawn]
    line = np.array([power.max() / np.median(power) for power in around])
    assert (line < 60).mean() == pytest.approx(0.12, abs=0.05)
    assert ((line > 60) & (line < 1e8)).mean() == pytest.approx(0.18, abs=0.06)


# Clips


def test_a_clip_is_whole_frames_with_a_truth_each(draw: partial[Clip]) -> None:
    clips = [draw(index) for index in range(20)]
    assert {clip.pcm.shape for clip in clips} == {(64_000,)}
    assert {clip.truth.shape for clip in clips} == {(200,)}
    assert {clip.weight.shape for clip in clips} == {(200,)}
    assert {clip.tones.shape for clip in clips if clip.tones is not None} == {(200, 161)}
    with_beep = sum(clip.truth.max() > 0 for clip in clips)
    assert 3 <= with_beep <= 17
    assert all((clip.tones is not None) == (clip.truth.max() > 0) for clip in clips)


def test_a_clip_holds_its_beep_when_and_where_it_says(draw: partial[Clip], recipe: Recipe) -> None:
    """40 dB over the background, in a room or not, a cell of the beep is louder than before it."""
    clear = with_scenes(recipe, quietest_snr_db=40.0, loudest_snr_db=40.0)
    checked = 0
    for index in range(12):
        clip = draw(index, beep_share=1.0, recipe=clear)
        assert clip.tones is not None
        tone = clip.tones == TONE
        assert (clip.truth[tone.any(axis=1)] >= 0.5).all()
        if not tone.any():
            continue
        first = int(np.argmax(clip.truth > 0))
        if first < 20:
            continue
        energy = cell_energy(np.asarray(clip.pcm / 32_768, dtype=np.float32), FRAME)
        bins = np.flatnonzero(tone.any(axis=0))
        before = energy[1 : first - 1, bins].mean()
        assert np.median(energy[tone]) > 30 * before
        checked += 1
    assert checked >= 4


def test_no_beeps_are_drawn_where_none_are_wanted(draw: partial[Clip]) -> None:
    for index in range(10):
        clip = draw(index, beep_share=0.0)
        assert clip.truth.max() == 0
        assert clip.weight.min() == 1
        assert clip.tones is None


def test_without_a_beep_a_look_alike_comes_as_often_as_the_recipe_says(
    material: Material, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []

    def noted(_rng: object, length_s: float, _rate_hz: int) -> Signal:
        drawn.append(length_s)
        return Signal(sound=np.ones(64_000, dtype=np.float32), pulses=())

    monkeypatch.setattr("beepwatch.train.sounds.look_alikes.look_alike", noted)
    for share, expected in ((0.0, 0), (1.0, 5)):
        drawn.clear()
        plan = with_scenes(recipe, look_alike_share=share)
        for seed in range(5):
            compose(np.random.default_rng(seed), material, plan, FRAME, with_beep=False)
        assert drawn == [4.0] * expected


def test_a_clips_number_and_stream_and_the_seed_decide_what_it_is(
    draw: partial[Clip], recipe: Recipe
) -> None:
    first = draw(3)
    assert np.array_equal(draw(3).pcm, first.pcm)
    others = [draw(4), draw(3, stream=1), draw(3, recipe=with_scenes(recipe, seed=6))]
    assert not any(np.array_equal(other.pcm, first.pcm) for other in others)


def test_workers_draw_the_same_clips_as_one_process_and_leave_an_interruption_to_it(
    draw: partial[Clip],
) -> None:
    alone = list(draw_clips(draw, range(1, 4), 0))
    try:
        together = list(draw_clips(partial(interrupted, draw=draw), range(1, 4), 1))
    except KeyboardInterrupt:  # would end all tests
        pytest.fail("a worker was interrupted")
    for first, second in zip(alone, together, strict=True):
        assert np.array_equal(first.pcm, second.pcm)
        assert np.array_equal(first.truth, second.truth)
    assert not np.array_equal(alone[0].pcm, alone[1].pcm)
