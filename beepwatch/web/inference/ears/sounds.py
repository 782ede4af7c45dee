"""Listens for the sounds of a model and for those that were taught."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import Answers, answers_of_stream, undated
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import TaughtEngine, open_taught, untaught
from beepwatch.decide import episodes
from beepwatch.decide.episodes import Change, Closed, EpisodeTracker
from beepwatch.decide.recent import RecentSound
from beepwatch.web.inference.answers import ModelShown, rounded
from beepwatch.web.inference.ears.upload import UploadedSound
from beepwatch.web.inference.settings import Sounds
from beepwatch.web.inference.sounds import Episode, Heard, Stretch

_DECIDED_AT_ONCE = 250  # frames


class SoundEar:
    """A model's network and the heads of taught sounds."""

    def __init__(self, settings: Sounds) -> None:
        """Raises ModelError."""
        bundle = load_bundle(Path(settings.bundle))
        shelf = Shelf(Path(settings.state))
        self._engine, self.problems = open_taught(bundle, settings.runtime, shelf)
        self._window_s = bundle.info.window_s
        self.rate_hz = self._engine.rate_hz
        self.model = ModelShown(
            kind="sounds",
            id=self._engine.model_id,
            name=bundle.info.name,
            labels=list(self._engine.labels),
            thresholds=dict(self._engine.thresholds),
        )
        # Silence once, so that the first upload waits for nothing.
        self._engine.answers(np.zeros(round(self._window_s * self.rate_hz), np.int16))

    def hear(self, sound: UploadedSound, *, in_full: bool) -> Heard | None:
        """The whole of it; None if there is no sound."""
        return Hearing(self._engine, self._window_s, in_full=in_full).of(sound)


class Hearing:
    """One upload on its way: scored stretch by stretch, in memory that does not grow with it.

    For a verdict windows are left out, and pulses stay as the network tells them: nobody would see
    either, and to count pulses takes half as long as to hear them.
    """

    def __init__(self, engine: TaughtEngine, window_s: float, *, in_full: bool = True) -> None:
        self._engine = engine
        self._in_full = in_full
        self._recent = RecentSound(untaught(engine))
        self._tracker = EpisodeTracker(engine.thresholds, context_s=0.0, ear=self._recent)
        self._window_frames = max(1, round(window_s / engine.frame_s))
        self._frames = 0
        self._episodes: list[Episode] = []
        self._peaks: list[NDArray[np.float32]] = []  # of each window, [labels]

    def of(self, sound: UploadedSound) -> Heard | None:
        """The whole of it; None if there is no sound. Raises TooLong."""
        for answers in answers_of_stream(self._engine, self._blocks(sound)):
            self._follow(answers)
        if self._frames == 0:
            return None
        self._keep(self._tracker.finish())
        return Heard(
            duration_s=sound.duration_s,
            probabilities=_rounded(np.max(self._peaks, axis=0)),
            events=sorted(self._episodes, key=lambda one: one.onset_s),
            windows=self._windows(sound.samples / self._engine.rate_hz) if self._in_full else [],
            problem=sound.problem,
        )

    def _blocks(self, sound: UploadedSound) -> Iterator[NDArray[np.int16]]:
        """Less than a frame is followed by silence, to be one."""
        least = round(self._engine.frame_s * self._engine.rate_hz)
        for block in sound.blocks():
            self._recent.add(block)
            yield block
        if 0 < sound.samples < least:
            yield np.zeros(least - sound.samples, np.int16)

    def _follow(self, answers: Answers) -> None:
        for start in range(0, len(answers.probabilities), _DECIDED_AT_ONCE):
            piece = answers.part(start, _DECIDED_AT_ONCE)
            self._note_peaks(piece.probabilities)
            changes = self._tracker.hear(undated(piece, self._engine, self._frames))
            self._frames += len(piece.probabilities)
            self._keep(changes)

    def _note_peaks(self, probabilities: NDArray[np.float32]) -> None:
        """Of frames that follow those so far, whichever windows they lie in."""
        start = 0
        while start < len(probabilities):
            within = (self._frames + start) % self._window_frames
            piece = probabilities[start : start + self._window_frames - within]
            highest = piece.max(axis=0)
            if within == 0:
                self._peaks.append(highest)
            else:
                self._peaks[-1] = np.maximum(self._peaks[-1], highest)
            start += len(piece)

    def _keep(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Closed):
                told = change.episode
                if self._in_full:
                    told = self._recent.recounted(told)
                self._episodes.append(_shown(told))

    def _windows(self, end_s: float) -> list[Stretch]:
        length_s = self._window_frames * self._engine.frame_s
        return [
            Stretch(
                start_s=round(number * length_s, 3),
                end_s=round(min((number + 1) * length_s, end_s), 3),
                probabilities=_rounded(peaks),
            )
            for number, peaks in enumerate(self._peaks)
        ]


def _shown(told: episodes.Episode) -> Episode:
    return Episode(
        label=told.label,
        onset_s=round(max(0.0, told.pulses[0].onset_s), 3),
        offset_s=round(told.pulses[-1].offset_s, 3),
        pulses=told.count,
        score=rounded(told.peak_score),
    )


def _rounded(probabilities: NDArray[np.float32]) -> list[float]:
    return [rounded(float(one)) for one in probabilities]
