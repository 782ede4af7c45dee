"""Detections are counted as a user would count them."""

from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.bundle import find_bundle
from beepwatch.train.dataset import DatasetError
from beepwatch.train.evaluation import System, episodes, evaluate, overlaps
from beepwatch.train.fixed_rule import FixedRule
from beepwatch.train.streams import beep_streams, joined, negative_streams
from tests.train.conftest import RATE_HZ, SPANS_S, beeps


def to_int16(sound: np.ndarray) -> np.ndarray:
    """Full scale 1 to int16."""
    return np.round(sound * 32_767).astype(np.int16)


def test_frames_over_the_threshold_are_one_episode_of_as_many_pulses() -> None:
    probabilities = np.zeros(250, dtype=np.float32)
    for start in (25, 50, 75):
        probabilities[start : start + 10] = 0.9
    (heard,) = episodes(probabilities, 0.04, RATE_HZ, 0.5)
    assert len(heard.pulses) == 3
    assert heard.onset_s == pytest.approx(1.0, abs=0.04)
    assert heard.offset_s == pytest.approx(3.4, abs=0.04)


def test_nothing_over_the_threshold_is_no_episode() -> None:
    assert episodes(np.full(100, 0.4, dtype=np.float32), 0.04, RATE_HZ, 0.5) == []


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((1.0, 2.0), True),
        ((0.0, 0.6), True),
        ((0.0, 0.4), False),
        ((5.4, 6), True),
        ((5.6, 6), False),
    ],
)
def test_a_detection_counts_within_half_a_second(span: tuple[float, float], expected: bool) -> None:
    assert overlaps(span, [(1.0, 2.0), (4.0, 5.0)]) is expected


def test_the_fixed_rule_hears_its_own_tone_and_no_other() -> None:
    pcm = to_int16(beeps(2_000, [(1.0, 1.5), (2.0, 2.5), (8.0, 8.5)], 10.0))
    alarms = FixedRule(tone_hz=2_000).alarms(pcm, RATE_HZ)
    assert len(alarms) == 2
    assert alarms[0] == pytest.approx((1.0, 2.5), abs=0.06)
    assert alarms[1] == pytest.approx((8.0, 8.5), abs=0.06)
    assert FixedRule(tone_hz=3_000).alarms(pcm, RATE_HZ) == []


def test_the_fixed_rule_waits_for_as_many_beeps_as_it_is_told_to() -> None:
    pcm = to_int16(beeps(2_000, [(1.0, 1.5), (2.0, 2.5)], 4.0))
    assert FixedRule(tone_hz=2_000, beeps_per_alarm=3).alarms(pcm, RATE_HZ) == []
    (alarm,) = FixedRule(tone_hz=2_000, beeps_per_alarm=2).alarms(pcm, RATE_HZ)
    assert alarm == pytest.approx((1.0, 2.5), abs=0.06)


def test_a_louder_band_below_silences_the_fixed_rule() -> None:
    loud = beeps(800, [(0.0, 4.0)], 4.0)
    pcm = to_int16(loud + 0.1 * beeps(2_000, [(1.0, 1.5)], 4.0))
    assert FixedRule(tone_hz=2_000).alarms(pcm, RATE_HZ) == []


def test_beep_streams_hold_each_beep_where_they_say(data: Path) -> None:
    streams = list(beep_streams(data, "dev", RATE_HZ, (20.0, 0.0), 2, 1))
    assert [stream.snr_db for stream in streams] == [20.0, 20.0, 0.0, 0.0]
    first = streams[0]
    assert first.device == "dev timer"
    assert first.is_pattern
    assert np.array(first.pulses) == pytest.approx(np.array(SPANS_S) + 4.0)
    onset, offset = (round(t * RATE_HZ) for t in first.pulses[1])
    inside = np.abs(np.fft.rfft(first.pcm[onset:offset]))
    assert np.argmax(inside) * RATE_HZ / (offset - onset) == pytest.approx(1_700, abs=5)


def test_a_split_never_hears_another_splits_sounds(data: Path) -> None:
    (negative,) = negative_streams(data, "test", RATE_HZ)
    assert negative.category == "household"
    assert len(negative.pcm) == 6 * RATE_HZ


def test_a_split_without_beeps_is_refused(data: Path) -> None:
    with pytest.raises(DatasetError, match=r"split 'summer'.* has 0 recorded beeps"):
        next(beep_streams(data, "summer", RATE_HZ, (20.0,), 1, 1))


def test_joined_recordings_overlap_by_their_fades() -> None:
    ones = np.ones(RATE_HZ, dtype=np.float32)
    whole = joined([ones, ones, np.ones(10, dtype=np.float32)], RATE_HZ)
    assert len(whole) == 2 * RATE_HZ - RATE_HZ // 4
    assert whole[RATE_HZ // 2 : -RATE_HZ // 2] == pytest.approx(1.0, abs=1e-5)


def test_an_interval_of_no_false_alarms_is_that_of_poisson() -> None:
    """None in an hour: at most 3.69 with 97.5 % confidence."""
    system = System(
        name="quiet", patterns={}, singles={}, false_alarms={"household": 0.0, "other": 2.0},
        hours={"household": 1.0, "other": 0.5},
    )  # fmt: skip
    assert system.per_hour(hard=False) == 0
    assert system.per_hour(hard=True) == 4
    assert system.interval_per_hour(hard=False) == pytest.approx((0, 3.689), abs=1e-3)


def test_an_evaluation_names_its_numbers_and_prints_them(data: Path) -> None:
    evaluation = evaluate(find_bundle("beep"), data, "dev", repeats=1)
    quality = evaluation.quality()
    assert quality["dev_patterns_20_db"] == 1.0
    assert quality["dev_false_alarms_per_hour"] == 0.0
    assert quality["dev_onset_error_ms"] < 60
    assert "fixed-frequency rule" in evaluation.table()
    assert "household 0 in 0.00 h" in evaluation.table()
