"""What the sound of a pulse adds to its score decides whether it is believed."""

import math
from collections.abc import Sequence

import pytest

from beepwatch.decide.believing import (
    CERTAIN_ODDS,
    FAINT_ODDS,
    HOPELESS_ODDS,
    KNOWN_ODDS,
    LEAST_LIKENESS,
    LEAST_SAID,
    REPEATED_ODDS,
    SILENT_SHARE,
    SURER,
    lowered,
)
from beepwatch.decide.episodes import Counted, Episode, EpisodeTracker
from beepwatch.decide.opinion import LONGEST_S
from beepwatch.decide.pulses import LEAST_LEFT_DB, Opinion, Pulse
from beepwatch.decide.rehearing import MOST_MORE
from tests.decide.streams import FRAME_S, START_S, episodes, scores

Frames = tuple[int, int, float]  # first, how many, probability
ALONE, NEAR, FAINT = (lowered(0.5, odds) for odds in (1.0, REPEATED_ODDS, FAINT_ODDS))
MOST_MORE_ODDS = math.exp(MOST_MORE)
LEAST = lowered(0.5, KNOWN_ODDS) * 1.01  # from where on there is a pulse


class Said:
    """The same of every pulse, whatever was asked; without an opinion the sound is not there."""

    def __init__(
        self,
        log_odds: float | None,
        left_db: float = LEAST_LEFT_DB,
        before: Sequence[float] = (0.0,),
        likeness: float | None = None,
        again: float = 0.0,
        *,
        regular: bool = False,
    ) -> None:
        """`log_odds` with what being asked at all adds."""
        self.heard_again: list[Pulse] = []
        self._again = again
        self.asked_of: list[Pulse] = []
        self.compared: list[int] = []  # so many pulses
        self._log_odds, self._left_db = log_odds, left_db
        self._before, self._likeness = before, likeness
        self._regular = regular
        self.asked_whether_regular: list[int] = []  # of so many pulses

    def opinion(self, pulse: Pulse) -> Opinion | None:
        """The next share that sounded before; the last of them from then on."""
        self.asked_of.append(pulse)
        if self._log_odds is None:
            return None
        before = self._before[min(len(self.asked_of), len(self._before)) - 1]
        return Opinion(self._log_odds - SURER, self._left_db, before)

    def again(self, pulse: Pulse) -> float:
        self.heard_again.append(pulse)
        return self._again

    def is_regular(self, pulses: Sequence[Pulse]) -> bool:
        self.asked_whether_regular.append(len(pulses))
        return self._regular

    def likeness(self, pulses: Sequence[Pulse]) -> float | None:
        self.compared.append(len(pulses))
        return self._likeness


def heard(*pulses: Frames, said: Said) -> list[Episode]:
    """Episodes at a threshold of 0.5, all pulses at one pitch, when their sound says that."""
    frames = [0.0] * 300
    for first, length, probability in pulses:
        frames[first : first + length] = [probability] * length
    tracker = EpisodeTracker({"beep": 0.5}, context_s=0.0, ear=said)
    window = scores(frames, 0, pitches_hz=[[2_000.0, 0.0]] * 300)
    return episodes(tracker.hear(window) + tracker.finish())


def test_a_pulse_that_sounds_like_a_beep_needs_less_of_a_score() -> None:
    weak = (50, 5, ALONE / 2)
    assert heard(weak, said=Said(None)) == []
    assert heard(weak, said=Said(0.0)) == []
    (episode,) = heard(weak, said=Said(2.0))
    assert len(episode.pulses) == 1
    assert episode.peak_score == pytest.approx(ALONE / 2), "the network's own"


def test_an_opinion_adds_to_the_log_odds() -> None:
    """Believed from where score and opinion together reach the odds of `ALONE`."""
    probability = 0.1
    enough = math.log(ALONE / (1 - ALONE)) - math.log(probability / (1 - probability))
    assert heard((50, 5, probability), said=Said(enough - 0.01)) == []
    assert len(heard((50, 5, probability), said=Said(enough + 0.01))) == 1


def test_two_alike_are_not_believed_if_they_sound_like_no_beep() -> None:
    pair = (50, 5, 0.2), (70, 5, 0.2)
    assert len(heard(*pair, said=Said(None))) == 1
    assert len(heard(*pair, said=Said(-0.3))) == 1
    assert heard(*pair, said=Said(-2.5)) == []


def test_three_faint_ones_are_believed_and_two_are_not() -> None:
    faint = (NEAR + FAINT) / 2
    pair = (50, 5, faint), (70, 5, faint)
    assert heard(*pair, said=Said(0.0)) == []
    assert len(heard(*pair, (90, 5, faint), said=Said(0.0))) == 1


def test_what_is_cut_evenly_is_believed_however_faint() -> None:
    (episode,) = heard((50, 5, LEAST), said=Said(0.0, regular=True))
    assert len(episode.pulses) == 1
    assert heard((50, 5, LEAST), said=Said(0.0)) == []
    assert heard((50, 5, LEAST), said=Said(None, regular=True)) == [], "its sound is not there"


def test_its_sound_may_hardly_speak_against_what_is_cut_evenly() -> None:
    pulse = (50, 5, 2 * LEAST)
    assert len(heard(pulse, said=Said(LEAST_SAID + 0.01, regular=True))) == 1
    assert heard(pulse, said=Said(LEAST_SAID - 0.01, regular=True)) == []
    fainter = Said(LEAST_SAID + 0.01, regular=True)
    assert heard((50, 5, LEAST), said=fainter) == [], "less than the least score in all"


def test_those_at_one_pitch_are_looked_at_together_however_long_each_is() -> None:
    said = Said(0.0)
    heard((50, 5, LEAST), (60, 20, LEAST), (90, 5, LEAST), said=said)
    assert said.asked_whether_regular == [1, 2, 3]


TWO = (50, 5, 0.2), (70, 5, 0.2)


@pytest.mark.parametrize(
    ("pulses", "regular"),
    [(TWO, False), ([(50, 5, LEAST)], True)],
    ids=["two alike", "cut evenly"],
)
def test_what_a_tone_that_went_on_is_cut_into_has_to_look_like_an_appliances(
    pulses: Sequence[Frames],
    regular: bool,
) -> None:
    went_on = [SILENT_SHARE + 0.01]
    unlike, like = LEAST_LIKENESS - 0.01, LEAST_LIKENESS + 0.01
    assert heard(*pulses, said=Said(0.0, 20.0, went_on, unlike, regular=regular)) == []
    for likeness in (like, None):
        said = Said(0.0, 20.0, went_on, likeness, regular=regular)
        (episode,) = heard(*pulses, said=said)
        assert len(episode.pulses) == len(pulses)


def test_what_does_not_stand_out_from_its_pauses_is_believed_if_each_comes_near() -> None:
    """A room may drown the pauses."""
    drowned = Said(0.0, 20.0, [1.0], -math.inf, regular=True)
    assert len(heard(*TWO, said=drowned)) == 1
    assert heard((50, 5, LEAST), said=drowned) == []


def test_after_silence_nothing_is_compared() -> None:
    """Before one of them at least: the others may follow at once."""
    said = Said(0.0, 20.0, [0.0, 0.9], likeness=-math.inf)
    assert len(heard(*TWO, said=said)) == 1
    assert said.compared == []


def test_faint_ones_are_compared_without_those_that_are_fainter() -> None:
    said = Said(0.0, 0.0, [0.5], likeness=0.0)
    assert len(heard((30, 5, LEAST), *TWO, said=said)) == 1
    assert said.compared == [2]


def test_what_reaches_the_threshold_by_its_sound_needs_no_likeness() -> None:
    said = Said(2.0, 20.0, [0.9], likeness=-math.inf)
    assert len(heard((50, 5, ALONE / 2), said=said)) == 1
    assert said.compared == []


def test_what_reaches_the_threshold_is_believed_when_its_sound_does_not_say_otherwise() -> None:
    assert len(heard((50, 5, 0.6), said=Said(0.0))) == 1
    assert heard((50, 5, 0.6), said=Said(-9.0)) == []


def test_what_is_heard_again_adds_to_the_log_odds() -> None:
    assert heard((50, 5, 0.6), said=Said(0.0, again=-0.5)) == []
    assert len(heard((50, 5, 0.45), said=Said(0.0, again=0.5))) == 1


def test_nothing_speaks_for_a_tone_that_goes_on() -> None:
    """However sure the network is of a motor's whine when it hears it again."""
    said = Said(9.0, LEAST_LEFT_DB - 0.1, again=9.0)
    assert heard((50, 5, 0.49), said=said) == []
    assert len(heard((50, 5, 0.51), said=said)) == 1


@pytest.mark.parametrize(
    ("odds", "again"),
    [(1.1 * CERTAIN_ODDS, 0), (0.9 * CERTAIN_ODDS, 1), (1.1 / MOST_MORE_ODDS, 1),
     (0.9 / MOST_MORE_ODDS, 0)],
)  # fmt: skip
def test_what_is_certain_or_cannot_be_believed_is_not_heard_again(odds: float, again: int) -> None:
    """At a threshold of 0.5, which are even odds."""
    said = Said(math.log(odds))
    heard((50, 5, 0.5), said=said)
    assert len(said.heard_again) == again


@pytest.mark.parametrize(("odds", "again"), [(1.1, 3), (0.9, 0)])
def test_what_is_hopeless_is_not_heard_again_either_when_it_comes_again(
    odds: float, again: int
) -> None:
    said = Said(math.log(odds / HOPELESS_ODDS), again=MOST_MORE)
    heard((50, 5, 0.5), (80, 5, 0.5), (120, 5, 0.5), said=said)
    assert len(said.heard_again) == again


def onsets(pulses: Sequence[Pulse]) -> list[int]:
    """In frames."""
    return [round((pulse.onset_s - START_S) / FRAME_S) for pulse in pulses]


def test_with_its_like_it_is_heard_again_once_they_might_be_believed_the_last_one_first() -> None:
    said = Said(math.log(0.9 / MOST_MORE_ODDS))
    (episode,) = heard(*TWO, said=said)
    assert len(episode.pulses) == 2
    assert onsets(said.heard_again) == [first for first, _, _ in reversed(TWO)]


def test_once_it_is_clear_that_they_are_not_believed_no_other_is_heard_again() -> None:
    said = Said(math.log(0.9 / MOST_MORE_ODDS), again=-9.0)
    assert heard(*TWO, said=said) == []
    assert onsets(said.heard_again) == [TWO[-1][0]]


def test_what_is_believed_by_being_heard_again_needs_nobody_else_to_be() -> None:
    more_in_time = Said(math.log(0.9), again=0.4)
    heard((50, 5, 0.2), (80, 5, 0.5), said=more_in_time)
    assert onsets(more_in_time.heard_again) == [80]


def test_what_reaches_the_threshold_is_asked_of_when_it_ends_and_not_before() -> None:
    said = Said(0.0)
    tracker = EpisodeTracker({"beep": 0.5}, context_s=0.0, ear=said)
    assert tracker.hear(scores([0.0] * 20 + [0.9] * 20, 0)) == []
    assert said.asked_of == []
    (told,) = tracker.hear(scores([0.0] * 5, 40))
    assert isinstance(told, Counted)
    assert told.at_s == pytest.approx(START_S + 40 * FRAME_S, abs=FRAME_S)


def test_a_tone_that_goes_on_is_believed_by_its_score_alone() -> None:
    """A smoke alarm need not be over to be told."""
    said = Said(-9.0)
    tracker = EpisodeTracker({"beep": 0.5}, context_s=0.0, ear=said)
    frames = round(LONGEST_S / FRAME_S) + 5
    (told,) = tracker.hear(scores([0.0] * 20 + [0.9] * frames, 0))
    assert isinstance(told, Counted)
    assert said.asked_of == []


def test_each_pulse_is_asked_of_once_as_it_ends() -> None:
    said = Said(0.0)
    heard((50, 5, 0.1), (80, 10, 0.1), said=said)
    assert onsets(said.asked_of) == [50, 80]
    lengths = [pulse.duration_s / FRAME_S for pulse in said.asked_of]
    assert lengths == pytest.approx([5, 10], abs=1.5)


def test_of_other_labels_nothing_is_asked() -> None:
    """Of a taught sound it is known how it sounds."""
    said = Said(0.0)
    tracker = EpisodeTracker({"washer": 0.5}, context_s=0.0, ear=said)
    frames = [0.0] * 20 + [0.3] * 10 + [0.0] * 20
    tracker.hear(scores(frames, 0, label="washer"))
    tracker.finish()
    assert said.asked_of == []
