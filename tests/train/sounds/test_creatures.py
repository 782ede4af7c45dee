"""Nothing alive holds its pitch, begins at once or does the same twice."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.random import Generator

from beepwatch.train import synthesis
from beepwatch.train.sounds import creatures
from tests.train.spectra import (
    RATE_HZ,
    SAMPLES,
    Wave,
    band_share,
    instantaneous_hz,
    level,
    most_alike,
    rise_s,
)

Voice = Callable[[Generator, int, int], Wave]
ALIVE = [
    creatures.birdsong,
    creatures.bird_trill,
    creatures.bird_whistle,
    creatures.rough_calls,
    creatures.crickets,
    creatures.crying,
    creatures.shouting,
    creatures.laughter,
    creatures.speech,
    creatures.whistling,
    creatures.singing,
]


@pytest.mark.parametrize("voice", ALIVE, ids=lambda voice: voice.__name__)
def test_nothing_alive_repeats_itself_exactly(voice: Voice) -> None:
    """A fifth of a second of it never comes again within 5 %; see the test of a buzzer below."""
    for seed in range(6):
        sound = voice(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert most_alike(sound) < 0.95


def test_a_buzzer_repeats_itself_exactly() -> None:
    """What the test above measures is 1 where a pulse comes again."""
    buzzer = synthesis.Timbre(
        partials=((1.0, 1.0),), attack_s=0.002, release_s=0.002, decay_s=np.inf, flutter_hz=0.0,
        roughness=0.0, bend=0.0, sweep=0.0,
    )  # fmt: skip
    pulse = synthesis.pulse_sound(np.random.default_rng(0), 2_000, 0.3, buzzer, RATE_HZ)
    sound = np.zeros(SAMPLES)
    for start in (8_000, 24_000):
        sound[start : start + len(pulse)] = pulse
    assert most_alike(sound) > 0.999


@pytest.mark.parametrize(
    "voice",
    [creatures.crying, creatures.whistling, creatures.singing],
    ids=lambda voice: voice.__name__,
)
def test_a_voice_rises_slower_than_any_buzzer(voice: Voice) -> None:
    """From a tenth to six tenths a buzzer of the slowest attack takes 10 ms."""
    for seed in range(8):
        assert rise_s(voice(np.random.default_rng(seed), SAMPLES, RATE_HZ)) >= 0.012


def test_a_trill_is_fast_and_drifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """5 to 40 notes a second, of which each has another pitch than the one before."""
    notes: list[creatures.Syllable] = []

    def noted(rng: Generator, syllable: creatures.Syllable, rate_hz: int) -> Wave:
        notes.append(syllable)
        return np.zeros(32)

    monkeypatch.setattr(creatures, "sung", noted)
    for seed in range(5):
        notes.clear()
        creatures.bird_trill(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert len(notes) >= 8
        assert all(0.55 / 40 <= note.length_s <= 0.85 / 5 for note in notes)
        assert all(one.pitch_hz != other.pitch_hz for one, other in pairwise(notes))


def test_laughter_comes_in_four_to_twelve_syllables_that_sink_and_fade(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pitches_hz: list[float] = []

    def noted(_rng: object, base_hz: float, length: int, _rate_hz: int, _depth: float) -> Wave:
        pitches_hz.append(base_hz)
        return np.ones(length)

    monkeypatch.setattr(creatures, "_cry", noted)
    firsts, lasts = [], []
    for seed in range(20):
        pitches_hz.clear()
        creatures.laughter(np.random.default_rng(seed), RATE_HZ // 2, RATE_HZ)
        # One burst: it begins within half a second, and lasts about as long.
        assert 4 <= len(pitches_hz) <= 12
        firsts.append(pitches_hz[0])
        lasts.append(pitches_hz[-1])
    assert np.mean(np.log2(lasts)) < np.mean(np.log2(firsts)) - 0.15


def test_a_tune_that_is_whistled_slides_from_note_to_note() -> None:
    """No step between two samples is a leap: an octave takes 30 ms at least."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        pitch_hz = creatures.sliding_tune_hz(rng, SAMPLES, RATE_HZ, 700, 1_400)
        assert 690 < pitch_hz.min() < pitch_hz.max() < 1_420
        octaves_a_sample = np.abs(np.diff(np.log2(pitch_hz)))
        assert octaves_a_sample.max() <= 1.02 / (0.015 * RATE_HZ)
        assert np.ptp(np.log2(pitch_hz)) > 0.1


def test_breath_is_drawn_now_and_then_and_every_start_is_soft() -> None:
    """A rise of 40 ms and more never makes a step of 4 % from one sample to the next."""
    for seed in range(10):
        envelope = creatures.breaths(np.random.default_rng(seed), 10 * RATE_HZ, RATE_HZ)
        assert (envelope.min(), envelope.max()) == pytest.approx((0.0, 1.0), abs=1e-6)
        assert np.diff(envelope).max() < 0.004
        pauses = int(((envelope[:-1] > 1e-3) & (envelope[1:] <= 1e-3)).sum())
        assert 2 <= pauses <= 35


def test_no_bird_holds_its_pitch() -> None:
    """At least LEAST_BEND octaves, less what their 15 % of freedom takes away, and a vibrato."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        syllable = creatures.draw_syllable(rng)
        assert np.ptp(syllable.bend) >= 0.99 * creatures.LEAST_BEND or max(syllable.bend) > 0.59


def test_a_bird_never_sings_a_syllable_twice_alike() -> None:
    rng = np.random.default_rng(3)
    syllable = creatures.draw_syllable(rng)
    lengths = {len(creatures.sung(rng, syllable, RATE_HZ)) for _ in range(20)}
    assert len(lengths) > 10


def test_whistled_notes_wobble_and_slide() -> None:
    sound = creatures.whistling(np.random.default_rng(2), SAMPLES, RATE_HZ)
    assert band_share(sound, 600, 4_000) > 0.98
    assert sound[0] == pytest.approx(0, abs=0.01)


def test_a_long_whistle_of_a_bird_wobbles_through_all_its_length() -> None:
    """Over each loud fifth of a second its pitch strays by a hundredth and more."""
    checked = 0
    for seed in range(12):
        sound = creatures.bird_whistle(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        for start in range(0, SAMPLES - 3_200, 3_200):
            stretch = sound[start : start + 3_200]
            if level(stretch).min() < 0.3 * np.abs(sound).max():
                continue
            pitch_hz = instantaneous_hz(stretch)
            assert np.ptp(np.convolve(pitch_hz, np.full(8, 1 / 8), "valid")) > 0.01 * pitch_hz[0]
            checked += 1
    assert checked >= 5
