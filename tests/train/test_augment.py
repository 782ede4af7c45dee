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


# Automatic gain


def after_a_bang() -> np.ndarray:
    """Half a second loud, then three seconds softly."""
    return np.concatenate([sine(1_000, 0.8, 0.5), sine(1_000, 0.02, 3.0)])


@pytest.mark.parametrize("seed", range(8))
def test_what_was_loud_pulls_down_what_follows_and_lets_it_go(seed: int) -> None:
    sound = after_a_bang()
    heard = augment.levelled(np.random.default_rng(seed), sound, RATE_HZ)
    assert heard.shape == sound.shape
    assert heard.dtype == np.float32
    bang, first, last = (
        np.abs(heard[start : start + 3_200]).max() / np.abs(sound[start : start + 3_200]).max()
        for start in (4_000, 9_000, len(sound) - 3_200)
    )
    assert bang < first < last
    assert last > 1.2 * bang


def test_a_steady_sound_is_left_as_it_is() -> None:
    """Its level is the mean level from the first hundredth of a second on."""
    sound = sine(1_000, 0.3)
    heard = augment.levelled(np.random.default_rng(0), sound, RATE_HZ)
    assert heard == pytest.approx(sound, abs=1e-4)


def test_levelling_takes_any_length_and_leaves_silence_silent() -> None:
    for samples in (1, 159, 161, 4_000):
        silent = augment.levelled(np.random.default_rng(0), np.zeros(samples, np.float32), RATE_HZ)
        assert silent.tolist() == [0.0] * samples


# Sound cards


def test_a_sound_card_takes_any_level_and_clips_one_in_ten() -> None:
    """Up to 12 dB over full scale; the others peak between -45 and -1 dBFS, and their own hiss."""
    rng = np.random.default_rng(0)
    pcm = [augment.digitised(rng, sine(1_000, 0.01, 0.1)) for _ in range(400)]
    assert {one.dtype for one in pcm} == {np.dtype(np.int16)}
    peaks = np.array([np.abs(one.astype(np.int32)).max() for one in pcm])
    clipped = peaks >= 32_767
    assert clipped.mean() == pytest.approx(0.1, abs=0.05)
    assert peaks[~clipped].max() < 32_767 * 10 ** (-1 / 20) + 80
    assert 32_767 * 10 ** (-45 / 20) - 80 < peaks.min() < 32_767 * 10 ** (-40 / 20)


def test_silence_comes_out_of_a_sound_card_as_faint_hiss() -> None:
    """Between -96 and -66 dBFS: from a single step to 16 of them."""
    rng = np.random.default_rng(0)
    rms = [augment.digitised(rng, np.zeros(4_000, np.float32)).std() for _ in range(50)]
    assert 0.3 < min(rms) < 1.5
    assert 10 < max(rms) < 17
