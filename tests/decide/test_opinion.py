"""What the sound of a pulse says of it."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.decide.hindsight import WholeSound
from beepwatch.decide.opinion import (
    LONGEST_S,
    MOST,
    Traits,
    opinion,
    span_to_ask_of,
    traits,
    weighed,
)
from beepwatch.decide.pulses import Pulse
from beepwatch.decide.recent import KEPT_S, RecentSound
from tests.decide.streams import Deaf

RATE_HZ = 16_000
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PITCH_HZ = 2_000.0
ONSET_S, OFFSET_S = 2.0, 2.3
SECONDS = 6.0

Sound = NDArray[np.float64]


def pulse(
    onset_s: float = ONSET_S, offset_s: float = OFFSET_S, pitch_hz: float = PITCH_HZ
) -> Pulse:
    """As the network tells it."""
    return Pulse(
        onset=START + timedelta(seconds=onset_s),
        onset_s=onset_s,
        duration_s=offset_s - onset_s,
        peak_score=0.7,
        pitches_hz=(pitch_hz,) if pitch_hz else (),
    )


def tone(pitch_hz: Sound | float, level: Sound | float = 1.0) -> Sound:
    """A sine from onset to offset whose pitch and level may move, with edges of 2 ms."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(pitch_hz, time_s.shape)) / RATE_HZ
    edge = np.clip(np.minimum(time_s - ONSET_S, OFFSET_S - time_s) / 0.002, 0, 1)
    return np.asarray(edge * level * np.sin(phase))


def time_in_pulse() -> Sound:
    """From 0 at its onset to 1 at its offset."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    return np.asarray(np.clip((time_s - ONSET_S) / (OFFSET_S - ONSET_S), 0, 1))


def struck() -> Sound:
    """A sine that rings out by 20 dB in the length of a pulse, and goes on doing so."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    since_s = time_s - ONSET_S
    level = np.where(since_s > 0, 10 ** (-since_s / (OFFSET_S - ONSET_S)), 0)
    return np.asarray(level * np.sin(2 * np.pi * PITCH_HZ * time_s))


def in_hiss(sound: Sound, level: float = 0.01) -> NDArray[np.int16]:
    """White noise beneath."""
    hiss = np.random.default_rng(1).normal(0, level, len(sound))
    mixed = sound + hiss
    return np.asarray(10_000 * mixed / np.abs(mixed).max(), dtype=np.int16)


def seen(sound: Sound, level: float = 0.01, told: Pulse | None = None) -> Traits:
    found = traits(told or pulse(), in_hiss(sound, level), RATE_HZ, 0.0)
    assert found is not None
    return found


BUZZER = tone(PITCH_HZ)
BIRD = tone(PITCH_HZ * (1 + 0.01 * np.sin(2 * np.pi * 2 * time_in_pulse())))
WHISTLE = tone(PITCH_HZ * (0.99 + 0.02 * time_in_pulse()))
BELL = struck()


def test_a_buzzer_holds_its_pitch_to_a_thousandth() -> None:
    assert np.exp(seen(BUZZER).wander) < 1e-3
    assert np.exp(seen(BUZZER).glide) < 1e-3


def test_a_vibrato_of_one_percent_wanders_by_as_much() -> None:
    """The deviation of a sine is its amplitude over the root of two: 0.7 %, smoothed over 20 ms."""
    assert 0.003 < np.exp(seen(BIRD).wander) < 0.01 / 2**0.5


def test_a_glide_is_as_wide_as_the_pitch_moves() -> None:
    """Two percent, but for the steps at its ends that are left out."""
    assert np.exp(seen(WHISTLE).glide) == pytest.approx(0.02, rel=0.15)


def swinging(width: float) -> Sound:
    """A tone whose phase swings by so many radians to either side, three times."""
    swings_hz = 3 / (OFFSET_S - ONSET_S)
    return tone(PITCH_HZ - width * swings_hz * np.sin(2 * np.pi * 3 * time_in_pulse()))


def test_a_phase_is_as_restless_as_it_swings_wide() -> None:
    """The deviation of a sine is its amplitude over the root of two, less what 20 ms take of it."""
    narrow, wide = (np.exp(seen(swinging(width)).unrest) - 0.01 for width in (0.2, 0.4))
    assert 0.85 < narrow / (0.2 / 2**0.5) < 1
    assert wide / narrow == pytest.approx(2, rel=0.02)


def test_a_bell_falls_as_fast_as_it_rings_out() -> None:
    """20 dB in 0.3 s, of which the loudest 9 dB are looked at; a buzzer does not."""
    assert seen(BELL).drift_db_s == pytest.approx(20 / 0.3, rel=0.1)
    assert seen(BUZZER).drift_db_s < 3


def test_a_tone_stands_over_the_noise_beside_it_by_its_ratio() -> None:
    """Four times as much noise is 12 dB; so for what is left of it."""
    quiet, loud = seen(BUZZER, 0.25), seen(BUZZER, 1.0)
    assert quiet.beside_db - loud.beside_db == pytest.approx(12, abs=2)
    assert quiet.left_db - loud.left_db == pytest.approx(12, abs=2)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_how_long_a_tone_sounded_before_it_is_a_share_of_what_is_known(share: float) -> None:
    """Known are 0.45 s, up to 50 ms before the onset."""
    begin_s = ONSET_S - 0.05 - share * 0.45
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    sounds = (time_s >= begin_s) & (time_s < ONSET_S - 0.05) if share else np.zeros_like(time_s)
    said = opinion(
        pulse(), in_hiss(BUZZER + sounds * np.sin(2 * np.pi * PITCH_HZ * time_s)), RATE_HZ, 0.0
    )
    assert said is not None
    assert said.before == pytest.approx(share, abs=0.05)


def test_another_new_tone_is_told_by_its_level_but_no_partial() -> None:
    assert seen(BUZZER + 0.1 * tone(1.37 * PITCH_HZ)).other_db == pytest.approx(-20, abs=1)
    assert seen(BUZZER + 0.5 * tone(3 * PITCH_HZ)).other_db < -25


def test_a_tone_that_was_there_before_is_no_new_one() -> None:
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    hum = 0.3 * np.sin(2 * np.pi * 1_370 * time_s)
    assert seen(BUZZER + hum).other_db < seen(BUZZER + 0.3 * tone(1_370)).other_db - 5


def test_without_a_told_pitch_it_is_the_strongest() -> None:
    assert seen(BUZZER, told=pulse(pitch_hz=0.0)) == seen(BUZZER)


@pytest.mark.parametrize("other", [BIRD, WHISTLE, BELL])
def test_a_buzzer_is_believed_sooner_than_what_is_alive_or_struck(other: Sound) -> None:
    buzzer = opinion(pulse(), in_hiss(BUZZER, 0.1), RATE_HZ, 0.0)
    alive = opinion(pulse(), in_hiss(other, 0.1), RATE_HZ, 0.0)
    assert buzzer is not None
    assert alive is not None
    assert buzzer.log_odds > alive.log_odds + 0.5


def test_no_opinion_outweighs_everything() -> None:
    assert weighed(Traits(-9, -9, -4, 99, 99, 99, 99, -40, 0)) <= MOST
    assert weighed(Traits(0, 0, 1, -9, 0, -9, 0, 30, 200)) >= -MOST


@pytest.mark.parametrize(
    ("first_s", "last_s"),
    [
        (ONSET_S - 0.1, SECONDS),  # too little before
        (0.0, OFFSET_S - 0.1),  # not all of it
        (ONSET_S + 0.1, SECONDS),
    ],
)
def test_without_its_sound_there_is_no_opinion(first_s: float, last_s: float) -> None:
    sound = in_hiss(BUZZER)[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)]
    assert opinion(pulse(), sound, RATE_HZ, first_s) is None


def test_a_click_at_its_edge_is_no_tone_to_judge() -> None:
    clicks = np.zeros(round(SECONDS * RATE_HZ))
    clicks[round((ONSET_S - 0.018) * RATE_HZ)] = 1.0
    sound = np.asarray(10_000 * clicks, dtype=np.int16)
    assert opinion(pulse(ONSET_S, ONSET_S + 0.005), sound, RATE_HZ, 0.0) is None


def test_digital_silence_around_a_tone_is_no_trouble() -> None:
    said = opinion(pulse(), np.asarray(10_000 * BUZZER, dtype=np.int16), RATE_HZ, 0.0)
    assert said is not None
    assert 0 < said.log_odds <= MOST


def test_what_lasts_longer_than_any_beep_is_not_asked_of() -> None:
    long = pulse(2.0, 2.0 + LONGEST_S + 0.1)
    assert span_to_ask_of(long) is None
    assert opinion(long, in_hiss(BUZZER), RATE_HZ, 0.0) is None
    assert RecentSound(Deaf()).opinion(long) is None


def test_a_tone_that_goes_on_is_not_taken_for_a_beep_that_is_over() -> None:
    """A motor that starts: the network soon believes it no longer, and a pulse ends."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    begins = np.clip((time_s - ONSET_S) / 0.002, 0, 1) * np.sin(2 * np.pi * PITCH_HZ * time_s)
    said = opinion(pulse(), in_hiss(begins), RATE_HZ, 0.0)
    over = opinion(pulse(), in_hiss(BUZZER), RATE_HZ, 0.0)
    assert said is not None
    assert over is not None
    assert said.log_odds <= 0 < over.log_odds
    assert said.left_db < 3 < 20 < over.left_db


RUBBISH = st.sampled_from(["nothing", "one value", "loudest", "a click", "steps", "silent pulse"])


def rubbish(kind: str) -> NDArray[np.int16]:
    """What a broken microphone or a gate leaves of a recording."""
    sound = np.zeros(round(SECONDS * RATE_HZ), dtype=np.int16)
    if kind == "one value":
        sound[:] = 7
    elif kind == "loudest":
        sound[::2], sound[1::2] = 32_767, -32_768
    elif kind == "a click":
        sound[round((ONSET_S + 0.1) * RATE_HZ)] = 32_767
    elif kind == "steps":
        sound[:] = np.repeat([-32_768, 32_767], len(sound) // 2)
    elif kind == "silent pulse":
        sound[:] = np.random.default_rng(2).normal(0, 3_000, len(sound))
        sound[round(ONSET_S * RATE_HZ) : round((OFFSET_S + 0.5) * RATE_HZ)] = 0
    return sound


@settings(max_examples=60, deadline=None)
@given(
    kind=RUBBISH,
    length_s=st.floats(0.0, 3.2),
    pitch_hz=st.sampled_from([0.0, 1.0, 300.0, 2_000.0, 7_999.0, 20_000.0]),
)
def test_of_rubbish_there_is_an_opinion_or_none(
    kind: str, length_s: float, pitch_hz: float
) -> None:
    said = opinion(pulse(ONSET_S, ONSET_S + length_s, pitch_hz), rubbish(kind), RATE_HZ, 0.0)
    assert said is None or (-MOST <= said.log_odds <= MOST and np.isfinite(said.left_db))


def test_of_what_sounds_only_for_a_moment_beside_the_pulse_there_is_no_opinion() -> None:
    sound = np.zeros(round(SECONDS * RATE_HZ), dtype=np.int16)
    sound[round((ONSET_S + 0.05) * RATE_HZ)] = 20_000
    short = pulse(ONSET_S, ONSET_S + 0.03)
    assert opinion(short, sound, RATE_HZ, 0.0) is None
    sound[round(ONSET_S * RATE_HZ) : round((ONSET_S + 0.03) * RATE_HZ) : 8] = 20_000
    assert opinion(short, sound, RATE_HZ, 0.0) is not None


def test_nothing_was_heard_yet() -> None:
    assert RecentSound(Deaf()).opinion(pulse()) is None


def test_the_opinion_is_the_same_wherever_the_sound_begins() -> None:
    sound = in_hiss(BUZZER)
    for first_s in (0.0, 0.5, 1.4):
        said = opinion(pulse(), sound[round(first_s * RATE_HZ) :], RATE_HZ, first_s)
        assert said == opinion(pulse(), sound, RATE_HZ, 0.0)


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, round(SECONDS * RATE_HZ) - 1), max_size=8),
    ahead=st.integers(2_200, 8_000),
)
def test_the_opinion_is_the_same_however_the_recording_is_cut(cuts: list[int], ahead: int) -> None:
    """Asked as soon as its last sample is there, with what is known of the sound after it."""
    sound = in_hiss(BIRD, 0.1)
    recent = RecentSound(Deaf())
    edges = [0, *sorted(set(cuts)), len(sound)]
    said = None
    for start, end in itertools.pairwise(edges):
        recent.add(sound[start:end], ahead=sound[end : end + ahead])
        if said is None and end >= OFFSET_S * RATE_HZ:
            said = recent.opinion(pulse())
    assert said == WholeSound(sound, Deaf()).opinion(pulse())


def test_old_sound_is_let_go() -> None:
    """Stretch after stretch; what is older than is kept has no opinion any more."""
    recent = RecentSound(Deaf())
    sound = in_hiss(BUZZER)
    recent.add(sound)
    assert recent.opinion(pulse()) == WholeSound(sound, Deaf()).opinion(pulse())
    for _ in range(round(KEPT_S / SECONDS) + 2):
        recent.add(sound)
    assert recent.opinion(pulse()) is None
    newest_s = SECONDS * (round(KEPT_S / SECONDS) + 2)
    assert recent.opinion(pulse(newest_s + ONSET_S, newest_s + OFFSET_S)) is not None
