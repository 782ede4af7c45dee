"""Pulses become episodes: what is believed, what belongs together, what is over.

A pulse that would not be believed by itself is held for a while, and if others come that are its
like (`decide/believing.py`), all of them are.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.believing import KNOWN_ODDS, Belief, Ear, lowered
from beepwatch.decide.merging import FrameMerger, Frames
from beepwatch.decide.pulses import (
    Moment,
    Pulse,
    PulseFinder,
    are_alike,
    have_same_pitch,
)
from beepwatch.messages import Quiet, Scores

ROUNDING_S = 1e-6  # times are sums of floats; nothing here is that short
ASKED_OF = "beep"  # whose sound the opinion was fitted to
REMEMBERED_S = 10.0  # how long a pulse waits for its like


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """Pulses of one label that belong together, in time order, at least one."""

    label: str
    pulses: tuple[Pulse, ...]
    closed: bool = False
    counted: int | None = None  # pulses, in its sound; None if it was not counted there

    @property
    def onset(self) -> datetime:
        """UTC start of the first pulse; with the label, what an episode is known by."""
        return self.pulses[0].onset

    @property
    def offset(self) -> datetime:
        """UTC end of the last pulse."""
        return self.pulses[-1].offset

    @property
    def count(self) -> int:
        """How many pulses it has, as far as is known."""
        return len(self.pulses) if self.counted is None else self.counted

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


class LabelTracker:
    """The state machine of one label: nothing, pulses not yet believed, an episode.

    Pulses of `min_pulse_s` and longer, with pauses of no more than `gap_s`, are a group. A group
    is an episode from when one of its pulses is believed, as it ends or earlier, for itself or for
    others alike (`decide/believing.py`; `ear` is asked what they sound like). Pulses that are
    fainter still (by `KNOWN_ODDS`) count where they sound at the pitch of those. What never gets so
    far is forgotten. An episode closes `gap_s` after its last pulse, or once `longest_s` long.
    """

    def __init__(
        self,
        label: str,
        threshold: float,
        *,
        min_pulse_s: float,
        gap_s: float,
        longest_s: float,
        ear: Ear | None = None,
    ) -> None:
        self._label = label
        self._threshold = threshold
        self._min_pulse_s = min_pulse_s
        self._gap_s = gap_s
        self._longest_s = longest_s
        self._belief = Belief(threshold, ear)
        self._finder = PulseFinder(lowered(threshold, KNOWN_ODDS))
        self._pulses: tuple[Pulse, ...] = ()  # of the group, long enough to count
        self._sounds = False  # whether the last of them still does
        self._believed = False  # whether the group is an episode
        self._told = 0  # pulses of it that were
        self._last_s: float | None = None  # centre of the frame before

    @property
    def at_rest(self) -> bool:
        """Whether nothing is open: neither a pulse nor a group."""
        return not self._pulses and self._finder.pulse is None

    @property
    def episode(self) -> Episode | None:
        """What is believed and not over yet, as far as it was told."""
        if not self._told:
            return None
        return Episode(label=self._label, pulses=self._pulses[: self._told])

    def feed(self, frames: Frames, column: int) -> Iterator[Change]:
        """Follow one run of frames; changes come in time order."""
        probabilities = frames.probabilities[:, column]
        if self._last_s is None or frames.first_s - self._last_s > 1.5 * frames.frame_s:
            yield from self.silence_until(frames.first_s - frames.frame_s)
        loud = np.flatnonzero(probabilities >= self._finder.level).tolist()
        index = 0
        while index < len(probabilities):
            if self._finder.pulse is None:
                start = next((one for one in loud if one >= index), len(probabilities))
                yield from self._pass_over(frames, probabilities, index, start)
                index = start
            if index < len(probabilities):
                yield from self._step(_moment(frames, probabilities, index), frames.frame_s)
                index += 1

    def _pass_over(
        self, frames: Frames, probabilities: NDArray[np.float32], index: int, start: int
    ) -> Iterator[Change]:
        """The frames from `index` to before `start`, none of which a pulse can begin in."""
        if index == start:
            return
        end_s = frames.first_s + (start - 1) * frames.frame_s
        yield from self._close_if_over(end_s)
        between = probabilities[index:start]
        self._finder.rest(float(between.min()), float(between[-1]))
        self._last_s = end_s

    def silence_until(self, now_s: float) -> Iterator[Change]:
        """No frame tells of the time from the last one until now: the gate found it silent."""
        if self._last_s is not None and now_s <= self._last_s:
            return
        yield from self._end(self._finder.end())
        yield from self._close_if_over(now_s)
        self._last_s = now_s

    def finish(self) -> Iterator[Change]:
        """End the pulse and close the episode: no more sound will come."""
        yield from self._end(self._finder.end())
        yield from self._close()

    def _step(self, moment: Moment, frame_s: float) -> Iterator[Change]:
        if self._finder.pulse is None:
            yield from self._close_if_over(moment.at_s)
        yield from self._end(self._finder.hear(moment, frame_s))
        if self._finder.pulse is not None:
            yield from self._follow(self._finder.pulse)
        self._last_s = moment.at_s

    def _follow(self, pulse: Pulse) -> Iterator[Change]:
        """The sounding pulse, or how it ended: into the group as soon as it is long enough."""
        if pulse.duration_s < self._min_pulse_s - ROUNDING_S:
            return
        earlier = self._pulses[:-1] if self._sounds else self._remembered(pulse)
        self._pulses = (*earlier, pulse)
        self._sounds = True
        if self._believed:
            if self._told < len(self._pulses) and self._belongs(pulse, earlier):
                yield from self._tell(pulse.onset_s + self._min_pulse_s)
        elif self._belief.holds_at_once(pulse):
            yield from self._believe(pulse)

    def _end(self, pulse: Pulse | None) -> Iterator[Change]:
        if pulse is None:
            return
        yield from self._follow(pulse)
        if self._sounds and not self._believed:
            yield from self._judge(self._belief.asked_of(pulse))
        if self._believed:
            self._pulses = self._pulses[: self._told]
        if self._sounds:
            self._belief.passed(pulse, self._pulses if self._believed else ())
        self._sounds = False
        if self._believed and self._last_offset_s() - self._pulses[0].onset_s >= self._longest_s:
            yield from self._close()

    def _judge(self, pulse: Pulse) -> Iterator[Change]:
        """The group's last, now that it is over: with those before it that are its like."""
        pulses = [*self._pulses[:-1], pulse]
        places = [i for i, one in enumerate(pulses[:-1]) if are_alike(one, pulse)]
        places.append(len(pulses) - 1)
        settled = self._belief.settled([pulses[place] for place in places])
        for place, one in zip(places, settled, strict=True):
            pulses[place] = one
        self._pulses = tuple(pulses)
        *alike, pulse = settled
        same = [one for one in pulses[:-1] if have_same_pitch(one, pulse)]
        if self._belief.holds(pulse, alike) or self._belief.holds_as_regular([*same, pulse]):
            yield from self._believe(pulse)

    def _remembered(self, pulse: Pulse) -> tuple[Pulse, ...]:
        if self._believed:
            return self._pulses
        oldest_s = pulse.onset_s - REMEMBERED_S
        return tuple(earlier for earlier in self._pulses if earlier.onset_s >= oldest_s)

    def _belongs(self, pulse: Pulse, others: tuple[Pulse, ...]) -> bool:
        if not pulse.pitches_hz:
            return self._belief.is_near(pulse)
        return pulse.peak_score >= self._threshold or any(
            have_same_pitch(pulse, other) for other in others
        )

    def _believe(self, pulse: Pulse) -> Iterator[Change]:
        """The group is an episode, from the first pulse of this one's pitch on."""
        *earlier, _ = self._pulses
        start = next((i for i, one in enumerate(earlier) if have_same_pitch(one, pulse)), None)
        kept = () if start is None else earlier[start:]
        self._pulses = (*(one for one in kept if self._belongs(one, (pulse,))), pulse)
        self._believed = True
        yield from self._tell(pulse.offset_s)

    def _tell(self, at_s: float) -> Iterator[Change]:
        """Of each pulse that was not told yet, so that rules see all of them."""
        while self._told < len(self._pulses):
            self._told += 1
            episode = Episode(label=self._label, pulses=self._pulses[: self._told])
            yield Counted(episode=episode, at_s=at_s)

    def _close_if_over(self, now_s: float) -> Iterator[Change]:
        if self._pulses and now_s - self._last_offset_s() > self._gap_s:
            yield from self._close()

    def _last_offset_s(self) -> float:
        """What is faint does not keep together what may not be one."""
        last = self._pulses[-1]
        if not self._believed:
            last = next(filter(self._belief.is_near, reversed(self._pulses)), last)
        return last.offset_s

    def _close(self) -> Iterator[Change]:
        if self._believed:
            episode = Episode(label=self._label, pulses=self._pulses, closed=True)
            yield Closed(episode=episode, at_s=episode.pulses[-1].offset_s + self._gap_s)
        self._pulses = ()
        self._believed = False
        self._told = 0


class EpisodeTracker:
    """Scores and silences in, pulses and episodes out, for every label with a threshold.

    `thresholds` holds a probability per label, in any order; labels without one are not followed.
    The defaults are those of appliances: pulses from 60 ms, patterns with pauses up to 3 s.
    `ear` tells what a beep's sound says of it, where the sound is at hand.
    """

    def __init__(
        self,
        thresholds: Mapping[str, float],
        *,
        context_s: float,
        min_pulse_s: float = 0.06,
        gap_s: float = 3.0,
        longest_s: float = 600.0,
        ear: Ear | None = None,
    ) -> None:
        self._merger = FrameMerger(context_s)
        self._trackers = {
            label: LabelTracker(
                label,
                threshold,
                min_pulse_s=min_pulse_s,
                gap_s=gap_s,
                longest_s=longest_s,
                ear=ear if label == ASKED_OF else None,
            )
            for label, threshold in thresholds.items()
        }
        self._labels: tuple[str, ...] = tuple(thresholds)

    @property
    def at_rest(self) -> bool:
        """Whether what was heard so far has no bearing on what is to come, but as company."""
        return all(tracker.at_rest for tracker in self._trackers.values())

    @property
    def open_episodes(self) -> list[Episode]:
        """Those that are not over yet, as they are known now."""
        episodes = [tracker.episode for tracker in self._trackers.values()]
        return [episode for episode in episodes if episode is not None]

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


def _moment(frames: Frames, probabilities: NDArray[np.float32], index: int) -> Moment:
    offset_s = index * frames.frame_s
    return Moment(
        probability=float(probabilities[index]),
        pitches_hz=() if frames.pitch_hz is None else tuple(frames.pitch_hz[index].tolist()),
        at_s=frames.first_s + offset_s,
        at=frames.first_at + timedelta(seconds=offset_s),
    )


def _time_of(change: Change) -> float:
    return change.at_s
