"""Another pace leaves pitches alone, another pitch leaves lengths alone; levels are as stated."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.train import augment

RATE_HZ = 16_000


def tone(pitch_hz: float, length_s: float = 2.0, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """A steady tone, peak 0.3."""
    time_s = np.arange(round(length_s * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.float32)


def pitch_of(sound: NDArray[np.float32], rate_hz: int = RATE_HZ) -> float:
    """The frequency of the highest line of the spectrum, to half a bin of 4 s."""
    size = 4 * rate_hz
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    return float(spectrum.argmax()) * rate_hz / size


def inner_rms(sound: NDArray[np.float32]) -> float:
    """RMS of all but an eighth at either end."""
    edge = len(sound) // 8
    return augment.rms(sound[edge:-edge])


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.37, 3.0])
@pytest.mark.parametrize("pitch_hz", [220.0, 1_000.0, 3_123.0])
def test_a_stretched_tone_is_longer_and_the_same_tone(factor: float, pitch_hz: float) -> None:
    sound = tone(pitch_hz)
    longer = augment.stretched(sound, factor, RATE_HZ)
    assert len(longer) == round(len(sound) * factor)
    assert pitch_of(longer) == pytest.approx(pitch_hz, rel=0.01)
    assert inner_rms(longer) == pytest.approx(inner_rms(sound), rel=0.02)


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
def test_any_rate_is_stretched(rate_hz: int) -> None:
    longer = augment.stretched(tone(440.0, 1.0, rate_hz), 1.5, rate_hz)
    assert len(longer) == round(1.5 * rate_hz)
    assert pitch_of(longer, rate_hz) == pytest.approx(440.0, rel=0.01)


def test_beeps_of_a_stretched_recording_come_at_their_places() -> None:
    """Two beeps of 0.2 s at 0.5 and 1.5 s; at 1.5 times the length, of 0.3 s at 0.75 and 2.25 s."""
    sound = np.zeros(2 * RATE_HZ, dtype=np.float32)
    for onset_s in (0.5, 1.5):
        first = round(onset_s * RATE_HZ)
        sound[first : first + RATE_HZ // 5] = tone(2_000.0, 0.2)
    longer = augment.stretched(sound, 1.5, RATE_HZ)
    loud = np.abs(longer).reshape(-1, 160).max(axis=1) > 0.15  # of each 10 ms
    changes_s = np.flatnonzero(np.diff(loud.astype(int))) * 0.01
    assert changes_s == pytest.approx([0.75, 1.05, 2.25, 2.55], abs=0.03)


@pytest.mark.parametrize("semitones", [-12.0, -3.5, 0.0, 4.0, 12.0])
def test_a_pitched_tone_is_as_long_and_another_tone(semitones: float) -> None:
    sound = tone(1_000.0)
    higher = augment.pitched(sound, semitones, RATE_HZ)
    assert len(higher) == len(sound)
    assert pitch_of(higher) == pytest.approx(1_000.0 * 2 ** (semitones / 12), rel=0.01)
    assert inner_rms(higher) == pytest.approx(inner_rms(sound), rel=0.02)


@pytest.mark.parametrize("samples", [1, 2, 100, 1_023])
def test_less_than_a_window_is_stretched_and_pitched(samples: int) -> None:
    """And nothing that is no number comes of it."""
    sound = tone(1_000.0)[:samples]
    longer = augment.stretched(sound, 2.0, RATE_HZ)
    higher = augment.pitched(sound, 3.0, RATE_HZ)
    assert (len(longer), len(higher)) == (2 * samples, samples)
    assert np.isfinite(longer).all()
    assert np.isfinite(higher).all()


def test_silence_stays_silent() -> None:
    assert not augment.stretched(np.zeros(RATE_HZ, dtype=np.float32), 1.3, RATE_HZ).any()


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 17.0])
def test_what_is_mixed_lies_so_much_lower(snr_db: float) -> None:
    sound = tone(1_000.0)
    noise = augment.noise(np.random.default_rng(1), len(sound)) * np.float32(3)
    added = augment.over(sound, noise, snr_db) - sound
    measured = 20 * math.log10(augment.rms(sound) / augment.rms(added))
    assert measured == pytest.approx(snr_db, abs=0.05)


def test_nothing_is_mixed_into_silence() -> None:
    silence = np.zeros(100, dtype=np.float32)
    assert not augment.over(silence, np.ones(100, dtype=np.float32), 10.0).any()


@pytest.mark.parametrize("rt60_s", [0.2, 0.6, 1.5])
def test_a_drawn_room_falls_by_60_db_in_its_time(rt60_s: float) -> None:
    """By Schroeder's integral from 40 ms on, when the echoes are over, until 20 dB lower.

    A decay that is cut off at 60 dB reads some percent short.
    """
    room = augment.drawn_room(np.random.default_rng(5), rt60_s, RATE_HZ)
    energy = np.cumsum(room[::-1].astype(np.float64) ** 2)[::-1][round(0.04 * RATE_HZ) :]
    fallen = 10 * np.log10(energy / energy[0])
    twenty_s = int(np.argmax(fallen <= -20)) / RATE_HZ
    assert 3 * twenty_s == pytest.approx(rt60_s, rel=0.12)
