"""What a recipe says may be done to a recording is what is done, and the same each time."""

import gc
import math
import wave
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.errors import ConfigurationError, UnreadableAudio
from beepwatch.train import augment
from beepwatch.train.datasets.augmentation import (
    Augmentation,
    Gain,
    Mix,
    Pitch,
    Roll,
    Room,
    SpecAugment,
    Step,
    Stretch,
    WhiteNoise,
    augmented,
    files_of,
    masked,
    read_sounds,
)

RATE_HZ = 16_000
Sound = NDArray[np.float32]


class Augmentations(msgspec.Struct):
    """What a recipe has of them."""

    augment: tuple[Augmentation, ...]


def steps_of(text: str) -> Sequence[Step]:
    """The steps of a recipe's only augmentation."""
    toml = f'[[augment]]\nname = "it"\nsteps = [{text}]'
    return msgspec.toml.decode(toml, type=Augmentations).augment[0].steps


def tone(pitch_hz: float = 1_000.0, length_s: float = 1.0) -> Sound:
    """A steady tone, peak 0.3."""
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def db_between(sound: Sound, other: Sound) -> float:
    """How much louder one is than the other."""
    return 20 * math.log10(augment.rms(sound) / augment.rms(other))


def write_wav(path: Path, sound: Sound) -> None:
    """16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(augment.to_int16(sound).tobytes())


# What a recipe may say


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ('{kind = "white_noise", snr_db = 10.0}', WhiteNoise(snr_db=10.0)),
        ('{kind = "white_noise", snr_db = [5, 20]}', WhiteNoise(snr_db=(5.0, 20.0))),
        ('{kind = "roll", shift_s = -0.1}', Roll(shift_s=-0.1)),
        ('{kind = "stretch", factor = 1.2}', Stretch(factor=1.2)),
        ('{kind = "pitch", semitones = [-2, 2]}', Pitch(semitones=(-2.0, 2.0))),
        ('{kind = "gain", gain_db = -6}', Gain(gain_db=-6.0)),
        ('{kind = "room", rt60_s = 0.4}', Room(rt60_s=0.4)),
        ('{kind = "room", responses = ["hall.wav"]}', Room(responses=("hall.wav",))),
        ('{kind = "mix", others = ["fan.wav"], snr_db = 3}', Mix(others=("fan.wav",), snr_db=3.0)),
        ('{kind = "spec_augment", time_masks = 1}', SpecAugment(time_masks=1)),
    ],
)
def test_each_kind_of_step_is_read(text: str, step: Step) -> None:
    assert steps_of(text) == (step,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{kind = "white_noise"}', "missing required field `snr_db`"),
        ('{kind = "white_noise", snr_db = nan}', "Expected `float` >= -60"),
        ('{kind = "white_noise", snr_db = [20, 5]}', "write the lower number first"),
        ('{kind = "white_noise", snr_db = [1, 2, 3]}', "length <= 2"),
        ('{kind = "white_noise", snr_db = [1]}', "length >= 2"),
        ('{kind = "stretch", factor = 0}', "Expected `float` >= 0.25"),
        ('{kind = "pitch", semitones = [0, 99]}', "Expected `float` <= 24"),
        ('{kind = "gain", gain_db = "loud"}', "got `str`"),
        ('{kind = "roll", shift_s = 1, by = 2}', "unknown field `by`"),
        ('{kind = "room"}', "either rt60_s or responses"),
        ('{kind = "room", rt60_s = 1, responses = ["a"]}', "either rt60_s or responses"),
        ('{kind = "mix", others = [], snr_db = 1}', "length >= 1"),
        ('{kind = "spec_augment", widest_frames = 0}', "Expected `int` >= 1"),
        ('{kind = "reverse"}', "Invalid value 'reverse'"),
        ("", "length >= 1"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"augment\[0\]\.steps") as error:
        steps_of(text)
    assert complaint in str(error.value)


def test_a_garbage_collection_while_types_are_made_ends_nobody() -> None:
    """Some unions of limited numbers and ranges do that to Python, with msgspec 0.22."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        decoded = msgspec.toml.decode("augment = []", type=Augmentations)
    finally:
        gc.set_threshold(*before)
    assert decoded.augment == ()


# What is done to sound


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 33.3])
def test_white_noise_lies_so_far_below_and_is_white(snr_db: float) -> None:
    sound = tone()
    noise = augmented(sound, RATE_HZ, [WhiteNoise(snr_db=snr_db)], seed=1) - sound
    assert db_between(sound, noise) == pytest.approx(snr_db, abs=0.1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[: len(power) // 2].mean() == pytest.approx(
        power[len(power) // 2 :].mean(), rel=0.1
    )


def test_rolled_sound_is_all_there_elsewhere() -> None:
    sound = np.arange(RATE_HZ, dtype=np.float32)
    rolled = augmented(sound, RATE_HZ, [Roll(shift_s=0.1)], seed=1)
    assert rolled[1_600] == 0
    assert sorted(rolled) == sorted(sound)
    assert (augmented(rolled, RATE_HZ, [Roll(shift_s=-0.1)], seed=1) == sound).all()


def test_stretch_and_pitch_are_those_of_the_recipe() -> None:
    sound = tone()
    both = augmented(sound, RATE_HZ, [Stretch(factor=1.5), Pitch(semitones=12.0)], seed=1)
    assert len(both) == 1.5 * len(sound)
    spectrum = np.abs(np.fft.rfft(both * np.hanning(len(both))))
    assert spectrum.argmax() * RATE_HZ / len(both) == pytest.approx(2_000.0, rel=0.01)


def test_gain_is_in_decibels_and_clips_nothing() -> None:
    louder = augmented(tone(), RATE_HZ, [Gain(gain_db=20.0)], seed=1)
    assert louder.max() == pytest.approx(3.0, rel=1e-3)


def test_a_drawn_room_rings_on_as_long_as_it_should() -> None:
    """A click in a room of 0.5 s: 0.25 s later it has fallen by 30 dB."""
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[0] = 1.0
    heard = augmented(click, RATE_HZ, [Room(rt60_s=0.5)], seed=3)
    assert len(heard) == len(click)
    assert heard[0] == pytest.approx(1.0)
    early, late = heard[800:1_600], heard[4_800:5_600]  # from 0.05 s and from 0.3 s on
    assert db_between(early, late) == pytest.approx(30.0, abs=2.0)


def test_a_recorded_room_is_taken_from_its_file(tmp_path: Path) -> None:
    """Direct sound, and 0.1 s later an echo of half its height."""
    response = np.zeros(RATE_HZ // 2, dtype=np.float32)
    response[[100, 1_700]] = 0.8, 0.4
    write_wav(tmp_path / "room.wav", response)
    steps = [Room(responses=("room.wav",))]
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[10] = 1.0
    heard = augmented(click, RATE_HZ, steps, 1, read_sounds(steps, tmp_path, RATE_HZ))
    first, echo = np.sort(np.argsort(np.abs(heard))[-2:])
    assert echo - first == 1_600
    assert heard[echo] / heard[first] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("length_s", [0.3, 5.0])
def test_another_sound_is_mixed_in_however_long_it_is(tmp_path: Path, length_s: float) -> None:
    write_wav(tmp_path / "hum.wav", tone(200.0, length_s))
    steps = [Mix(others=("hum.wav",), snr_db=6.0)]
    sound = tone()
    mixed = augmented(sound, RATE_HZ, steps, 4, read_sounds(steps, tmp_path, RATE_HZ))
    hum = mixed - sound
    assert len(hum) == len(sound)
    assert db_between(sound, hum) == pytest.approx(6.0, abs=0.1)
    assert np.abs(np.fft.rfft(hum)).argmax() == 200


def test_what_is_mixed_in_must_be_there_and_not_silent(tmp_path: Path) -> None:
    steps = [Mix(others=("hum.wav",), snr_db=6.0)]
    with pytest.raises(UnreadableAudio, match=r"hum\.wav does not exist"):
        read_sounds(steps, tmp_path, RATE_HZ)
    write_wav(tmp_path / "hum.wav", np.zeros(100, dtype=np.float32))
    with pytest.raises(ConfigurationError, match=r"hum\.wav is silent"):
        read_sounds(steps, tmp_path, RATE_HZ)


def test_files_of_steps_are_named_once() -> None:
    mix = Mix(others=("b.wav", "a.wav"), snr_db=1.0)
    assert files_of([mix, Gain(gain_db=1.0), Room(responses=("a.wav",))]) == ["a.wav", "b.wav"]


# Seeds


ALL = (
    Roll(shift_s=(0.0, 0.5)),
    Stretch(factor=(0.9, 1.1)),
    Pitch(semitones=(-1.0, 1.0)),
    Gain(gain_db=(-6.0, 6.0)),
    Room(rt60_s=(0.2, 0.6)),
    Mix(others=("a", "b"), snr_db=(0.0, 20.0)),
    WhiteNoise(snr_db=(5.0, 20.0)),
)
SOUNDS = {"a": tone(300.0, 3.0), "b": tone(700.0, 3.0)}


def test_the_same_seed_is_the_same_sound_and_another_is_not() -> None:
    sound = tone()
    kept = sound.copy()
    one = augmented(sound, RATE_HZ, ALL, 7, SOUNDS)
    assert one.dtype == np.float32
    assert one.tobytes() == augmented(sound, RATE_HZ, ALL, 7, SOUNDS).tobytes()
    assert one.tobytes() != augmented(sound, RATE_HZ, ALL, 8, SOUNDS).tobytes()
    assert (sound == kept).all()


def test_a_range_is_drawn_from_all_of_it() -> None:
    gains_db = [
        db_between(augmented(tone(), RATE_HZ, [Gain(gain_db=(-10.0, 10.0))], seed), tone())
        for seed in range(40)
    ]
    assert min(gains_db) == pytest.approx(-10.0, abs=2.0)
    assert max(gains_db) == pytest.approx(10.0, abs=2.0)


def test_another_step_before_leaves_the_numbers_of_a_step_alone() -> None:
    noisy = WhiteNoise(snr_db=0.0)
    sound = tone()
    after_gain = augmented(sound, RATE_HZ, [Gain(gain_db=0.0), noisy], 1)
    after_roll = augmented(sound, RATE_HZ, [Roll(shift_s=(0.0, 0.0)), noisy], 1)
    assert after_gain.tobytes() == after_roll.tobytes()


@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_a_recording_without_a_sample_stays_so(step: Step) -> None:
    assert len(augmented(np.zeros(0, dtype=np.float32), RATE_HZ, [step], 1, SOUNDS)) == 0


# Masks


def test_masks_cover_no_more_than_they_may_and_with_the_mean() -> None:
    features = np.random.default_rng(2).normal(3, 1, (200, 40)).astype(np.float32)
    step = SpecAugment(time_masks=1, widest_frames=30, column_masks=1, widest_columns=6)
    widths = []
    for seed in range(30):
        covered = masked(features, [step], seed)
        changed = covered != features
        frames, columns = changed.all(axis=1), changed.all(axis=0)
        assert (changed == (frames[:, np.newaxis] | columns)).all()
        means = np.broadcast_to(features.mean(axis=0, dtype=np.float64), covered.shape)
        assert covered[changed] == pytest.approx(means[changed], abs=1e-5)
        widths.append((int(frames.sum()), int(columns.sum())))
    assert max(width for width, _ in widths) in range(25, 31)
    assert max(width for _, width in widths) == 6


def test_masks_leave_the_sound_alone_and_other_steps_the_features() -> None:
    assert (augmented(tone(), RATE_HZ, [SpecAugment()], 1) == tone()).all()
    features = np.ones((5, 3), dtype=np.float32)
    assert (masked(features, ALL, 1) == features).all()


@pytest.mark.parametrize("shape", [(0, 8), (1, 1), (3, 100)])
def test_features_smaller_than_a_mask_are_covered_as_they_are(shape: tuple[int, int]) -> None:
    features = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    covered = masked(features, [SpecAugment()], 1)
    assert covered.shape == shape
    assert np.isfinite(covered).all()
