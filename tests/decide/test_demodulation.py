"""A tone at its own pitch stands still, and is half as large as its peak."""

import numpy as np
import pytest

from beepwatch.decide.demodulation import STEP_S, demodulated, smoothed

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


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 64, 65, 1_226])
def test_a_tone_beside_the_pitch_has_turned_by_the_same_angle_more_in_every_step(
    steps: int,
) -> None:
    """By half a turn, as 100 Hz are in 5 ms."""
    time_s = np.arange(steps * 80) / RATE_HZ
    sound = (10_000 * np.sin(2 * np.pi * 2_000.0 * time_s)).astype(np.int16)
    (tone,) = demodulated(sound, (1_900.0,), RATE_HZ)
    turned = tone * (-1.0) ** np.arange(steps)
    assert np.abs(turned - turned[0]).max() < 1e-3 * np.abs(turned[0])


@pytest.mark.parametrize("steps", [7, 11, 13])
def test_each_tone_is_smoothed_by_itself_under_a_hann_window(steps: int) -> None:
    """One step that sounds becomes the window, and half of it where the sound ends."""
    tones = np.zeros((2, 40), dtype=np.complex64)
    tones[0, 20] = 3 + 4j
    tones[1, 0] = 1j
    means = smoothed(tones, steps)
    window = np.sin(np.pi * np.arange(1, steps + 1) / (steps + 1)) ** 2
    window /= window.sum()
    half = steps // 2
    assert means.shape == tones.shape
    assert means[0, 20 - half : 21 + half] == pytest.approx((3 + 4j) * window)
    assert means[1, : half + 1] == pytest.approx(1j * window[half:])
    assert np.count_nonzero(np.abs(means) > 1e-12) == steps + half + 1
