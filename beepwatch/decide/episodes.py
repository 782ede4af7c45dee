"""Frames become pulses, pulses become episodes.

Windows overlap, so most frames are seen several times. `FrameMerger` takes each stretch of the
stream once, from the first window that holds enough sound after it; what follows works frame by
frame, so it cannot matter how the stream was cut into windows.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.messages import Quiet, Scores

ROUNDING_S = 1e-6  # times are sums of floats; nothing here is that short
FOLLOWING = 0.6  # of the threshold: where one pulse was heard, the next is believed more easily
RELEASE = 0.6  # of the threshold: a pulse ends below this, so that a wavering score stays one pulse


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One tone burst: its onset and offset on both clocks."""

    onset: datetime  # UTC
    onset_s: float  # monotonic
    duration_s: float  # so far, while it still sounds
    peak_score: float

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
    """A further pulse is long enough to count; `episode` holds it as its last."""

    episode: Episode
    at_s: float  # monotonic


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """No pulse has followed for long enough: the episode is complete."""

    episode: Episode
    at_s: float  # monotonic


Change = Counted | Closed


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """A run of frames that nobody has seen yet; `probabilities` is float32 [frames, labels].

    `first_s` and `first_at` are the centre of the first frame on both clocks.
    """

    probabilities: NDArray[np.float32]
    frame_s: float
    first_s: float
    first_at: datetime


class FrameMerger:
    """Takes every stretch of the stream exactly once out of overlapping windows.

    The last `context_s` of a window are held back until the next window shows them with what
    follows; if that one was dropped as silent they count as they are.
    """

    def __init__(self, context_s: float) -> None:
        self._context_s = context_s
        self._stream_id: str | None = None
        self._taken_until = 0  # sample position: everything before it is settled
        self._pending: Scores | None = None

    def hear(self, scores: Scores) -> Iterator[Frames]:
        """The frames of this window that are new and settled, after any that it proves final."""
        yield from self._move_to(scores.stream_id, scores.first_sample)
        settled_until = _end_of(scores) - round(self._context_s * scores.rate_hz)
        yield from self._take(scores, settled_until)
        self._pending = scores

    def skip(self, quiet: Quiet) -> Iterator[Frames]:
        """What the window before the silence still held back."""
        yield from self._move_to(quiet.stream_id, quiet.first_sample)
        yield from self.flush()

    def flush(self) -> Iterator[Frames]:
        """All that is held back: nothing that follows can tell more about it."""
        if self._pending is not None:
            yield from self._take(self._pending, _end_of(self._pending))
            self._pending = None

    def _move_to(self, stream_id: str, first_sample: int) -> Iterator[Frames]:
        if stream_id != self._stream_id:
            yield from self.flush()
            self._stream_id = stream_id
            self._taken_until = first_sample
        elif first_sample > self._taken_until:
            if self._pending is not None:
                yield from self._take(self._pending, first_sample)
            self._taken_until = first_sample

    def _take(self, scores: Scores, until: int) -> Iterator[Frames]:
        """Frames whose centres lie from what is taken to `until` (sample positions)."""
        frame_samples = scores.frame_s * scores.rate_hz
        count = len(scores.probabilities)
        start = _frames_before(self._taken_until - scores.first_sample, frame_samples, count)
        stop = _frames_before(until - scores.first_sample, frame_samples, count)
        if start >= stop:
            return
        centre_s = (start + 0.5) * scores.frame_s
        yield Frames(
            probabilities=scores.probabilities[start:stop],
            frame_s=scores.frame_s,
            first_s=scores.started_mono_s + centre_s,
            first_at=scores.started_at + timedelta(seconds=centre_s),
        )
        self._taken_until = scores.first_sample + round(stop * frame_samples)


def _end_of(scores: Scores) -> int:
    """Sample position after the window's last frame."""
    return scores.first_sample + round(len(scores.probabilities) * scores.frame_s * scores.rate_hz)


def _frames_before(samples: int, frame_samples: float, count: int) -> int:
    """How many of a window's frames have their centre before `samples` from its start."""
    return min(count, max(0, int(np.ceil(samples / frame_samples - 0.5))))


class LabelTracker:
    """The state machine of one label: idle, in a pulse, between the pulses of an episode.

    A pulse starts where the probability crosses `threshold`, or `FOLLOWING` of it within an
    episode, and ends where it falls below `RELEASE` of that, both interpolated between frame
    centres; it counts once it has lasted `min_pulse_s`. An episode closes `gap_s` after its last
    pulse, or once it is `longest_s` long.
    """

    def __init__(
        self, label: str, threshold: float, *, min_pulse_s: float, gap_s: float, longest_s: float
    ) -> None:
        self._label = label
        self._threshold = threshold
        self._min_pulse_s = min_pulse_s
        self._gap_s = gap_s
        self._longest_s = longest_s
        self._pulses: tuple[Pulse, ...] = ()  # of the open episode, all counted
        self._pulse: Pulse | None = None  # sounding now
        self._started_at = threshold  # the level at which it started
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
            yield self._close()

    def _step(
        self, probability: float, now_s: float, at: datetime, frame_s: float
    ) -> Iterator[Change]:
        if self._pulse is None:
            yield from self._close_if_over(now_s)
            if probability >= self._level:
                self._start_pulse(probability, now_s, at, frame_s)
        elif probability < RELEASE * self._started_at:
            crossed = _crossing(self._last, probability, RELEASE * self._started_at)
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
        self._started_at = self._level
        self._counted = False

    @property
    def _level(self) -> float:
        """The probability at which the next pulse starts."""
        return self._threshold * FOLLOWING if self._pulses else self._threshold

    def _extend(self, pulse: Pulse, until_s: float, probability: float) -> None:
        self._pulse = msgspec.structs.replace(
            pulse,
            duration_s=max(0.0, until_s - pulse.onset_s),
            peak_score=max(pulse.peak_score, probability),
        )
        if self._counted:
            self._pulses = (*self._pulses[:-1], self._pulse)

    def _count(self) -> Iterator[Change]:
        """Announce the sounding pulse as soon as it is long enough."""
        if self._counted or self._pulse is None:
            return
        if self._pulse.duration_s < self._min_pulse_s - ROUNDING_S:
            return
        self._counted = True
        self._pulses = (*self._pulses, self._pulse)
        yield Counted(
            episode=Episode(label=self._label, pulses=self._pulses),
            at_s=self._pulse.onset_s + self._min_pulse_s,
        )

    def _end_pulse(self) -> Iterator[Change]:
        self._pulse = None
        if self._pulses and self._span_s() >= self._longest_s:
            yield self._close()

    def _close_if_over(self, now_s: float) -> Iterator[Change]:
        if self._pulses and now_s - self._pulses[-1].offset_s > self._gap_s:
            yield self._close()

    def _span_s(self) -> float:
        return self._pulses[-1].offset_s - self._pulses[0].onset_s

    def _close(self) -> Closed:
        episode = Episode(label=self._label, pulses=self._pulses, closed=True)
        self._pulses = ()
        return Closed(episode=episode, at_s=episode.pulses[-1].offset_s + self._gap_s)


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
