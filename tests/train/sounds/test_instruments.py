"""Notes begin softly, bend, ring on or sound as chords."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from numpy.random import Generator

from beepwatch.train.sounds import instruments
from tests.train.spectra import RATE_HZ, SAMPLES, Wave, level, most_alike, rise_s

Instrument = Callable[[Generator, int, int], Wave]


def one_stroke(kind: str, seed: int) -> Wave:
    """Eight seconds with a single stroke, from where it sounds."""
    bar = msgspec.structs.replace(instruments.STRUCK[kind], pause_s=(600.0, 600.0))
    sound = instruments.struck(np.random.default_rng(seed), 8 * RATE_HZ, RATE_HZ, bar)
    return sound[int(np.argmax(sound != 0)) :]


@pytest.mark.parametrize("kind", sorted(instruments.STRUCK))
def test_struck_things_are_loudest_at_once_and_die_away(kind: str) -> None:
    """A partial is down to 1 / e after 1.2 times the longest decay; seven seconds are that long."""
    for seed in range(4):
        loud = level(one_stroke(kind, seed), 0.05)
        assert loud[:3].max() == loud.max()
        longest_s = 1.2 * instruments.STRUCK[kind].decay_s[1]
        later = min(round(longest_s / 0.05) + 1, 139)
        assert loud[later:].max() < 0.7 * loud.max()
        if longest_s < 1:
            assert loud[-1] < 1e-3 * loud.max()


def test_a_struck_thing_rings_at_its_ratios() -> None:
    """A glass of about (n / 2) squared, all of them within two thousandths."""
    tone = one_stroke("glass", 2)[200 : 200 + 8_000]
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 16 * len(tone)))
    hz = np.arange(len(spectrum)) * RATE_HZ / (16 * len(tone))
    peaks = [
        index
        for index in range(800, len(spectrum) - 800)
        if spectrum[index] == spectrum[index - 800 : index + 801].max()
        and spectrum[index] > 0.02 * spectrum.max()
    ]
    found = np.array([hz[index] for index in peaks])
    assert len(found) >= 2
    ratios = np.array(instruments.STRUCK["glass"].ratios)
    wanted = found[0] * ratios[: len(found)]
    assert found == pytest.approx(wanted, rel=0.01)


def test_no_two_strokes_are_equally_hard_or_far_apart() -> None:
    sound = instruments.struck(
        np.random.default_rng(1), 2 * SAMPLES, RATE_HZ, instruments.STRUCK["cutlery"]
    )
    loud = level(sound, 0.002)
    hit = np.flatnonzero((loud[1:] > 3 * loud[:-1]) & (loud[1:] > 0.2 * loud.max())) + 1
    assert len(hit) >= 5
    assert len(set(np.diff(hit).tolist())) > 1
    assert np.ptp(loud[hit]) > 0.1 * loud.max()


@pytest.mark.parametrize(
    "instrument", [instruments.flute, instruments.violin], ids=lambda one: one.__name__
)
def test_a_blown_or_bowed_note_rises_slower_than_any_buzzer(instrument: Instrument) -> None:
    """From a tenth to six tenths a buzzer of the slowest attack takes 10 ms."""
    for seed in range(8):
        assert rise_s(instrument(np.random.default_rng(seed), SAMPLES, RATE_HZ)) >= 0.02


@pytest.mark.parametrize(
    "instrument",
    [instruments.flute, instruments.violin, instruments.accordion, instruments.piano],
    ids=lambda one: one.__name__,
)
def test_nobody_plays_a_note_twice_exactly_alike(instrument: Instrument) -> None:
    for seed in range(5):
        assert most_alike(instrument(np.random.default_rng(seed), SAMPLES, RATE_HZ)) < 0.99


def strong_pitches(sound: Wave, low_hz: float, high_hz: float) -> int:
    """How many peaks at least 20 Hz apart stand out of a band."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    width = max(round(20 * len(sound) / RATE_HZ), 1)
    first, last = (round(hz * len(sound) / RATE_HZ) for hz in (low_hz, high_hz))
    return sum(
        spectrum[index] == spectrum[max(index - width, 0) : index + width + 1].max()
        and spectrum[index] > 0.1 * spectrum[first:last].max()
        for index in range(first, last)
    )


def test_an_accordion_plays_chords_of_three_and_more() -> None:
    """In the first third of a second; a chord lasts 0.3 s at least."""
    for seed in range(8):
        sound = instruments.accordion(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert strong_pitches(sound[: round(0.3 * RATE_HZ)], 190, 7_000) >= 3


@pytest.mark.parametrize(
    "instrument",
    [instruments.piano, instruments.ringtone, instruments.electronic_music],
    ids=lambda one: one.__name__,
)
def test_music_has_many_pitches(instrument: Instrument) -> None:
    for seed in range(5):
        sound = instrument(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert strong_pitches(sound, 60, 7_000) >= 6


def test_a_telephone_plays_five_to_fourteen_notes_a_second() -> None:
    """Between pauses of at most 1.2 s: of four seconds at least one and a half are notes."""
    for seed in range(5):
        sound = instruments.ringtone(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        loud = level(sound, 0.01)
        rises = int((loud[1:] > 1.25 * loud[:-1]).sum())
        assert 5 * 1.5 <= rises <= 4 * 14 * 2
