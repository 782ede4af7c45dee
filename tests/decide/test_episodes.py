"""Frames of overlapping windows become pulses and episodes, each once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.decide.episodes import FOLLOWING, Closed, Counted, EpisodeTracker
from tests.decide.streams import (
    FRAME_S,
    START,
    START_S,
    beeps,
    cut,
    episodes,
    quiet,
    scores,
    seconds,
    tracker,
)

WINDOW, HOP = 75, 25  # frames of 40 ms: 3 s and 1 s


def test_a_beep_seen_by_three_windows_counts_once() -> None:
    heard = episodes(cut(beeps((80, 10), total=300), WINDOW, HOP))
    assert [len(episode.pulses) for episode in heard] == [1]


def test_onset_and_offset_lie_where_the_probability_crosses_between_frames() -> None:
    """Centres of frames 80 and 79 are 3.22 and 3.18 s; from 0 to 1, the crossing of 0.5 is midway.

    The offset crosses 0.3 on the way from 1 (3.58 s) to 0 (3.62 s): 70 % of the way.
    """
    (episode,) = episodes(cut(beeps((80, 10), total=300), WINDOW, HOP))
    (pulse,) = seconds(episode)
    assert pulse == pytest.approx((3.20, 3.608 - 3.20), abs=1e-3)
    assert (episode.onset - START).total_seconds() == pytest.approx(3.20, abs=1e-3)
    assert (episode.offset - START).total_seconds() == pytest.approx(3.608, abs=1e-3)


def test_a_weaker_pulse_counts_only_where_one_was_heard_before() -> None:
    """At a threshold of 0.5 and 60 % of it within an episode."""
    frames = beeps((20, 10), (80, 10), (100, 10), total=300)
    for first in (20, 100):
        frames[first : first + 10] = [0.4] * 10
    (episode,) = episodes(cut(frames, WINDOW, HOP))
    assert [round(onset_s) for onset_s, _ in seconds(episode)] == [3, 4]
    assert episode.peak_score == 1.0


def test_pulses_closer_than_the_gap_are_one_episode() -> None:
    heard = episodes(cut(beeps((80, 10), (100, 10), (120, 10), (180, 10), total=300), WINDOW, HOP))
    assert [len(episode.pulses) for episode in heard] == [3, 1]


def test_a_single_frame_above_the_threshold_is_too_short_to_count() -> None:
    frames = beeps((80, 1), total=200)
    frames[80] = 0.6
    assert cut(frames, WINDOW, HOP) == []


def test_a_pulse_is_counted_before_it_ends() -> None:
    """The alert leaves while the appliance still sounds."""
    following = tracker()
    changes = following.hear(scores(beeps((30, 45), total=75), 0))
    assert [type(change) for change in changes] == [Counted]


def test_the_last_frames_of_a_window_wait_for_what_follows() -> None:
    """With 0.32 s of context the 8 last frames are not yet believed."""
    following = tracker()
    assert following.hear(scores(beeps((68, 7), total=75), 0)) == []
    assert episodes(following.hear(scores([0.0] * 75, 25)) + following.finish()) == []


def test_held_back_frames_count_when_the_gate_drops_the_next_window() -> None:
    following = tracker()
    following.hear(scores(beeps((69, 5), total=75), 0))
    changes = following.skip(quiet(75, 25))
    assert [type(change) for change in changes] == [Counted]


def test_silence_closes_an_episode() -> None:
    following = tracker()
    following.hear(scores(beeps((60, 5), total=75), 0))
    changes = [change for hop in range(1, 6) for change in following.skip(quiet(75, hop * HOP))]
    assert [type(change) for change in changes] == [Closed]
    assert changes[0].at_s == pytest.approx(START_S + (65 - 0.5 + 0.7) * FRAME_S + 1.0, abs=1e-3)


def test_a_pulse_cut_off_by_silence_ends_there() -> None:
    following = tracker()
    following.hear(scores(beeps((65, 10), total=75), 0))
    changes = [change for hop in range(1, 9) for change in following.skip(quiet(75, hop * HOP))]
    (episode,) = episodes(changes)
    (pulse,) = seconds(episode)
    assert pulse == pytest.approx((2.60, 2.98 - 2.60), abs=1e-3)


def test_a_beep_that_sounds_for_ever_is_closed_when_it_ends_after_the_longest_episode() -> None:
    following = tracker(longest_s=2.0)
    changes = following.hear(scores(beeps((0, 60), total=75), 0)) + following.finish()
    assert [type(change) for change in changes] == [Counted, Closed]
    assert changes[1].episode.closed


def test_pulses_go_on_in_a_new_episode_after_the_longest() -> None:
    following = tracker(longest_s=1.0)
    frames = beeps((0, 5), (10, 5), (20, 5), (30, 5), (40, 5), total=75)
    changes = following.hear(scores(frames, 0)) + following.finish()
    assert [len(episode.pulses) for episode in episodes(changes)] == [3, 2]


def test_a_new_stream_begins_at_its_own_zero() -> None:
    """A reopened microphone counts samples from 0 again; time goes on."""
    following = tracker()
    first = following.hear(scores(beeps((10, 5), total=75), 0, stream_id="a"))
    later = scores(beeps((10, 5), total=75), 0, stream_id="b", later_s=60)
    second = following.hear(later) + following.finish()
    onsets_s = [seconds(episode)[0][0] for episode in episodes(first + second)]
    assert onsets_s == pytest.approx([0.4, 60.4])


def test_windows_that_were_lost_leave_a_gap_and_no_error() -> None:
    following = tracker()
    changes = following.hear(scores(beeps((60, 15), total=75), 0))
    changes += following.hear(scores(beeps((5, 10), total=75), 200)) + following.finish()
    assert [len(episode.pulses) for episode in episodes(changes)] == [1, 1]


def test_labels_without_a_threshold_are_not_followed() -> None:
    following = EpisodeTracker({"melody": 0.5}, context_s=0.0)
    assert following.hear(scores(beeps((10, 30), total=75), 0)) + following.finish() == []


def test_a_threshold_of_zero_hears_one_pulse_without_end() -> None:
    following = EpisodeTracker({"beep": 0.0}, context_s=0.0)
    changes = following.hear(scores([0.0] * 75, 0)) + following.finish()
    assert [len(episode.pulses) for episode in episodes(changes)] == [1]


streams = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 12), st.floats(0.0, 1.0)), min_size=1, max_size=12
)


def _laid_out(parts: list[tuple[int, int, float]]) -> list[float]:
    frames: list[float] = []
    for pause, length, probability in parts:
        frames += [0.0] * pause + [probability] * length
    return frames + [0.0] * (200 - len(frames) % 25)


@given(parts=streams, window_hops=st.integers(2, 6), hop=st.integers(9, 40))
def test_how_the_stream_is_cut_into_windows_does_not_matter(
    parts: list[tuple[int, int, float]], window_hops: int, hop: int
) -> None:
    """Same changes in the same order, from any window and hop that leave room for the context."""
    frames = _laid_out(parts)
    whole = cut(frames, len(frames), len(frames))
    again = cut(frames, window_hops * hop, hop)
    assert [seconds(one.episode) for one in again] == [seconds(one.episode) for one in whole]
    assert [type(one) for one in again] == [type(one) for one in whole]
    assert [one.at_s for one in again] == pytest.approx([one.at_s for one in whole], abs=1e-6)


@given(parts=streams)
def test_dropping_silent_windows_does_not_change_the_pulses(
    parts: list[tuple[int, int, float]],
) -> None:
    frames = _laid_out(parts)
    kept = episodes(cut(frames, WINDOW, HOP))
    gated = episodes(cut(frames, WINDOW, HOP, gated=True))
    assert [seconds(episode) for episode in gated] == [seconds(episode) for episode in kept]


@given(parts=streams)
def test_pulses_come_in_order_and_never_overlap(parts: list[tuple[int, int, float]]) -> None:
    pulses = [p for episode in episodes(cut(_laid_out(parts), WINDOW, HOP)) for p in episode.pulses]
    assert all(a.offset_s <= b.onset_s for a, b in itertools.pairwise(pulses))
    assert all(pulse.duration_s >= 0.06 - 1e-9 for pulse in pulses)
    assert all(0.5 * FOLLOWING <= pulse.peak_score <= 1.0 for pulse in pulses)
