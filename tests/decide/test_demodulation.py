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


@pytest.mark.parametrize("rate_hz", [11_025, 16_000, 22_050, 44_100])
def test_at_any_rate_a_step_is_where_its_time_says(rate_hz: int) -> None:
    """After half a minute too: 5 ms of 22,050 Hz are 110.25 samples."""
    sound = np.zeros(30 * rate_hz, dtype=np.int16)
    first, last = round(29.2 * rate_hz), round(29.4 * rate_hz)
    time_s = np.arange(first, last) / rate_hz
    sound[first:last] = 10_000 * np.sin(2 * np.pi * 2_000.0 * time_s)
    (tone,) = demodulated(sound, (2_000.0,), rate_hz)
    sounding = np.flatnonzero(np.abs(tone) > 2_500)
    assert len(tone) in (5_999, 6_000)
    assert (sounding[0] * STEP_S, (sounding[-1] + 1) * STEP_S) == pytest.approx(
        (29.2, 29.4), abs=STEP_S
    )
    assert np.diff(np.unwrap(np.angle(tone[sounding]))) == pytest.approx(0, abs=0.05)


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
