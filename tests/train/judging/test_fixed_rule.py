"""The rule hears its own tone, as its makers meant it to."""

import numpy as np
import pytest

from beepwatch.train.judging.fixed_rule import FixedRule, RuleEvidence, magnitudes
from tests.train.conftest import RATE_HZ, beeps


def to_int16(sound: np.ndarray) -> np.ndarray:
    """Full scale 1 to int16."""
    return np.round(sound * 32_767).astype(np.int16)


def test_the_fixed_rule_hears_its_own_tone_and_no_other() -> None:
    pcm = to_int16(beeps(2_000, [(1.0, 1.5), (2.0, 2.5), (8.0, 8.5)], 10.0))
    alarms = FixedRule(tone_hz=2_000).alarms(pcm, RATE_HZ)
    assert len(alarms) == 2
    assert alarms[0] == pytest.approx((1.0, 2.5), abs=0.06)
    assert alarms[1] == pytest.approx((8.0, 8.5), abs=0.06)
    assert FixedRule(tone_hz=3_000).alarms(pcm, RATE_HZ) == []


def test_an_alarm_has_a_pulse_for_each_beep() -> None:
    pcm = to_int16(beeps(2_000, [(1.0, 1.5), (2.0, 2.5)], 4.0))
    rule = FixedRule(tone_hz=2_000)
    evidence = RuleEvidence(rule=rule, excess_db=rule.excess_db(magnitudes(pcm, RATE_HZ), RATE_HZ))
    (alarm,) = evidence.at(6.0)
    assert np.array(alarm.pulses) == pytest.approx(np.array([(1.0, 1.5), (2.0, 2.5)]), abs=0.06)
    assert evidence.at(200.0) == []


def test_the_fixed_rule_waits_for_as_many_beeps_as_it_is_told_to() -> None:
    pcm = to_int16(beeps(2_000, [(1.0, 1.5), (2.0, 2.5)], 4.0))
    assert FixedRule(tone_hz=2_000, beeps_per_alarm=3).alarms(pcm, RATE_HZ) == []
    (alarm,) = FixedRule(tone_hz=2_000, beeps_per_alarm=2).alarms(pcm, RATE_HZ)
    assert alarm == pytest.approx((1.0, 2.5), abs=0.06)


def test_a_louder_band_below_silences_the_fixed_rule() -> None:
    loud = beeps(800, [(0.0, 4.0)], 4.0)
    pcm = to_int16(loud + 0.1 * beeps(2_000, [(1.0, 1.5)], 4.0))
    assert FixedRule(tone_hz=2_000).alarms(pcm, RATE_HZ) == []
