"""No look-alike is a beep: none holds its pitch from a sudden start to a sudden end."""

import numpy as np
import pytest
from numpy.random import Generator

from beepwatch.train import creatures, instruments, machinery
from beepwatch.train.look_alikes import LOOK_ALIKES, LookAlike, draw_kind, look_alike, one
from beepwatch.train.tones import (
    Wave,
    band_noise,
    harmonic_tone,
    lay,
    soft,
    struck_partial,
    tune_hz,
    wander,
)

RATE_HZ = 16_000
SAMPLES = 4 * RATE_HZ


def band_share(sound: Wave, low_hz: float, high_hz: float) -> float:
    """Of a sound's energy, what lies within a band."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    inside = (frequency_hz >= low_hz) & (frequency_hz <= high_hz)
    return float(power[inside].sum() / power.sum())


def instantaneous_hz(tone: Wave) -> Wave:
    """The pitch of a near-sine, cycle by cycle, from its upward zero crossings."""
    before = np.flatnonzero((tone[:-1] < 0) & (tone[1:] >= 0))
    exact = before + tone[before] / (tone[before] - tone[before + 1])
    return np.asarray(RATE_HZ / np.diff(exact))


@pytest.mark.parametrize("kind", sorted(LOOK_ALIKES))
def test_every_look_alike_sounds_and_stays_finite(kind: str) -> None:
    for seed in range(5):
        sound = LOOK_ALIKES[kind].draw(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        assert sound.shape == (SAMPLES,)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() > 0.01


@pytest.mark.parametrize("kind", sorted(LOOK_ALIKES))
def test_a_kind_is_the_same_for_the_same_seed_and_another_for_another(kind: str) -> None:
    first, again, other = (
        LOOK_ALIKES[kind].draw(np.random.default_rng(seed), SAMPLES, RATE_HZ) for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_look_alike_has_no_pulses_and_full_scale() -> None:
    signal = look_alike(np.random.default_rng(1), 4.0, RATE_HZ)
    assert signal.pulses == ()
    assert signal.sound.dtype == np.float32
    assert np.abs(signal.sound).max() == pytest.approx(1.0)


def test_kinds_come_as_often_as_their_weights_say() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_kind(rng) for _ in range(4_000)]
    total = sum(kind.weight for kind in LOOK_ALIKES.values())
    for name in ("birdsong", "whine", "applause"):
        kind = LOOK_ALIKES[name]
        expected = 4_000 * kind.weight / total
        assert drawn.count(kind) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def _sine(rng: Generator, samples: int, rate_hz: int) -> Wave:
    return np.asarray(np.sin(2 * np.pi * 1_000 * np.arange(samples) / rate_hz))


def test_a_steady_sound_is_never_cut_into_pulses() -> None:
    for seed in range(40):
        kind = LookAlike(draw=_sine, steady=True)
        sound = one(np.random.default_rng(seed), kind, SAMPLES, RATE_HZ)
        assert np.abs(sound[-100:]).max() > 0.99
        assert np.abs(sound[:100]).max() > 0.99


def test_what_is_heard_only_for_a_while_comes_and_goes_softly() -> None:
    """From a tenth to nine tenths a raised cosine takes 59 % of its 0.2 s."""
    paused = 0
    for seed in range(40):
        sound = one(np.random.default_rng(seed), LookAlike(draw=_sine), SAMPLES, RATE_HZ)
        level = np.abs(sound).reshape(-1, 16).max(axis=1)  # each millisecond
        if level.min() < 0.05:
            paused += 1
            start = int(np.argmax(level > 0.1))
            assert start == 0 or int(np.argmax(level > 0.9)) - start > 100
    assert 4 <= paused <= 18  # a quarter of 40


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


def test_a_dial_tone_lasts_from_the_first_sample_to_the_last() -> None:
    for seed in range(6):
        sound = machinery.dial_tone(np.random.default_rng(seed), SAMPLES, RATE_HZ)
        loud = np.abs(sound).reshape(-1, RATE_HZ // 8).max(axis=1)
        assert loud.min() > 0.7 * loud.max()
        assert band_share(sound, 340, 490) > 0.95


def test_every_key_of_a_telephone_sounds_two_tones() -> None:
    """The rows lie at 697 to 941 Hz, the columns at 1,209 to 1,477 Hz, equally loud."""
    sound = machinery.key_tones(np.random.default_rng(0), SAMPLES, RATE_HZ)
    assert band_share(sound, 650, 1_000) == pytest.approx(0.5, abs=0.03)
    assert band_share(sound, 1_150, 1_550) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("kind", sorted(instruments.STRUCK))
def test_struck_things_die_away_from_the_start(kind: str) -> None:
    """What rings in the last twentieth of a long rest is at least 6 dB below the loudest."""
    bar = instruments.STRUCK[kind]
    sound = instruments.struck(np.random.default_rng(0), 8 * RATE_HZ, RATE_HZ, bar)
    strongest = np.abs(sound).max()
    assert strongest > 0
    ring = struck_partial(RATE_HZ, RATE_HZ, bar.low_hz, bar.decay_s[0])
    quarter = round(bar.decay_s[0] * RATE_HZ)
    if quarter + 100 < len(ring):
        after = np.abs(ring[quarter : quarter + 100]).max()
        assert after < 0.5 * np.abs(ring[:100]).max()


def test_a_struck_partial_has_its_pitch_and_its_decay() -> None:
    """After its time constant it is down to 1 / e."""
    ring = struck_partial(RATE_HZ, RATE_HZ, 1_000, 0.2)
    assert instantaneous_hz(ring[:4_000]).mean() == pytest.approx(1_000, rel=1e-4)
    first, later = (np.abs(ring[at : at + 64]).max() for at in (0, 3_200))
    assert later / first == pytest.approx(np.exp(-1), rel=1e-3)


def test_partials_stand_at_multiples_and_none_is_folded_back() -> None:
    tone = harmonic_tone(np.full(RATE_HZ, 3_000.0), (1.0, 0.5, 1.0, 1.0), RATE_HZ)
    amplitude = np.abs(np.fft.rfft(tone)) / (RATE_HZ / 2)
    assert amplitude[3_000] == pytest.approx(1.0, abs=1e-6)
    assert amplitude[6_000] == pytest.approx(0.5, abs=1e-6)
    amplitude[[3_000, 6_000]] = 0
    assert amplitude.max() < 1e-6


def test_a_soft_note_begins_and_ends_at_nothing() -> None:
    envelope = soft(RATE_HZ, RATE_HZ, 0.1, 0.2)
    assert envelope[0] < 1e-4
    assert envelope[-1] < 1e-4
    assert envelope[800] == pytest.approx(0.5, abs=0.01)  # half way up after half of the attack
    assert envelope[2_000:12_000].min() == pytest.approx(1.0)


def test_band_noise_keeps_to_its_band() -> None:
    noise = band_noise(np.random.default_rng(0), SAMPLES, RATE_HZ, 1_000, 2_000)
    assert band_share(noise, 700, 3_000) > 0.95
    assert np.sqrt((noise**2).mean()) == pytest.approx(1.0)


def test_wandering_is_as_deep_as_it_was_asked_for() -> None:
    """Between independent knots a straight line has two thirds of their variance."""
    course = wander(np.random.default_rng(0), 100 * RATE_HZ, RATE_HZ, 20, 0.1)
    assert course.std() == pytest.approx(0.1 * np.sqrt(2 / 3), rel=0.1)


def test_a_tune_keeps_between_its_limits() -> None:
    for seed in range(20):
        tune = tune_hz(np.random.default_rng(seed), 50, 400, 1_000)
        assert 400 <= tune.min() <= tune.max() <= 1_000
        assert len(set(tune)) >= 4


def test_what_is_laid_beyond_the_end_is_cut_off() -> None:
    sound = np.zeros(10)
    lay(sound, 7, np.ones(5))
    lay(sound, 12, np.ones(5))
    assert sound.tolist() == [0] * 7 + [1] * 3
