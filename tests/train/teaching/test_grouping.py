"""Clips that were called wrong are one sound where they share a leading pitch."""

import numpy as np

from beepwatch.classify.engines import Answers
from beepwatch.classify.heads import EMBEDDING
from beepwatch.train.teaching.examples import Example
from beepwatch.train.teaching.grouping import grouped, loners


def clip(*pitches_hz: float) -> Example:
    """Half a second of these pitches at once."""
    frames = 25
    heard = np.zeros((frames, 3), dtype=np.float32)
    heard[:, : len(pitches_hz)] = pitches_hz
    return Example(
        text="a clip",
        pcm=np.zeros(8_000, np.int16),
        sounding=np.ones(frames, dtype=bool),
        answers=Answers(
            np.ones((frames, 1), np.float32), heard, np.zeros((frames, EMBEDDING), np.float32)
        ),
        by_network=True,
    )


def leading(*pitches_hz: float) -> Example:
    """The first of these pitches all the time, each further one a little less long."""
    whole = clip(*pitches_hz)
    for place in range(len(pitches_hz)):
        whole.answers.pitch_hz[len(whole.sounding) - 2 * place :, place] = 0
    return whole


def test_a_group_has_the_name_of_its_first_event_and_keeps_it() -> None:
    clips = {7: clip(2_000.0), 3: clip(3_100.0), 9: clip(2_004.0), 4: clip(3_100.0, 2_500.0)}
    assert [(one.name, one.events) for one in grouped(clips)] == [
        ("wrong-3", [3, 4]),
        ("wrong-7", [7, 9]),
    ]
    assert [one.name for one in grouped(clips | {12: clip(2_000.0)})] == ["wrong-3", "wrong-7"]


def test_a_pitch_a_percent_away_is_another_sound() -> None:
    clips = {1: clip(2_000.0), 2: clip(2_025.0)}
    assert [one.events for one in grouped(clips)] == [[1], [2]]


def test_three_that_share_no_pitch_may_be_a_bird() -> None:
    clips = {1: clip(2_000.0), 2: clip(2_400.0), 5: clip(5_000.0), 6: clip(5_000.0)}
    assert loners(grouped(clips)) is None
    together = loners(grouped(clips | {8: clip(3_000.0)}))
    assert together is not None
    assert (together.name, together.events, together.moving) == ("wrong-others", [1, 2, 8], True)


def test_clips_that_share_two_pitches_are_one_sound_whichever_leads() -> None:
    """A room that swallows the fundamental lets an overtone lead."""
    clips = {1: leading(1_000.0, 3_000.0, 4_900.0), 2: leading(2_000.0, 3_000.0, 4_900.0)}
    assert [one.events for one in grouped(clips)] == [[1, 2]]
    clips = {1: leading(1_000.0, 3_000.0), 2: leading(2_000.0, 3_000.0)}
    assert [one.events for one in grouped(clips)] == [[1], [2]]
