"""A taught sound with a rhythm is believed for two pulses in time, and hardly for anything else."""

import pytest

from beepwatch.decide.episodes import Counted, Episode, EpisodeTracker
from beepwatch.decide.rhythm import BESIDE, IN_TIME, OUT_OF_TIME
from tests.decide.streams import FRAME_S, START_S, episodes, scores

RHYTHM_S = (0.8, 2.0)  # 20 and 50 frames of 40 ms
LABEL = "washer"


def probability(odds: float) -> float:
    """Whose odds are so many times those of the threshold, 0.5."""
    return odds / (1 + odds)


FAINT, SURE, SUREST = (probability(odds) for odds in (1.1 * IN_TIME, 2.0, 1.1 * OUT_OF_TIME))


def tracker(label: str = LABEL) -> EpisodeTracker:
    return EpisodeTracker({label: 0.5}, context_s=0.32, rhythms={LABEL: RHYTHM_S})


def told(*pulses: tuple[int, float, float], label: str = LABEL) -> list[Episode]:
    """Episodes of pulses of 5 frames given as (first frame, probability, Hz)."""
    frames, pitches_hz = [0.0] * 400, [[440.0, 0.0]] * 400
    for first, likely, pitch_hz in pulses:
        frames[first : first + 5] = [likely] * 5
        pitches_hz[first : first + 5] = [[pitch_hz, 0.0]] * 5
    following = tracker(label)
    changes = following.hear(scores(frames, 0, pitches_hz=pitches_hz, label=label))
    return episodes(changes + following.finish())


@pytest.mark.parametrize("apart", [20, 50])
def test_two_faint_pulses_in_time_are_believed(apart: int) -> None:
    (episode,) = told((50, FAINT, 2_000), (50 + apart, FAINT, 2_000))
    assert [round(one.onset_s - START_S, 1) for one in episode.pulses] == [2.0, 2 + apart * FRAME_S]


@pytest.mark.parametrize("apart", [17, 30, 46])
def test_two_out_of_time_have_to_be_as_sure_as_can_be(apart: int) -> None:
    """Else they are somebody else's at the same pitch."""
    assert told((50, SURE, 2_000), (50 + apart, SURE, 2_000)) == []
    assert told((50, SUREST, 2_000), (50 + apart, SURE, 2_000)) == []
    (episode,) = told((50, SUREST, 2_000), (50 + apart, SUREST, 2_000))
    assert len(episode.pulses) == 2


def test_one_alone_proves_nothing_however_sure() -> None:
    assert told((50, SUREST, 2_000)) == []


def test_a_tune_is_in_time_at_whatever_pitches() -> None:
    """Its head has looked at them."""
    (episode,) = told((50, FAINT, 2_000), (70, FAINT, 1_500))
    assert [round(pulse.pitches_hz[0]) for pulse in episode.pulses] == [2_000, 1_500]


def test_a_sure_pulse_makes_up_for_a_fainter_one() -> None:
    fainter = probability(0.02)
    assert len(told((50, SUREST, 2_000), (70, fainter, 2_000))) == 1
    assert told((50, FAINT, 2_000), (70, fainter, 2_000)) == []


def test_a_score_that_wavers_for_a_frame_is_not_two_pulses() -> None:
    """However sure: a pause of less than 50 ms is none."""
    assert told((50, SUREST, 2_000), (56, SUREST, 2_000)) == []


@pytest.mark.parametrize(
    ("odds", "pitch_hz", "counted"),
    [(1.1 * BESIDE, 2_000, 3), (0.9 * BESIDE, 2_000, 2), (1.1 * BESIDE, 1_000, 2)],
)
def test_another_of_the_pitch_counts_with_those_in_time_unless_it_is_faint(
    odds: float, pitch_hz: float, counted: int
) -> None:
    other = (87, probability(odds), pitch_hz)
    (episode,) = told(other, (100, SURE, 2_000), (120, SURE, 2_000))
    assert len(episode.pulses) == counted


def test_it_is_told_while_the_second_pulse_still_sounds() -> None:
    """It is when pulses begin that counts."""
    frames = [0.0] * 50 + [SURE] * 5 + [0.0] * 15 + [SURE] * 25
    pitches_hz = [[2_000.0, 0.0]] * len(frames)
    changes = tracker().hear(scores(frames, 0, pitches_hz=pitches_hz, label=LABEL))
    told_s = [round(one.at_s - START_S, 1) for one in changes if isinstance(one, Counted)]
    assert len(told_s) == 2
    assert max(told_s) < len(frames) * FRAME_S - 0.5


def test_what_has_no_rhythm_is_believed_as_ever() -> None:
    """For one sure pulse, or two alike."""
    assert len(told((50, SURE, 2_000), label="dryer")) == 1
