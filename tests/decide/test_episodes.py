"""Frames of overlapping windows become pulses and episodes, each once."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.decide.believing import FAINT_ODDS, KNOWN_ODDS, REPEATED_ODDS, lowered
from beepwatch.decide.episodes import Closed, Counted, Episode, EpisodeTracker
from beepwatch.decide.pulses import FALL, MOST_ODDS, SAME_PITCH
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
# At a threshold of 0.5: where pulses start, where they count alike, where they come near it; and
# what lies between.
KNOWN, FAINT, NEAR = (lowered(0.5, odds) for odds in (KNOWN_ODDS, FAINT_ODDS, REPEATED_ODDS))
BARELY, FAINTLY = (KNOWN + FAINT) / 2, (FAINT + NEAR) / 2
FALLEN = MOST_ODDS / (MOST_ODDS + FALL)  # where a pulse that was certain is over


def test_a_beep_seen_by_three_windows_counts_once() -> None:
    heard = episodes(cut(beeps((80, 10), total=300), WINDOW, HOP))
    assert [len(episode.pulses) for episode in heard] == [1]


def test_onset_and_offset_lie_where_the_probability_crosses_between_frames() -> None:
    """Centres of frames 79 and 80 are 3.18 and 3.22 s.

    The level lies so far from 0 to 1. The end is where odds have fallen to so little of what counts
    as certain, crossed on the way from 1 (3.58 s) to 0 (3.62 s).
    """
    (episode,) = episodes(cut(beeps((80, 10), total=300), WINDOW, HOP))
    (pulse,) = seconds(episode)
    onset_s, offset_s = 3.18 + KNOWN * FRAME_S, 3.62 - FALLEN * FRAME_S
    assert pulse == pytest.approx((onset_s, offset_s - onset_s), abs=1e-4)
    assert (episode.onset - START).total_seconds() == pytest.approx(onset_s, abs=1e-4)
    assert (episode.offset - START).total_seconds() == pytest.approx(offset_s, abs=1e-4)


def test_a_weaker_pulse_counts_only_where_one_was_heard_before() -> None:
    """At a threshold of 0.5 and a sixth of its odds within an episode."""
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
    """From where it rises over the level to where its odds fall far below 1.5: 66 ms."""
    frames = beeps((20, 1), total=50)
    frames[20] = 0.6
    for min_pulse_s, counted in ((0.06, 1), (0.07, 0)):
        following = EpisodeTracker({"beep": 0.5}, context_s=0.0, min_pulse_s=min_pulse_s)
        changes = following.hear(scores(frames, 0)) + following.finish()
        assert len(episodes(changes)) == counted


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
    assert changes[0].at_s == pytest.approx(START_S + (65 + 0.5 - FALLEN) * FRAME_S + 1.0, abs=1e-3)


def test_a_pulse_cut_off_by_silence_ends_there() -> None:
    following = tracker()
    following.hear(scores(beeps((65, 10), total=75), 0))
    changes = [change for hop in range(1, 9) for change in following.skip(quiet(75, hop * HOP))]
    (episode,) = episodes(changes)
    (pulse,) = seconds(episode)
    onset_s = 2.58 + KNOWN * FRAME_S
    assert pulse == pytest.approx((onset_s, 2.98 - onset_s), abs=1e-4)


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
    assert onsets_s == pytest.approx([0.38 + KNOWN * FRAME_S, 60.38 + KNOWN * FRAME_S], abs=1e-4)


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
    heard = episodes(cut(_laid_out(parts), WINDOW, HOP))
    pulses = [pulse for episode in heard for pulse in episode.pulses]
    assert all(a.offset_s <= b.onset_s for a, b in itertools.pairwise(pulses))
    assert all(pulse.duration_s >= 0.06 - 1e-9 for pulse in pulses)
    assert all(NEAR <= pulse.peak_score <= 1.0 for pulse in pulses), "none has a pitch"
    assert all(episode.peak_score >= 0.5 for episode in heard)


def told(
    *pulses: tuple[int, int, float, float], total: int = 300, gap_s: float = 3.0
) -> list[Episode]:
    """Episodes of pulses given as (first frame, frames, probability, Hz) at a threshold of 0.5."""
    frames, pitches_hz = [0.0] * total, [[440.0, 0.0]] * total
    for first, length, probability, pitch_hz in pulses:
        frames[first : first + length] = [probability] * length
        pitches_hz[first : first + length] = [[pitch_hz, 0.0]] * length
    following = tracker(gap_s=gap_s)
    changes = following.hear(scores(frames, 0, pitches_hz=pitches_hz)) + following.finish()
    return episodes(changes)


def test_two_pulses_alike_are_believed_where_one_is_not() -> None:
    weak = 0.3
    assert told((50, 5, weak, 2_000)) == []
    (episode,) = told((50, 5, weak, 2_000), (70, 5, weak, 2_010))
    assert [round(pulse.pitches_hz[0]) for pulse in episode.pulses] == [2_000, 2_010]
    assert episode.peak_score == pytest.approx(weak)


@pytest.mark.parametrize(
    "other",
    [(70, 5, 0.3, 2_000 * (1 + 1.5 * SAME_PITCH)), (70, 15, 0.3, 2_000)],
    ids=["another pitch", "three times as long"],
)
def test_pulses_that_differ_do_not_support_each_other(
    other: tuple[int, int, float, float],
) -> None:
    assert told((50, 5, 0.3, 2_000), other) == []


def test_a_wavering_tone_is_not_its_own_like() -> None:
    """One frame below the level is a pause of less than 50 ms."""
    assert told((50, 5, 0.3, 2_000), (56, 5, 0.3, 2_000)) == []


def test_a_pulse_waits_ten_seconds_for_its_like() -> None:
    """What lies between keeps the group open but resembles nothing."""
    bridge = [(at, 3, 0.3, 500.0 + 10 * at) for at in range(60, 300, 60)]
    near = told((30, 5, 0.3, 2_000), *bridge, (270, 5, 0.3, 2_000), total=400)
    far = told((30, 5, 0.3, 2_000), *bridge, (310, 5, 0.3, 2_000), total=400)
    assert [len(episode.pulses) for episode in near] == [2]
    assert far == []


def test_what_came_before_at_another_pitch_is_not_of_the_episode() -> None:
    (episode,) = told((20, 5, 0.3, 900), (50, 5, 0.3, 2_000), (70, 5, 0.9, 2_000))
    assert [round(pulse.pitches_hz[0]) for pulse in episode.pulses] == [2_000, 2_000]


def test_pulses_however_faint_count_at_the_pitch_of_the_others() -> None:
    same, other = (20, 5, BARELY, 2_000), (90, 5, 0.3, 900)
    (episode,) = told(same, other, (50, 5, 0.9, 2_000), (70, 5, BARELY, 2_000), (110, 5, 0.6, 700))
    assert [round(pulse.onset_s - START_S, 1) for pulse in episode.pulses] == [0.8, 2.0, 2.8, 4.4]


def test_partials_that_take_turns_are_one_buzzer() -> None:
    """The pitches that last in a pulse are its own, whichever was first in each frame."""
    frames, pitches_hz = [0.0] * 200, [[440.0, 0.0]] * 200
    frames[50:60] = frames[80:90] = [0.3] * 10
    pitches_hz[50:60] = [[2_000.0, 0.0]] * 5 + [[3_300.0, 2_000.0]] * 5
    pitches_hz[80:90] = [[3_300.0, 0.0]] * 6 + [[900.0, 0.0]] * 4
    following = tracker(gap_s=3.0)
    (episode,) = episodes(
        following.hear(scores(frames, 0, pitches_hz=pitches_hz)) + following.finish()
    )
    assert [[round(pitch_hz) for pitch_hz in pulse.pitches_hz] for pulse in episode.pulses] == [
        [2_000, 3_300],
        [3_300, 900],
    ]


def test_a_murmur_before_a_pulse_is_no_part_of_it() -> None:
    (episode,) = told((40, 10, 0.1, 700), (50, 5, 0.9, 2_000))
    (pulse,) = episode.pulses
    assert pulse.onset_s - START_S == pytest.approx(50 * FRAME_S, abs=FRAME_S)
    assert [round(pitch_hz) for pitch_hz in pulse.pitches_hz] == [2_000]


def test_two_faint_pulses_are_nothing_but_three_alike_are_a_signal() -> None:
    two = (50, 5, FAINTLY, 2_000), (70, 5, FAINTLY, 2_000)
    assert told(*two) == []
    assert told(*two, (90, 5, FAINTLY, 1_500)) == []
    assert told(*two, (90, 5, BARELY, 2_000)) == []
    assert told((30, 5, BARELY, 2_000), *two) == []
    (episode,) = told(*two, (90, 5, FAINTLY, 2_000))
    assert [round(pulse.onset_s - START_S, 1) for pulse in episode.pulses] == [2.0, 2.8, 3.6]


def test_faint_pulses_do_not_keep_others_together() -> None:
    bridge = [(at, 4, FAINTLY, 700.0) for at in (90, 140)]
    assert told((30, 5, 0.3, 2_000), *bridge, (190, 5, 0.3, 2_000)) == []


def test_a_tone_that_rings_on_between_two_pulses_leaves_them_two() -> None:
    """Between them the score falls from 0.9 to 0.4: far below those odds."""
    frames = beeps((30, 14), total=75)
    frames[30:44] = [0.9] * 5 + [0.4] * 4 + [0.9] * 5
    following = tracker()
    (episode,) = episodes(following.hear(scores(frames, 0)) + following.finish())
    assert [round(onset_s, 1) for onset_s, _ in seconds(episode)] == [1.2, 1.5]


def test_a_score_that_wavers_is_one_pulse() -> None:
    """From 0.9 to 0.7: not even a quarter of the odds."""
    frames = beeps((30, 14), total=75)
    frames[30:44] = [0.9] * 5 + [0.7] * 4 + [0.9] * 5
    following = tracker()
    (episode,) = episodes(following.hear(scores(frames, 0)) + following.finish())
    assert len(episode.pulses) == 1


def test_without_pitches_only_the_threshold_counts() -> None:
    frames = [0.3 if 20 <= at < 25 or 40 <= at < 45 else 0.0 for at in range(75)]
    following = tracker()
    assert following.hear(scores(frames, 0)) + following.finish() == []


def test_every_pulse_of_a_group_is_told_when_it_is_believed() -> None:
    """In order, so that a rule for three pulses sees three."""
    frames = beeps((10, 5), (20, 5), (30, 5), total=75)
    frames[10:15] = frames[20:25] = [0.3] * 5
    changes = tracker().hear(scores(frames, 0, pitches_hz=[[1_000.0]] * 75))
    counted = [change for change in changes if isinstance(change, Counted)]
    assert [len(change.episode.pulses) for change in counted] == [1, 2, 3]


def test_at_rest_is_who_has_nothing_open_and_open_is_what_was_told_of() -> None:
    """Frames of 40 ms: a pulse from 2 s to 2.4 s, and then silence for more than a gap."""
    following = tracker(gap_s=3.0)
    states = []
    frames = beeps((50, 10), total=250)
    for first in range(0, 250, 25):
        following.hear(scores(frames[first : first + 25], first))
        states.append((following.at_rest, [len(one.pulses) for one in following.open_episodes]))
    assert states[:3] == [(True, []), (True, []), (False, [1])]
    assert states[3] == (False, [1])
    assert states[-1] == (True, [])
