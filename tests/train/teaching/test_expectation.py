"""How false alarms are extrapolated, on scores whose distribution is known."""

import numpy as np
import pytest

from beepwatch.classify.heads import FEATURES
from beepwatch.train.teaching.expectation import (
    AT_MOST,
    MOST_PER_MONTH,
    REPEATED,
    UNMET,
    WANTED_PER_MONTH,
    Rates,
    rates_of,
)
from beepwatch.train.teaching.negatives import FRAMES
from tests.train.teaching.test_negatives import bank

ONE = np.eye(1, FEATURES)[0]  # a head that reads the first feature


def rates(scale: float, per_month: float, events: int = 4_000) -> Rates:
    """Events whose highest scores fall exponentially."""
    scores = np.random.default_rng(4).exponential(scale, events)
    seen = np.zeros((events, FRAMES, FEATURES), dtype=np.float32)
    seen[:, :, 0] = scores[:, None]
    return Rates(
        seen=seen,
        per_month=np.full(events, per_month / events),
        kind=np.zeros(events, dtype=np.uint8),
        kinds=("a bell",),
        half=np.zeros(events, dtype=np.intp),
    )


def test_beyond_what_was_seen_the_rate_falls_as_it_did() -> None:
    """1,000 a month at 0, scale 1: at 12 it is 1,000 / e^12."""
    several = rates(1.0, 1_000.0)
    peaks = several.peaks(ONE, 0.0)
    assert np.log(several.at(peaks, 12.0)) == pytest.approx(np.log(1_000) - 12, abs=1.2)
    assert several.at(peaks, 1.0) == pytest.approx(1_000 / np.e, rel=0.05)


def test_where_there_is_room_the_threshold_leaves_less_than_wanted() -> None:
    several = rates(1.0, 1_000.0)
    threshold = several.threshold(several.peaks(ONE, 0.0), np.full(40, 20.0))
    assert several.at(several.peaks(ONE, 0.0), threshold) <= WANTED_PER_MONTH
    assert threshold < 20


def test_where_there_is_none_what_is_to_be_caught_decides_as_far_as_is_borne() -> None:
    several = rates(1.0, 1_000.0)
    for peak in (4.0, -3.0):
        threshold = several.threshold(several.peaks(ONE, 0.0), np.full(40, peak))
        assert threshold >= peak
        assert several.at(several.peaks(ONE, 0.0), threshold) <= MOST_PER_MONTH * 1.01
    caught = several.threshold(several.peaks(ONE, 0.0), np.full(40, 4.0))
    assert caught == pytest.approx(4.0, abs=0.01)


def test_a_sound_that_is_taken_for_this_one_is_the_nearest_confusion() -> None:
    several = rates(1.0, 1_000.0)
    peaks = several.peaks(ONE, 0.0)
    expected = several.expected(peaks, 12.0, (3, 3), {"dryer": 0.4, "oven": 0.0})
    assert expected.nearest == "dryer"
    assert "dryer" in expected.advice
    alone = several.expected(peaks, 12.0, (3, 3), {"dryer": 0.0})
    assert alone.nearest == "a bell"
    assert alone.advice == ""


def test_what_is_told_is_the_most_that_is_likely() -> None:
    several = rates(1.0, 1_000.0)
    peaks = several.peaks(ONE, 0.0)
    told = several.expected(peaks, 3.0, (3, 3), {}).false_alarms_per_month
    assert told == pytest.approx(AT_MOST * several.at(peaks, 3.0), rel=0.01)


def test_an_event_of_the_bank_counts_as_often_as_others_would_come() -> None:
    """One event in 2 h at 1 kHz, in as much of an octave as lies about that pitch."""
    at_its_pitch = 1 / 2.0 / (0.25 * np.sqrt(2 * np.pi))  # an hour and octave
    octaves = np.log2(1.024 / 0.976)  # 2 % either way, and the last step but one once more
    found = rates_of(bank((1_000.0,)), (1_000.0,), 0.004).per_month.sum()
    assert found == pytest.approx(at_its_pitch * octaves * 720 * UNMET, rel=0.02)


def test_two_pulses_of_what_is_no_beep_seldom_come() -> None:
    one, two = (rates_of(bank(), (1_000.0,), 0.004, pulses=pulses) for pulses in (1, 2))
    assert two.per_month == pytest.approx(REPEATED * one.per_month)
