"""A pulse is played to the network again, slower and faster."""

from datetime import UTC, datetime
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers
from beepwatch.decide.hindsight import WholeSound
from beepwatch.decide.pulses import Pulse
from beepwatch.decide.recent import RecentSound
from beepwatch.decide.rehearing import HEARD_S, MOST_MORE, SURE, log_odds_again, span_to_hear

RATE_HZ = 16_000
ONSET_S, OFFSET_S = 2.0, 2.3
SECONDS = 4.0


class Steady:
    """Gives every frame of what it is played the same score, and keeps what that was."""

    labels: tuple[str, ...] = ("other", "beep")
    rate_hz = RATE_HZ
    frame_s = 0.02
    context_s = 0.32
    history_s = 1.5

    def __init__(self, score: float) -> None:
        self.played: list[NDArray[np.int16]] = []
        self._score = score

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """The first label never sounds."""
        self.played.append(pcm)
        scores = self.scores(len(pcm) // round(self.frame_s * self.rate_hz))
        none = np.zeros((len(scores), 0), dtype=np.float32)
        return Answers(np.stack([0 * scores, scores], axis=1), none, none)

    def scores(self, frames: int) -> NDArray[np.float32]:
        return np.full(frames, self._score, dtype=np.float32)


def pulse(score: float = 0.6, onset_s: float = ONSET_S, offset_s: float = OFFSET_S) -> Pulse:
    return Pulse(
        onset=datetime(2026, 3, 1, tzinfo=UTC),
        onset_s=onset_s,
        duration_s=offset_s - onset_s,
        peak_score=score,
        pitches_hz=(2_000.0,),
    )


def tone(pitch_hz: float = 2_000.0) -> NDArray[np.int16]:
    """In the pulse alone."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    sounds = (time_s >= ONSET_S) & (time_s < OFFSET_S)
    return np.asarray(8_000 * sounds * np.sin(2 * np.pi * pitch_hz * time_s)).astype(np.int16)


def again(one: Pulse, network: Steady, sound: NDArray[np.int16] | None = None) -> float:
    return log_odds_again(one, tone() if sound is None else sound, 0.0, network, column=1)


def odds(probability: float) -> float:
    return log(probability / (1 - probability))


def test_what_scores_as_before_is_as_likely_as_before() -> None:
    assert again(pulse(0.6), Steady(0.6)) == pytest.approx(0.0, abs=1e-6)


def test_of_three_hearings_the_mean_of_the_log_odds_counts() -> None:
    expected = 2 / 3 * (odds(0.2) - odds(0.6))
    assert again(pulse(0.6), Steady(0.2)) == pytest.approx(expected, abs=1e-5)


def test_no_hearing_is_surer_than_sure() -> None:
    expected = 2 / 3 * (odds(SURE) - odds(0.6))
    assert again(pulse(0.6), Steady(0.0)) == pytest.approx(expected, abs=1e-5)


def test_what_was_missed_at_first_gains_little() -> None:
    assert again(pulse(0.3), Steady(0.99)) == MOST_MORE


def test_it_is_played_a_tenth_slower_and_a_tenth_faster() -> None:
    network = Steady(0.6)
    again(pulse(), network)
    first_s, last_s = span_to_hear(pulse(), network)
    for sound, speed in zip(network.played, (0.9, 1.1), strict=True):
        assert len(sound) / RATE_HZ == pytest.approx((last_s - first_s) / speed, abs=0.01)
        power = np.abs(np.fft.rfft(sound)) ** 2
        loudest_hz = int(power.argmax()) * RATE_HZ / len(sound)
        assert loudest_hz == pytest.approx(2_000 * speed, rel=0.002)
        assert np.abs(sound).max() == pytest.approx(8_000, rel=0.1)


def test_a_pitch_that_is_faster_than_the_rate_holds_is_gone() -> None:
    """It does not come back as another."""
    network = Steady(0.6)
    again(pulse(), network, tone(7_700.0))
    slower, faster = network.played
    assert np.abs(slower[RATE_HZ:]).max() > 4_000
    assert np.abs(faster[RATE_HZ : -RATE_HZ // 10]).max() < 1_000


class Column(Steady):
    """Has the label that is asked of, and no other."""

    labels = ("beep",)

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        answers = super().answers(pcm)
        return Answers(answers.probabilities[:, 1:], answers.pitch_hz, answers.embedding)


class Where(Steady):
    """Hears what is loud."""

    def scores(self, frames: int) -> NDArray[np.float32]:
        pcm = self.played[-1][: frames * round(self.frame_s * self.rate_hz)].astype(np.float32)
        loud = np.abs(pcm).reshape(frames, -1).mean(axis=1) > 1_000
        return np.where(loud, np.float32(0.6), np.float32(0.01))


def test_the_pulse_is_looked_for_where_it_sounds_at_each_speed() -> None:
    assert again(pulse(0.6), Where(0.0)) == pytest.approx(0.0, abs=1e-6)
    elsewhere = pulse(0.6, OFFSET_S + 0.2, OFFSET_S + 0.4)
    assert again(elsewhere, Where(0.0)) == pytest.approx(2 / 3 * (odds(0.01) - odds(0.6)))


def test_of_a_long_one_its_beginning_is_heard() -> None:
    network = Steady(0.6)
    _first_s, last_s = span_to_hear(pulse(offset_s=ONSET_S + 2.5), network)
    assert last_s == pytest.approx(ONSET_S + HEARD_S + network.context_s)


@pytest.mark.parametrize("samples", [0, 98, 600])
def test_where_hardly_any_sound_is_left_nothing_is_heard_again(samples: int) -> None:
    network = Steady(0.1)
    assert again(pulse(), network, tone()[:samples]) == 0.0
    assert network.played == []


@settings(max_examples=30, deadline=None)
@given(length=st.integers(0, round(SECONDS * RATE_HZ)), start_s=st.floats(-1.0, 3.0))
def test_it_is_heard_again_wherever_its_sound_begins_and_ends(length: int, start_s: float) -> None:
    loudest = np.full(length, -32_768, dtype=np.int16)
    more = log_odds_again(pulse(0.6), loudest, start_s, Steady(0.2), column=1)
    assert more <= 0.0
    counted = [share * (odds(0.2) - odds(0.6)) for share in (0, 1 / 2, 2 / 3)]  # 0, 1, 2 hearings
    assert min(abs(more - one) for one in counted) < 1e-5


def test_a_recording_is_played_once_however_often_is_asked() -> None:
    network = Column(0.2)
    whole = WholeSound(tone(), network)
    expected = log_odds_again(pulse(), tone(), 0.0, Column(0.2), column=0)
    assert [whole.again(pulse()) for _ in range(3)] == [expected] * 3
    assert len(network.played) == 2
    assert np.array_equal(whole.sound, tone())
    whole.again(pulse(0.7, ONSET_S + 0.1))
    assert len(network.played) == 4


def test_what_was_said_of_a_pulse_of_a_recording_is_kept() -> None:
    whole = WholeSound(tone(), Column(0.2))
    said = whole.opinion(pulse())
    assert said is not None
    assert whole.opinion(pulse()) is said


def test_a_pulse_whose_sound_is_gone_is_not_heard_again() -> None:
    assert RecentSound(Column(0.2)).again(pulse()) == 0.0
