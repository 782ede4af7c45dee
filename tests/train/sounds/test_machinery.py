"""Machines hum, slide and rattle where and as long as they do in the world."""

import numpy as np
import pytest

from beepwatch.train.sounds import machinery
from beepwatch.train.sounds.look_alikes import LOOK_ALIKES
from tests.train.spectra import RATE_HZ, SAMPLES, Wave, band_share, instantaneous_hz, level


def rms(sound: Wave) -> Wave:
    """Of every twentieth of a second."""
    return np.asarray(np.sqrt((sound.reshape(-1, RATE_HZ // 20) ** 2).mean(axis=1)))


@pytest.mark.parametrize("kind", sorted(kind for kind in LOOK_ALIKES if LOOK_ALIKES[kind].steady))
def test_what_lasts_neither_starts_nor_stops_suddenly(kind: str) -> None:
    """Within a twentieth of a second a pulse changes by all of its level."""
    for seed in range(12):
        sound = LOOK_ALIKES[kind].draw(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        changes = np.abs(np.diff(rms(sound)))
        assert changes.max() < 0.6 * rms(sound).max()


def test_a_siren_never_pauses_and_never_keeps_its_pitch() -> None:
    """Its strongest frequency moves by two semitones and more within four seconds."""
    for seed in range(12):
        sound = machinery.siren(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert level(sound, 0.05).min() > 0.1 * np.abs(sound).max()
        spectra = np.abs(np.fft.rfft(sound.reshape(-1, RATE_HZ // 10) * np.hanning(1_600), axis=1))
        loudest_hz = 10.0 * spectra.argmax(axis=1)
        assert np.ptp(np.log2(loudest_hz)) > 2 / 12


def test_a_horn_is_two_horns_a_third_apart() -> None:
    """The lower one between 330 and 430 Hz, the other 1.18 to 1.28 times as high."""
    for seed in range(6):
        sound = machinery.car_horn(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        spectrum = np.abs(np.fft.rfft(sound))
        hz = np.arange(len(spectrum)) / 4
        inside = (hz > 320) & (hz < 560)
        peaks = [
            index
            for index in np.flatnonzero(inside)
            if spectrum[index] == spectrum[index - 40 : index + 41].max()
        ]
        strongest = sorted(peaks, key=lambda index: -spectrum[index])[:2]
        low_hz, high_hz = sorted(hz[index] for index in strongest)
        assert 320 < low_hz < 440
        assert 1.15 < high_hz / low_hz < 1.31


def test_a_vacuum_cleaner_that_is_switched_on_starts_with_silence_and_speeds_up() -> None:
    started = 0
    for seed in range(20):
        sound = machinery.vacuum_cleaner(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        loud = rms(sound)
        if loud[0] == 0:
            started += 1
            # A time constant of 0.3 s and more, squared: 50 ms are not enough for a fifth.
            first = int(np.argmax(loud > 0))
            assert loud[first + 1] < 0.2 * loud[-1]
    assert 4 <= started <= 16


def test_clicks_are_silence_for_the_most_part() -> None:
    """A resonance of 12 ms at most, every 60 ms at most."""
    for seed in range(10):
        sound = machinery.clicks(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert (level(sound) < 0.1 * np.abs(sound).max()).mean() > 0.6


def test_a_squeak_slides_by_a_semitone_and_more() -> None:
    """Between loud stretches of 50 ms the strongest of its partials moves."""
    moved = 0
    for seed in range(10):
        sound = machinery.squeaks(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        parts = sound.reshape(-1, RATE_HZ // 20)
        loud = np.abs(parts).max(axis=1) > 0.2 * np.abs(sound).max()
        hz = 20.0 * np.abs(np.fft.rfft(parts[loud] * np.hanning(800), axis=1)).argmax(axis=1)
        moved += np.ptp(np.log2(hz)) > 1 / 12
    assert moved == 10


def test_an_engine_is_a_drone_of_a_pitch_that_is_revved() -> None:
    for seed in range(6):
        sound = machinery.engine(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert rms(sound).min() > 0.1 * rms(sound).max()
        assert band_share(sound, 20, 2_500) > 0.6


def test_a_drop_is_a_tone_of_some_milliseconds_that_rises() -> None:
    """The loudest of a few drops, without the rain: its pitch goes up, and it is soon gone."""
    for seed in range(200):
        sound = machinery.drops(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        loud = level(sound)
        if (loud > 0.05 * loud.max()).mean() < 0.06:
            at = int(np.argmax(np.abs(sound) > 0.5 * np.abs(sound).max()))
            hz = instantaneous_hz(sound[at : at + 80])
            assert hz[-1] > 0.98 * hz[0]
            assert np.abs(sound[at + 1_300 : at + 1_310]).max() < 0.1 * np.abs(sound).max()
            return
    pytest.fail("no clip with few drops")


def test_more_hands_clap_in_some_clips_than_in_others() -> None:
    """One pair claps every 0.18 to 0.35 s: silence for most of the time."""
    silent = []
    for seed in range(20):
        sound = machinery.applause(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        silent.append(float((level(sound) < 0.1 * np.abs(sound).max()).mean()))
    assert max(silent) > 0.85
    assert min(silent) < 0.5


def test_a_dial_tone_lasts_from_the_first_sample_to_the_last() -> None:
    for seed in range(6):
        sound = machinery.dial_tone(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        loud = np.abs(sound).reshape(-1, RATE_HZ // 8).max(axis=1)
        assert loud.min() > 0.7 * loud.max()
        assert band_share(sound, 340, 490) > 0.95
