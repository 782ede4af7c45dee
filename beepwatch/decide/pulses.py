"""Frames become pulses: where a tone starts, where it ends, what it sounds at.

Everything goes frame by frame, so it cannot matter in what runs the frames arrive.
"""

import math
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

RELEASE = 0.6  # of the level: a pulse ends below this, so that a wavering score stays one pulse
FALL = 9.0  # or where its odds are so much less than they were: a room still rings in the pause
RISE = 3.0  # how much odds must have risen since the last pulse for another to start
MOST_ODDS = 30.0  # beyond 0.95 more or less is no fall
SAME_PITCH = 0.01  # relative; a buzzer keeps its pitch far better, a throat does not
KEPT = 0.4  # share of a pulse's frames that a pitch has to sound in to be one of the pulse's
MOST_PITCHES = 16  # that are followed within a pulse, beside the newest
SAME_LENGTH = 1.6  # longer over shorter, each with `LENGTH_SLACK_S` added
LENGTH_SLACK_S = 0.04  # two frames: how far off the ends of a pulse may be
LEAST_LEFT_DB = 3.0  # over what is left after it: a pulse that is over
SHORTEST_PAUSE_S = 0.05  # or a wavering tone would be its own like


class Opinion(NamedTuple):
    """What the sound of a pulse says of it."""

    log_odds: float  # that it is a beep, beside its score
    left_db: float  # by how much it stands over what is left of it when it has ended
    before: float  # share of the half second before it in which its tone sounded as well
    again: float = 0.0  # log odds more, by what the network says when it hears it again
    unheard: bool = False  # whether that is only the most it may be: nobody has asked it yet

    @property
    def total(self) -> float:
        """In log odds; nothing speaks for a tone that goes on as loudly: that is a motor's."""
        total = self.log_odds + self.again
        return total if self.left_db >= LEAST_LEFT_DB else min(total, 0.0)


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One tone burst: its onset and offset on both clocks."""

    onset: datetime  # UTC
    onset_s: float  # monotonic
    duration_s: float  # so far, while it still sounds
    peak_score: float
    pitches_hz: tuple[float, ...] = ()  # so far, the most lasting first; of some models none
    opinion: Opinion | None = None  # None if its sound was not asked

    @property
    def odds(self) -> float:
        """That it is a beep, by its score and its sound."""
        said = 0.0 if self.opinion is None else self.opinion.total
        return odds_of(self.peak_score) * math.exp(said)

    @property
    def offset(self) -> datetime:
        """UTC end of the pulse."""
        return self.onset + timedelta(seconds=self.duration_s)

    @property
    def offset_s(self) -> float:
        """Monotonic end of the pulse."""
        return self.onset_s + self.duration_s


def have_same_pitch(one: Pulse, other: Pulse) -> bool:
    """Whether a pitch is known at which both sound."""
    return any(
        is_same_pitch(pitch_hz, other_hz)
        for pitch_hz in one.pitches_hz
        for other_hz in other.pitches_hz
    )


def is_same_pitch(one_hz: float, other_hz: float) -> bool:
    """Whether two tones may be one buzzer's."""
    return abs(one_hz / other_hz - 1) <= SAME_PITCH


def are_alike(one: Pulse, later: Pulse) -> bool:
    """Whether two pulses, both over, may be the same signal given again."""
    shorter, longer = sorted([one.duration_s, later.duration_s])
    return (
        longer + LENGTH_SLACK_S <= SAME_LENGTH * (shorter + LENGTH_SLACK_S)
        and later.onset_s - one.offset_s >= SHORTEST_PAUSE_S
        and have_same_pitch(one, later)
    )


class Moment(NamedTuple):
    """One frame: its answer and its centre on both clocks."""

    probability: float
    pitches_hz: tuple[float, ...]  # 0 is none
    at_s: float
    at: datetime


class Tone:
    """A pitch that lasts."""

    def __init__(self) -> None:
        self.pitch_hz = 0.0  # mean
        self.frames = 0

    def hear(self, pitch_hz: float) -> None:
        """One frame more."""
        self.frames += 1
        self.pitch_hz += (pitch_hz - self.pitch_hz) / self.frames


class PulseFinder:
    """One label's pulses, however short or faint.

    A pulse starts where the probability rises over `level`, or far above what it was, and ends
    where it falls below `RELEASE` of that, or far below what it was; both are interpolated between
    frame centres.
    """

    def __init__(self, level: float) -> None:
        self.level = level
        self.pulse: Pulse | None = None  # sounding now
        self._frames = 0  # of it
        self._tones: list[Tone] = []  # in them
        self._released = 0.0  # below it is over
        self._valley = 0.0  # the lowest probability since the last pulse
        self._last = 0.0  # the probability before

    def hear(self, moment: Moment, frame_s: float) -> Pulse | None:
        """One frame further; the pulse that has ended, if one has."""
        ended = None
        probability = moment.probability
        if self.pulse is None:
            self._valley = min(self._valley, probability)
            if probability >= self.level and _odds(probability) >= RISE * _odds(self._valley):
                self._start(moment, frame_s)
        elif probability < self._released:
            crossed = _crossing(self._last, probability, self._released)
            self._extend(self.pulse, moment.at_s - (1 - crossed) * frame_s, self._last)
            ended = self.end()
            self._valley = probability
        elif probability > self.pulse.peak_score:
            self._released = self._release(probability)
            if self._released > self.pulse.peak_score:
                self._start(moment, frame_s)  # what came before was no part of it
        if self.pulse is not None:
            self._listen(moment.pitches_hz)
            self._extend(self.pulse, moment.at_s, probability)
        self._last = probability
        return ended

    def rest(self, lowest: float, last: float) -> None:
        """Frames went by that were all below the level."""
        self._valley = min(self._valley, lowest)
        self._last = last

    def end(self) -> Pulse | None:
        """Whatever sounds is over; what comes is a new beginning."""
        pulse, self.pulse = self.pulse, None
        self._frames = 0
        self._tones.clear()
        self._valley = self._last = 0.0
        return pulse

    def _release(self, peak: float) -> float:
        """The probability below which a pulse of this peak is over."""
        odds = _odds(peak) / FALL
        return max(RELEASE * self.level, odds / (1 + odds))

    def _start(self, moment: Moment, frame_s: float) -> None:
        self._released = self._release(moment.probability)
        before_s = (1 - _crossing(self._last, moment.probability, self.level)) * frame_s
        self._frames = 0
        self._tones.clear()
        self.pulse = Pulse(
            onset=moment.at - timedelta(seconds=before_s),
            onset_s=moment.at_s - before_s,
            duration_s=0.0,
            peak_score=moment.probability,
        )

    def _extend(self, pulse: Pulse, until_s: float, probability: float) -> None:
        self.pulse = Pulse(
            onset=pulse.onset,
            onset_s=pulse.onset_s,
            duration_s=max(0.0, until_s - pulse.onset_s),
            peak_score=max(pulse.peak_score, probability),
            pitches_hz=self._lasting(),
        )

    def _listen(self, pitches_hz: tuple[float, ...]) -> None:
        self._frames += 1
        for pitch_hz in pitches_hz:
            if pitch_hz:
                self._tone_at(pitch_hz).hear(pitch_hz)

    def _tone_at(self, pitch_hz: float) -> Tone:
        for tone in self._tones:
            if is_same_pitch(pitch_hz, tone.pitch_hz):
                return tone
        tone = Tone()
        self._tones = [*self._tones[:MOST_PITCHES], tone]
        return tone

    def _lasting(self) -> tuple[float, ...]:
        lasting = [tone for tone in self._tones if tone.frames >= KEPT * self._frames]
        if len(lasting) > 1:
            lasting.sort(key=lambda tone: -tone.frames)
        return tuple([tone.pitch_hz for tone in lasting])


def odds_of(probability: float) -> float:
    """How many times likelier than not."""
    return probability / max(1 - probability, 1e-9)


def _odds(probability: float) -> float:
    return min(odds_of(probability), MOST_ODDS)


def _crossing(before: float, after: float, level: float) -> float:
    """Where between two frames (0 to 1) the score crosses `level`, by linear interpolation."""
    if after == before:
        return 0.0
    return min(1.0, max(0.0, (level - before) / (after - before)))
