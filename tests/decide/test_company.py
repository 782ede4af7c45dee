"""What comes amid many tones that nobody believed has to be surer, and only that."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from beepwatch.decide.company import (
    LATELY_S,
    MOST_KEPT,
    MOST_OF_A_PITCH,
    STEEPNESS,
    USUAL,
    Company,
)
from beepwatch.decide.episodes import EpisodeTracker
from beepwatch.decide.pulses import Opinion, Pulse
from tests.decide.streams import FRAME_S, episodes, scores

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWN_HZ = 2_000.0
SILENCE_HZ = 0.0
AT_S = 100.0


def pulse(onset_s: float, pitch_hz: float) -> Pulse:
    return Pulse(
        onset=NOON, onset_s=onset_s, duration_s=0.2, peak_score=0.5, pitches_hz=(pitch_hz,)
    )


def heard(*others: Pulse, believed: Sequence[Pulse] = ()) -> float:
    """What all these take from a pulse at `AT_S`."""
    company = Company()
    for other in others:
        company.hear(other, believed)
    return company.log_odds(pulse(AT_S, OWN_HZ))


def tune(tones: int, *, until_s: float = AT_S, every_s: float = 0.5) -> list[Pulse]:
    """So many, each a tone higher than the one before."""
    begin_s = until_s - tones * every_s
    return [pulse(begin_s + n * every_s, 400 * 1.05**n) for n in range(tones)]


def test_who_is_alone_or_among_a_few_loses_nothing() -> None:
    assert heard() == 0
    assert heard(*tune(USUAL)) == 0


def test_the_more_tones_there_are_the_more_they_take() -> None:
    assert heard(*tune(USUAL + 1)) < 0
    assert heard(*tune(2 * USUAL)) == pytest.approx(-STEEPNESS * math.log(2))
    assert heard(*tune(4 * USUAL)) == pytest.approx(-STEEPNESS * math.log(4))


def test_its_own_pitch_is_no_company() -> None:
    assert heard(*(pulse(60 + n, OWN_HZ) for n in range(30))) == 0


def test_who_says_the_same_again_counts_for_a_few_only() -> None:
    again = [pulse(70 + n, 900.0) for n in range(30)]
    assert heard(*tune(USUAL, until_s=70.0), *again) == pytest.approx(
        -STEEPNESS * math.log((USUAL + MOST_OF_A_PITCH) / USUAL)
    )


def test_what_was_long_ago_is_forgotten() -> None:
    long_ago = tune(20, until_s=AT_S - LATELY_S)
    assert heard(*long_ago) == 0
    assert heard(*long_ago, *tune(USUAL)) == 0


def test_what_is_believed_by_now_does_not_count_whenever_that_was() -> None:
    others = tune(20)
    company = Company()
    for other in others[:-1]:
        company.hear(other, ())
    company.hear(others[-1], others[4:])
    assert company.log_odds(pulse(AT_S, OWN_HZ)) == 0


def test_of_very_many_the_newest_are_kept() -> None:
    newest = tune(MOST_KEPT, every_s=0.01)
    older = tune(100, until_s=AT_S - 1, every_s=0.01)
    assert heard(*older, *newest) == heard(*newest)


class Said:
    """A sound that says nothing either way, as far as it is at hand."""

    def opinion(self, pulse: Pulse) -> Opinion | None:
        return Opinion(0.0, 20.0, 0.0)

    def again(self, pulse: Pulse) -> float:
        return 0.0

    def is_regular(self, pulses: Sequence[Pulse]) -> bool:
        return False

    def likeness(self, pulses: Sequence[Pulse]) -> float | None:
        return None


def found(pitches_hz: Sequence[float], ear: Said | None) -> list[float]:
    """At which pitches episodes begin, of faint pulses of 0.2 s or silence every half second."""
    probabilities = np.zeros(20 + round(len(pitches_hz) * 0.5 / FRAME_S) + 20)
    pitch_hz = np.zeros((len(probabilities), 1))
    for number, hz in enumerate(pitches_hz):
        first = 20 + round(number * 0.5 / FRAME_S)
        probabilities[first : first + 5] = 0.2 * (hz != SILENCE_HZ)
        pitch_hz[first : first + 5] = hz
    tracker = EpisodeTracker({"beep": 0.5}, context_s=0.0, gap_s=1.0, ear=ear)
    window = scores(probabilities.tolist(), 0, pitches_hz=pitch_hz.tolist())
    heard = episodes(tracker.hear(window) + tracker.finish())
    return [episode.pulses[0].pitches_hz[0] for episode in heard]


def test_two_alike_are_an_episode_and_amid_a_tune_they_are_not() -> None:
    notes = [400 * 1.05**n for n in range(16)]
    assert found([OWN_HZ, OWN_HZ], Said()) == pytest.approx([OWN_HZ])
    assert found([*notes[:USUAL], OWN_HZ, OWN_HZ], Said()) == pytest.approx([OWN_HZ])
    assert found([*notes, OWN_HZ, OWN_HZ], Said()) == []


def test_several_appliances_may_call_one_after_another() -> None:
    """A pair of each, with a pause; were what is believed company, the last would be lost."""
    pitches = [600 * 1.2**n for n in range(10)]
    calls = [call for hz in pitches for call in (hz, hz, SILENCE_HZ, SILENCE_HZ, SILENCE_HZ)]
    assert found(calls, Said()) == pytest.approx(pitches)


def test_where_the_sound_is_not_at_hand_the_score_alone_counts() -> None:
    notes = [400 * 1.05**n for n in range(16)]
    assert found([*notes, OWN_HZ, OWN_HZ], None) == pytest.approx([OWN_HZ])
