"""Frames become pulses, pulses become episodes.

Everything goes frame by frame, so it cannot matter in what runs the frames arrive.

An appliance repeats itself exactly; nothing alive does. So a pulse that would not be believed by
itself is held for a while, and if another comes that is its like in pitch and length, both are.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from statistics import median

import msgspec

from beepwatch.decide.merging import FrameMerger, Frames
from beepwatch.messages import Quiet, Scores

ROUNDING_S = 1e-6  # times are sums of floats; nothing here is that short
REPEATED_ODDS = 6.0  # by how much the odds of a pulse rise that comes again just so
SAME_PITCH = 0.01  # relative; a buzzer keeps its pitch far better, a throat does not
SAME_LENGTH = 1.6  # longer over shorter, each with `LENGTH_SLACK_S` added
LENGTH_SLACK_S = 0.04  # two frames: how far off the ends of a pulse may be
SHORTEST_PAUSE_S = 0.05  # or a wavering tone would be its own like
REMEMBERED_S = 10.0  # how long a pulse waits for its like
RELEASE = 0.6  # of the level: a pulse ends below this, so that a wavering score stays one pulse


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One tone burst: its onset and offset on both clocks."""

    onset: datetime  # UTC
    onset_s: float  # monotonic
    duration_s: float  # so far, while it still sounds
    peak_score: float
    pitch_hz: float | None = None  # median so far; None from a model that tells none

    @property
    def offset(self) -> datetime:
        """UTC end of the pulse."""
        return self.onset + timedelta(seconds=self.duration_s)

    @property
    def offset_s(self) -> float:
        """Monotonic end of the pulse."""
        return self.onset_s + self.duration_s


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """Pulses of one label that belong together, in time order, at least one."""

    label: str
    pulses: tuple[Pulse, ...]
    closed: bool = False

    @property
    def onset(self) -> datetime:
        """UTC start of the first pulse; with the label, what an episode is known by."""
        return self.pulses[0].onset

    @property
    def offset(self) -> datetime:
        """UTC end of the last pulse."""
        return self.pulses[-1].offset

    @property
    def peak_score(self) -> float:
        """The highest frame probability of all pulses."""
        return max(pulse.peak_score for pulse in self.pulses)


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A further pulse is believed; `episode` holds it as its last."""

    episode: Episode
    at_s: float  # monotonic


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """No pulse has followed for long enough: the episode is complete."""

    episode: Episode
    at_s: float  # monotonic


Change = Counted | Closed


def are_alike(one: Pulse, other: Pulse) -> bool:
    """Whether two pulses, both over, may be the same signal given again."""
    if one.pitch_hz is None or other.pitch_hz is None:
        return False
    shorter, longer = sorted([one.duration_s, other.duration_s])
    pause_s = max(one.onset_s, other.onset_s) - min(one.offset_s, other.offset_s)
    return (
        abs(one.pitch_hz / other.pitch_hz - 1) <= SAME_PITCH
        and longer + LENGTH_SLACK_S <= SAME_LENGTH * (shorter + LENGTH_SLACK_S)
        and pause_s >= SHORTEST_PAUSE_S
    )


class LabelTracker:
    """The state machine of one label: idle, in a pulse, between the pulses of a group.

    A pulse starts where the probability's odds are a `REPEATED_ODDS`th of the threshold's and ends
    where it falls below `RELEASE` of that, both interpolated between frame centres; it counts once
    it has lasted `min_pulse_s`. Counted pulses with pauses of no more than `gap_s` are a group.
    A group is an episode from when one of its pulses reaches `threshold`, or two are alike; what
    never gets so far is forgotten. An episode closes `gap_s` after its last pulse, or once it is
    `longest_s` long.
    """

    def __init__(
        self, label: str, threshold: float, *, min_pulse_s: float, gap_s: float, longest_s: float
    ) -> None:
        self._label = label
        self._threshold = threshold
        self._level = threshold / (threshold + REPEATED_ODDS * (1 - threshold))
        self._min_pulse_s = min_pulse_s
        self._gap_s = gap_s
        self._longest_s = longest_s
        self._pulses: tuple[Pulse, ...] = ()  # of the open group, all counted
        self._believed = False  # whether the group is an episode
        self._pulse: Pulse | None = None  # sounding now
        self._pitches_hz: list[float] = []  # of its frames
        self._counted = False  # whether the sounding pulse is the last of _pulses
        self._last = 0.0  # the probability before
        self._last_s: float | None = None  # and the time of its frame

    def feed(self, frames: Frames, column: int) -> Iterator[Change]:
        """Follow one run of frames; changes come in time order."""
        probabilities = frames.probabilities[:, column]
        if self._last_s is None or frames.first_s - self._last_s > 1.5 * frames.frame_s:
            yield from self.silence_until(frames.first_s - frames.frame_s)
        end_s = frames.first_s + (len(probabilities) - 1) * frames.frame_s
        if self._pulse is None and float(probabilities.max()) < self._level:
            yield from self._close_if_over(end_s)
            self._last, self._last_s = float(probabilities[-1]), end_s
            return
        for index, probability in enumerate(probabilities.tolist()):
            offset_s = index * frames.frame_s
            yield from self._step(
                probability,
                frames.first_s + offset_s,
                frames.first_at + timedelta(seconds=offset_s),
                frames.frame_s,
            )
            if self._pulse is not None and frames.pitch_hz is not None:
                self._pitches_hz.append(float(frames.pitch_hz[index]))

    def silence_until(self, now_s: float) -> Iterator[Change]:
        """No frame tells of the time from the last one until now: the gate found it silent."""
        if self._last_s is not None and now_s <= self._last_s:
            return
        if self._pulse is not None:
            yield from self._end_pulse()
        yield from self._close_if_over(now_s)
        self._last, self._last_s = 0.0, now_s

    def finish(self) -> Iterator[Change]:
        """End the pulse and close the episode: no more sound will come."""
        if self._pulse is not None:
            yield from self._end_pulse()
        if self._pulses:
            yield from self._close()

    def _step(
        self, probability: float, now_s: float, at: datetime, frame_s: float
    ) -> Iterator[Change]:
        release = RELEASE * self._level
        if self._pulse is None:
            yield from self._close_if_over(now_s)
            if probability >= self._level:
                self._start_pulse(probability, now_s, at, frame_s)
        elif probability < release:
            crossed = _crossing(self._last, probability, release)
            self._extend(self._pulse, now_s - (1 - crossed) * frame_s, self._last)
            yield from self._count()
            yield from self._end_pulse()
        if self._pulse is not None:
            self._extend(self._pulse, now_s, probability)
            yield from self._count()
        self._last, self._last_s = probability, now_s

    def _start_pulse(self, probability: float, now_s: float, at: datetime, frame_s: float) -> None:
        before_s = (1 - _crossing(self._last, probability, self._level)) * frame_s
        self._pulse = Pulse(
            onset=at - timedelta(seconds=before_s),
            onset_s=now_s - before_s,
            duration_s=0.0,
            peak_score=probability,
        )
        self._counted = False

    def _extend(self, pulse: Pulse, until_s: float, probability: float) -> None:
        self._pulse = msgspec.structs.replace(
            pulse,
            duration_s=max(0.0, until_s - pulse.onset_s),
            peak_score=max(pulse.peak_score, probability),
            pitch_hz=median(self._pitches_hz) if self._pitches_hz else None,
        )
        if self._counted:
            self._pulses = (*self._pulses[:-1], self._pulse)

    def _count(self) -> Iterator[Change]:
        """Take the sounding pulse into the group as soon as it is long enough."""
        if self._pulse is None or self._pulse.duration_s < self._min_pulse_s - ROUNDING_S:
            return
        if not self._counted:
            self._counted = True
            if not self._believed:
                self._forget_before(self._pulse.onset_s - REMEMBERED_S)
            self._pulses = (*self._pulses, self._pulse)
            if self._believed:
                yield self._told(self._pulses, self._pulse.onset_s + self._min_pulse_s)
        if not self._believed and self._pulse.peak_score >= self._threshold:
            yield from self._believe(self._pulse, self._pulse.offset_s)

    def _end_pulse(self) -> Iterator[Change]:
        pulse, counted = self._pulse, self._counted
        self._pulse, self._counted = None, False
        self._pitches_hz.clear()
        if pulse is not None and counted and not self._believed and self._has_like(pulse):
            yield from self._believe(pulse, pulse.offset_s)
        if self._believed and self._span_s() >= self._longest_s:
            yield from self._close()

    def _has_like(self, pulse: Pulse) -> bool:
        return any(are_alike(pulse, earlier) for earlier in self._pulses[:-1])

    def _believe(self, pulse: Pulse, now_s: float) -> Iterator[Change]:
        """The group is an episode, from the first pulse of this one's pitch on."""
        if pulse.pitch_hz is not None:
            start = next(
                index
                for index, earlier in enumerate(self._pulses)
                if earlier.pitch_hz is not None
                and abs(earlier.pitch_hz / pulse.pitch_hz - 1) <= SAME_PITCH
            )
            self._pulses = self._pulses[start:]
        self._believed = True
        for count in range(1, len(self._pulses) + 1):
            yield self._told(self._pulses[:count], now_s)

    def _told(self, pulses: tuple[Pulse, ...], at_s: float) -> Counted:
        return Counted(episode=Episode(label=self._label, pulses=pulses), at_s=at_s)

    def _forget_before(self, onset_s: float) -> None:
        self._pulses = tuple(pulse for pulse in self._pulses if pulse.onset_s >= onset_s)

    def _close_if_over(self, now_s: float) -> Iterator[Change]:
        if self._pulses and now_s - self._pulses[-1].offset_s > self._gap_s:
            yield from self._close()

    def _span_s(self) -> float:
        return self._pulses[-1].offset_s - self._pulses[0].onset_s

    def _close(self) -> Iterator[Change]:
        if self._believed:
            episode = Episode(label=self._label, pulses=self._pulses, closed=True)
            yield Closed(episode=episode, at_s=episode.pulses[-1].offset_s + self._gap_s)
        self._pulses = ()
        self._believed = False


def _crossing(before: float, after: float, level: float) -> float:
    """Where between two frames (0 to 1) the score crosses `level`, by linear interpolation."""
    if after == before:
        return 0.0
    return min(1.0, max(0.0, (level - before) / (after - before)))


class EpisodeTracker:
    """Scores and silences in, pulses and episodes out, for every label with a threshold.

    `thresholds` holds a probability per label, in any order; labels without one are not followed.
    The defaults are those of appliances: pulses from 60 ms, patterns with pauses up to 3 s.
    """

    def __init__(
        self,
        thresholds: Mapping[str, float],
        *,
        context_s: float,
        min_pulse_s: float = 0.06,
        gap_s: float = 3.0,
        longest_s: float = 600.0,
    ) -> None:
        self._merger = FrameMerger(context_s)
        self._trackers = {
            label: LabelTracker(
                label, threshold, min_pulse_s=min_pulse_s, gap_s=gap_s, longest_s=longest_s
            )
            for label, threshold in thresholds.items()
        }
        self._labels: tuple[str, ...] = tuple(thresholds)

    def hear(self, scores: Scores) -> list[Change]:
        """What one window adds; changes in time order."""
        self._labels = scores.labels
        return self._follow(self._merger.hear(scores))

    def skip(self, quiet: Quiet) -> list[Change]:
        """What becomes known by a window that the gate dropped."""
        changes = self._follow(self._merger.skip(quiet))
        for tracker in self._trackers.values():
            changes += tracker.silence_until(quiet.started_mono_s)
        return sorted(changes, key=_time_of)

    def finish(self) -> list[Change]:
        """End everything: the stream is over."""
        changes = self._follow(self._merger.flush())
        for tracker in self._trackers.values():
            changes += tracker.finish()
        return sorted(changes, key=_time_of)

    def _follow(self, runs: Iterator[Frames]) -> list[Change]:
        changes: list[Change] = []
        for frames in runs:
            for column, label in enumerate(self._labels):
                if tracker := self._trackers.get(label):
                    changes += tracker.feed(frames, column)
        return sorted(changes, key=_time_of)


def _time_of(change: Change) -> float:
    return change.at_s
