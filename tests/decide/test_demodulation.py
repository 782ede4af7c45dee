"""A tone at its own pitch stands still, and is half as large as its peak."""

import numpy as np
import pytest

from beepwatch.decide.demodulation import STEP_S, demodulated

RATE_HZ = 16_000


def test_a_tone_at_the_pitch_does_not_turn_and_one_beside_it_turns_by_the_difference() -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    sound = (10_000 * np.sin(2 * np.pi * 2_020.0 * time_s)).astype(np.int16)
    at, below = demodulated(sound, (2_020.0, 2_000.0), RATE_HZ)
    assert at.shape == (200,)
    assert np.abs(at) == pytest.approx(5_000, rel=0.03)
    assert np.diff(np.unwrap(np.angle(at))) == pytest.approx(0, abs=0.05)
    turned = np.unwrap(np.angle(below))
    assert turned[-1] - turned[0] == pytest.approx(2 * np.pi * 20.0 * 199 * STEP_S, rel=1e-3)


def test_a_last_step_that_is_not_whole_is_left_out() -> None:
    assert demodulated(np.ones(239, np.int16), (1_000.0,), RATE_HZ).shape == (1, 2)
    assert demodulated(np.zeros(0, np.int16), (1_000.0,), RATE_HZ).shape == (1, 0)
