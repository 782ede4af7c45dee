"""Windows begin on exact samples, whatever the driver, the rate and the losses."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.capture.windows import Cut, Resampler, StreamTime, WindowCutter
from tests.capture.sounds import RATE_HZ, block, loudest_hz, noise, sine

SOUND = np.rint(noise(1.3, 3_000, seed=1)).astype(np.int16)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def cut_up(sound: NDArray[np.int16], cuts: list[int], *, from_hz: int = RATE_HZ) -> list[Cut]:
    """All windows of 0.3 s every 0.1 s of `sound`, handed over in blocks of these sizes."""
    cutter = WindowCutter(from_hz=from_hz, rate_hz=RATE_HZ, window_s=0.3, hop_s=0.1)
    windows: list[Cut] = []
    for part in np.split(sound, np.minimum(np.cumsum(cuts, dtype=int), sound.size)):
        windows += cutter.push(block(part, from_hz))
    return windows + list(cutter.finish())


def as_values(windows: list[Cut]) -> list[tuple[int, int, bytes, bytes, int]]:
    return [
        (cut.sequence, cut.first_sample, cut.pcm.tobytes(), cut.fresh.tobytes(), cut.lost_samples)
        for cut in windows
    ]


block_cuts = st.lists(st.integers(0, 7_000), max_size=30)


@settings(max_examples=50)
@given(cuts=block_cuts)
def test_windows_do_not_depend_on_the_blocks(cuts: list[int]) -> None:
    assert as_values(cut_up(SOUND, cuts)) == as_values(cut_up(SOUND, []))


@settings(max_examples=50)
@given(cuts=block_cuts, from_hz=st.sampled_from([8_000, 44_100, 48_000]))
def test_windows_do_not_depend_on_the_blocks_through_the_resampler(
    cuts: list[int], from_hz: int
) -> None:
    assert as_values(cut_up(SOUND, cuts, from_hz=from_hz)) == as_values(
        cut_up(SOUND, [], from_hz=from_hz)
    )


@settings(max_examples=50)
@given(samples=st.integers(1, SOUND.size))
def test_fresh_samples_joined_are_the_sound_itself(samples: int) -> None:
    fresh = np.concatenate([cut.fresh for cut in cut_up(SOUND[:samples], [])])

    assert fresh.tobytes() == SOUND[:samples].tobytes()


def test_each_window_holds_the_samples_that_its_number_says() -> None:
    for cut in cut_up(SOUND, [333] * 40)[:-1]:
        expected = SOUND[cut.first_sample : cut.first_sample + 4_800]
        assert cut.first_sample == 1_600 * cut.sequence
        np.testing.assert_array_equal(cut.pcm, expected)


def test_the_beginning_of_a_window_is_what_has_come_of_it_in_whole_steps() -> None:
    """6,000 samples: a window up to 4,800, then 4,400 of the next, of which 1,200 are new."""
    cutter = WindowCutter(from_hz=RATE_HZ, rate_hz=RATE_HZ, window_s=0.3, hop_s=0.1)
    (first,) = cutter.push(block(SOUND[:6_000]))
    beginning = cutter.beginning(step_s=0.04)
    (second,) = cutter.push(block(SOUND[6_000:6_400]))

    assert (first.sequence, beginning.sequence, second.sequence) == (0, 1, 1)
    assert (beginning.first_sample, second.first_sample) == (1_600, 1_600)
    np.testing.assert_array_equal(beginning.pcm, SOUND[1_600 : 1_600 + 3_840])
    np.testing.assert_array_equal(beginning.fresh, SOUND[4_800 : 1_600 + 3_840])
    np.testing.assert_array_equal(second.fresh, SOUND[4_800:6_400])


def test_the_end_of_the_sound_comes_as_one_padded_window() -> None:
    """1.25 s: the last whole window ends at 1.2 s, the padded one begins a hop later."""
    windows = cut_up(SOUND[:20_000], [])

    assert [cut.first_sample for cut in windows][-2:] == [14_400, 16_000]
    np.testing.assert_array_equal(windows[-1].pcm[:4_000], SOUND[16_000:20_000])
    assert not windows[-1].pcm[4_000:].any()


def test_a_sound_shorter_than_a_window_is_one_padded_window() -> None:
    (only,) = cut_up(SOUND[:100], [])

    assert only.pcm.size == 4_800
    np.testing.assert_array_equal(only.pcm[:100], SOUND[:100])


def test_no_padded_window_when_the_last_one_ends_with_the_sound() -> None:
    assert len(cut_up(SOUND[:4_800], [])) == 1


def test_no_sound_gives_no_window() -> None:
    assert cut_up(SOUND[:0], []) == []


def test_a_lost_stretch_is_zeros_of_its_length_and_counted_once() -> None:
    cutter = WindowCutter(from_hz=RATE_HZ, rate_hz=RATE_HZ, window_s=0.3, hop_s=0.1)
    windows = list(cutter.push(block(SOUND[:2_000])))
    windows += cutter.push(block(SOUND[2_000:6_000], lost_frames=800))

    np.testing.assert_array_equal(windows[0].pcm[:2_000], SOUND[:2_000])
    assert not windows[0].pcm[2_000:2_800].any()
    np.testing.assert_array_equal(windows[0].pcm[2_800:], SOUND[2_000:4_000])
    assert [cut.lost_samples for cut in windows] == [800, 0]


def test_lost_samples_are_counted_at_the_windows_rate() -> None:
    """480 frames at 48 kHz are 10 ms, 160 samples at 16 kHz."""
    cutter = WindowCutter(from_hz=48_000, rate_hz=RATE_HZ, window_s=0.3, hop_s=0.1)
    cutter_windows = list(cutter.push(block(SOUND, 48_000, lost_frames=480)))

    assert cutter_windows[0].lost_samples == 160
    assert cutter.heard_s == pytest.approx((SOUND.size + 480) / 48_000)


def test_windows_may_follow_without_overlap() -> None:
    cutter = WindowCutter(from_hz=RATE_HZ, rate_hz=RATE_HZ, window_s=0.5, hop_s=0.5)

    assert [cut.first_sample for cut in cutter.push(block(SOUND))] == [0, 8_000]


@pytest.mark.parametrize("from_hz", [8_000, 22_050, 44_100, 48_000])
def test_the_resampler_keeps_pitch_and_duration(from_hz: int) -> None:
    tone = block(sine(1_000, 2.0, peak=0.5, rate_hz=from_hz), from_hz).mono()

    resampler = Resampler(from_hz, RATE_HZ)
    resampled = np.concatenate([resampler.push(tone), resampler.push(tone[:0], last=True)])

    assert abs(resampled.size - 32_000) <= 1
    assert loudest_hz(resampled, RATE_HZ) == pytest.approx(1_000, abs=1)


@pytest.mark.parametrize("from_hz", [8_000, 22_050, 44_100, 48_000])
def test_the_last_samples_come_out_of_the_resampler_too(from_hz: int) -> None:
    """Its filter holds some milliseconds back until it is told that there are no more."""
    tone = sine(1_000, 1.0, peak=0.5, rate_hz=from_hz)

    fresh = np.concatenate([cut.fresh for cut in cut_up(tone, [], from_hz=from_hz)])

    assert abs(fresh.size - RATE_HZ) <= 1


def test_samples_at_the_same_rate_are_not_touched() -> None:
    every_value = np.arange(-32_768, 32_768).astype(np.int16)

    passed = Resampler(RATE_HZ, RATE_HZ).push(block(every_value).mono())

    np.testing.assert_array_equal(passed, every_value)


def test_overshoot_of_the_resampler_is_limited_rather_than_wrapped() -> None:
    square = np.sign(sine(100, 0.5, peak=1, rate_hz=44_100)).astype(np.float32)

    resampled = Resampler(44_100, RATE_HZ).push(square)

    assert resampled.max() == 32_767
    assert resampled.min() == -32_768


def test_a_recordings_time_is_its_own() -> None:
    time = StreamTime(100.0, NOON)

    assert time.at(2.5) == (102.5, NOON + timedelta(seconds=2.5))


def drifting(seconds: int, ppm: float, jitter_s: float = 0.0) -> StreamTime:
    """A stream followed once a second whose sound card runs slow by `ppm`."""
    time = StreamTime(0.0, NOON)
    late = np.random.default_rng(3).uniform(0, jitter_s, seconds)
    for second in range(1, seconds + 1):
        true_s = second * (1 + ppm * 1e-6)
        time.follow(second, true_s + late[second - 1], true_s, NOON + timedelta(seconds=true_s))
    return time


@pytest.mark.parametrize("ppm", [-100, 100])
def test_a_sound_cards_drift_does_not_add_up(ppm: float) -> None:
    """An hour at 100 ppm would be 0.36 s; late arrivals of up to 50 ms are not mistaken for it."""
    time = drifting(3_600, ppm, jitter_s=0.05)

    mono_s, utc = time.at(3_600)

    true_s = 3_600 * (1 + ppm * 1e-6)
    assert mono_s == pytest.approx(true_s, abs=0.01)
    assert (utc - NOON).total_seconds() == pytest.approx(true_s, abs=0.01)


def test_one_window_moves_the_time_by_half_a_millisecond_at_most() -> None:
    time = StreamTime(0.0, NOON)

    time.follow(1.0, 1.8, 1.8, NOON + timedelta(seconds=1.8))

    assert time.at(0)[0] == pytest.approx(0.0005)


def test_a_beginning_that_was_dated_too_late_is_mended_and_no_further() -> None:
    """The first block is read late where the machine is busy; the next ones tell."""
    time = StreamTime(0.005, NOON)

    for second in range(1, 100):
        time.follow(second, second, second, NOON + timedelta(seconds=second))
        assert time.at(0)[0] > -1e-6

    assert time.at(0)[0] == pytest.approx(0, abs=1e-6)


def test_a_wall_clock_that_is_set_is_followed_at_once() -> None:
    """As when NTP comes after a start in 1970: only the time of day jumps."""
    time = StreamTime(0.0, datetime(1970, 1, 1, tzinfo=UTC))

    time.follow(1.0, 1.0, 1.0, NOON)

    assert time.at(1.0) == (1.0, NOON)
