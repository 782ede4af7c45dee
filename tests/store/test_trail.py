"""Overlapping windows laid into the trail give back the stream, sample by sample."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.messages import Hum, Quiet, Window
from beepwatch.store.trail import AudioTrail

RATE_HZ = 1_000
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START_S = 500.0
# Every sample tells its place, and none is 0, so that filled gaps are seen.
STREAM = (np.arange(20_000) % 30_000 + 1).astype(np.int16)


def window(
    start: int, stop: int, *, stream_id: str = "a", later_s: float = 0.0, first: int | None = None
) -> Window:
    """Samples `start` to `stop` of the stream; `first` is their place in a stream opened later."""
    return Window(
        pcm=STREAM[start:stop].tobytes(),
        **_span(start if first is None else first, stream_id, later_s),
    )


def quiet(start: int, stop: int) -> Quiet:
    return Quiet(samples=stop - start, **_span(start, "a", 0.0))


def _span(first: int, stream_id: str, later_s: float) -> dict[str, Any]:
    at_s = first / RATE_HZ + later_s
    return {
        "stream_id": stream_id,
        "sequence": first,
        "first_sample": first,
        "rate_hz": RATE_HZ,
        "started_at": START + timedelta(seconds=at_s),
        "started_mono_s": START_S + at_s,
        "level_dbfs": -20.0,
        "lost_samples": 0,
        "source": "test",
    }


def sound(trail: AudioTrail, start: int, stop: int) -> NDArray[np.int16]:
    clip = trail.cut(START_S + start / RATE_HZ, START_S + stop / RATE_HZ)
    return np.zeros(0, np.int16) if clip is None else np.frombuffer(clip.pcm, np.int16)


def test_an_empty_trail_has_no_sound() -> None:
    assert AudioTrail(rate_hz=RATE_HZ, keep_s=4).cut(0.0, 1e9) is None


@given(
    starts=st.lists(st.integers(0, 900), min_size=1, max_size=30),
    length=st.integers(900, 3_000),
    cut=st.tuples(st.integers(-500, 20_000), st.integers(-500, 20_000)),
)
def test_any_cut_of_overlapping_windows_is_sample_exact(
    starts: list[int], length: int, cut: tuple[int, int]
) -> None:
    """Whatever the hops; what is older than the ring is gone, what is to come is not there."""
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=4)
    end = position = 0
    for hop in starts:
        trail.lay(window(position, min(position + length, len(STREAM))))
        end = max(end, min(position + length, len(STREAM)))
        position = min(position + hop, len(STREAM) - 1)
    start, stop = max(cut[0], end - 4_000, 0), min(cut[1], end)
    np.testing.assert_array_equal(sound(trail, *cut), STREAM[start : max(start, stop)])
    assert trail.end_s == pytest.approx(START_S + end / RATE_HZ)


@given(hops=st.lists(st.integers(100, 4_000), min_size=2, max_size=8), data=st.data())
def test_gaps_are_silence_of_their_true_length(hops: list[int], data: st.DataObject) -> None:
    """Windows with holes between them, told of by a dropped window or not at all."""
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=20)
    expected = np.zeros(0, np.int16)
    starts = np.minimum(np.cumsum([0, *hops]), len(STREAM) - 1).tolist()
    for start, following in pairwise(starts):
        stop = min(start + 500, len(STREAM))
        expected = np.pad(expected, (0, max(0, stop - len(expected))))
        expected[start:stop] = STREAM[start:stop]
        trail.lay(window(start, stop))
        if following > stop and data.draw(st.booleans()):
            trail.lay(quiet(stop, following))
            expected = np.pad(expected, (0, following - len(expected)))
    np.testing.assert_array_equal(sound(trail, 0, 20_000), expected)


def test_a_dropped_window_that_comes_with_its_sound_is_no_silence() -> None:
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=20)
    trail.lay(window(0, 500))
    pcm = STREAM[500:1_500].tobytes()
    trail.lay(Hum(samples=1_000, pcm=pcm, **_span(500, "a", 0.0)))
    trail.lay(quiet(1_500, 1_800))
    np.testing.assert_array_equal(sound(trail, 0, 1_800), np.pad(STREAM[:1_500], (0, 300)))


def test_a_cut_takes_no_more_memory_than_the_sound_and_its_copy() -> None:
    """The heap of a process that runs for years stays as high as its largest passing need."""
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=20)
    trail.lay(window(0, 20_000))
    trail.lay(window(5_000, 15_000, stream_id="b", later_s=20.0, first=0))
    tracemalloc.start()
    clip = trail.cut(START_S + 10, START_S + 30)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip is not None
    np.testing.assert_array_equal(
        np.frombuffer(clip.pcm, np.int16), np.concatenate([STREAM[10_000:], STREAM[5_000:15_000]])
    )
    assert most_bytes < 2.2 * len(clip.pcm)


def test_a_clip_says_when_it_began() -> None:
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=2)
    for start in range(0, 5_000, 1_000):
        trail.lay(window(start, start + 1_500))
    clip = trail.cut(START_S, START_S + 10)
    assert clip is not None
    assert clip.started_at == START + timedelta(seconds=3.5)
    assert clip.duration_s == 2.0


def test_a_window_that_comes_again_changes_nothing() -> None:
    """A window in flight is handed out again when the classifier died."""
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=2)
    for start in (0, 1_000, 2_000, 0, 1_000):
        trail.lay(window(start, start + 1_500))
    np.testing.assert_array_equal(sound(trail, 0, 9_000), STREAM[1_500:3_500])
    assert trail.end_s == pytest.approx(START_S + 3.5)


def test_a_reopened_stream_lies_where_the_clock_says() -> None:
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=6)
    trail.lay(window(0, 1_500))
    trail.lay(window(100, 600, stream_id="b", later_s=3.0, first=0))
    trail.lay(window(600, 900, stream_id="b", later_s=3.0, first=500))
    expected = np.concatenate([STREAM[:1_500], np.zeros(1_500, np.int16), STREAM[100:900]])
    np.testing.assert_array_equal(sound(trail, 0, 9_000), expected)


def test_after_a_pause_longer_than_the_ring_nothing_old_shows_up_again() -> None:
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=2)
    trail.lay(window(0, 2_000))
    trail.lay(window(9_000, 9_500))
    expected = np.concatenate([np.zeros(1_500, np.int16), STREAM[9_000:9_500]])
    np.testing.assert_array_equal(sound(trail, 0, 20_000), expected)


def test_a_window_longer_than_the_ring_leaves_its_end() -> None:
    trail = AudioTrail(rate_hz=RATE_HZ, keep_s=1)
    trail.lay(window(0, 2_500))
    np.testing.assert_array_equal(sound(trail, 0, 9_000), STREAM[1_500:2_500])
