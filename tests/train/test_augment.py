"""Rooms, microphones and levels do what they say, in numbers known beforehand."""

import numpy as np
import pytest

from beepwatch.train import augment

RATE_HZ = 16_000


def sine(pitch_hz: float, peak: float = 1.0, length_s: float = 1.0) -> np.ndarray:
    """A steady tone."""
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    return (peak * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def test_a_tones_band_holds_its_rms() -> None:
    """RMS of a sine is its peak over the square root of two."""
    assert augment.band_rms(sine(1_000, 0.2), 1_000, RATE_HZ) == pytest.approx(0.1414, rel=1e-3)


def test_a_tone_two_octaves_away_is_not_in_the_band() -> None:
    assert augment.band_rms(sine(4_000), 1_000, RATE_HZ) < 1e-3


def test_a_room_begins_with_its_direct_sound_at_unit_energy() -> None:
    response = np.zeros(8_000, dtype=np.float32)
    response[500] = -0.3
    room = augment.ready_room(response, RATE_HZ)
    assert np.argmax(np.abs(room)) == 16  # a millisecond of lead
    assert np.abs(room).max() == pytest.approx(1.0)


def test_a_room_of_one_reflection_leaves_the_sound_where_it_was() -> None:
    room = augment.ready_room(np.array([1.0, 0, 0, 0], dtype=np.float32), RATE_HZ)
    click = np.zeros(100, dtype=np.float32)
    click[10] = 1
    assert np.argmax(augment.in_room(click, room)) == 10


def test_noise_has_unit_rms() -> None:
    noise = augment.noise(np.random.default_rng(0), 16_000)
    assert np.sqrt((noise**2).mean()) == pytest.approx(1.0, rel=1e-5)


def test_full_scale_is_clipped_and_not_wrapped() -> None:
    pcm = augment.to_int16(np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0]))
    assert pcm.tolist() == [-32_768, -32_767, 0, 16_384, 32_767, 32_767]


def test_a_microphone_changes_colour_but_not_length() -> None:
    sound = sine(1_000)
    coloured = augment.coloured(np.random.default_rng(3), sound, RATE_HZ)
    assert coloured.shape == sound.shape
    assert coloured.dtype == np.float32
    change_db = 20 * np.log10(augment.band_rms(coloured, 1_000, RATE_HZ) / 0.7071)
    assert 0.01 < abs(change_db) < 20
