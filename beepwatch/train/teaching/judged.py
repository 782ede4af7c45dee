"""Clips that somebody has called right or wrong, as the network answers them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.classify.engines import Answers, Engine
from beepwatch.classify.heads import EMBEDDING
from beepwatch.classify.taught import TaughtEngine
from beepwatch.decide.believing import Ear, lowered
from beepwatch.decide.episodes import Closed, Episode, EpisodeTracker
from beepwatch.errors import ModelError, UnreadableAudio
from beepwatch.messages import Scores
from beepwatch.store.corrections import Correction
from beepwatch.train.teaching.examples import SHORTEST_FRAMES, Example, heard, runs

PULSE_ODDS = 100.0  # by how much less likely than the threshold a frame of a pulse may be
BLOCK_S = 1.0  # of frames given to the state machine at once: a quiet block costs it little
_START = datetime(2026, 1, 1, tzinfo=UTC)  # of every clip; only differences count


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A kept clip with the verdict, and what the shipped network says of it."""

    correction: Correction
    pcm: NDArray[np.int16]
    answers: Answers

    @property
    def event_id(self) -> int:
        """Of the event that was judged."""
        return self.correction.event_id


def read_judged(correction: Correction, engine: Engine) -> Judged:
    """The clip, decoded and heard. Raises UnreadableAudio, ModelError for an unfit network."""
    pcm = np.concatenate([np.zeros(0, np.int16), *decode(correction.path, engine.rate_hz)])
    if not pcm.any():
        raise UnreadableAudio(f"{correction.path} is silent.")
    answers = heard(engine, pcm)
    if answers.embedding.shape[1] != EMBEDDING:
        raise ModelError(
            f"model {engine.model_id} has an embedding of {answers.embedding.shape[1]} features, "
            f"teaching needs {EMBEDDING}. Teach with the shipped model."
        )
    return Judged(correction=correction, pcm=pcm, answers=answers)


def episodes(
    engine: TaughtEngine, answers: Answers, label: str, ear: Ear | None = None
) -> list[Episode]:
    """What the daemon would make of a clip, of one label, with the heads of this engine.

    Without an `ear` for its sound, only what the network is sure of.
    """
    named = engine.named(answers)
    tracker = EpisodeTracker({label: engine.thresholds[label]}, context_s=0.0, ear=ear)
    block = max(round(BLOCK_S / engine.frame_s), 1)
    column = engine.labels.index(label)
    changes = []
    for start in range(0, len(named.probabilities), block):
        changes += tracker.hear(
            Scores(
                probabilities=named.probabilities[start : start + block, column : column + 1],
                pitch_hz=named.pitch_hz[start : start + block],
                labels=(label,),
                frame_s=engine.frame_s,
                stream_id="clip",
                first_sample=round(start * engine.frame_s * engine.rate_hz),
                rate_hz=engine.rate_hz,
                started_at=_START,
                started_mono_s=start * engine.frame_s,
                model_id=engine.model_id,
            )
        )
    changes += tracker.finish()
    return [change.episode for change in changes if isinstance(change, Closed)]


def alarms(engine: TaughtEngine, answers: Answers, label: str, ear: Ear | None = None) -> bool:
    """Whether the daemon would take note of anything."""
    return bool(episodes(engine, answers, label, ear))


def as_example(judged: Judged, engine: TaughtEngine, label: str) -> Example | None:
    """The clip with the frames that counted for the label; None where none do any more."""
    named = engine.named(judged.answers)
    likely = named.probabilities[:, engine.labels.index(label)]
    counted = likely >= lowered(engine.thresholds[label], PULSE_ODDS)
    for start, end in runs(counted):
        counted[start:end] = end - start >= SHORTEST_FRAMES
    if not counted.any():
        return None
    return Example(
        text=f"the clip of event {judged.event_id}",
        pcm=judged.pcm,
        sounding=counted,
        answers=judged.answers,
        by_network=True,
    )


def named_events(event_ids: Sequence[int]) -> str:
    """For a line: `event 3`, `events 3, 5 and 8`, or with how many more."""
    shown = [str(number) for number in event_ids[:5]]
    if len(event_ids) > len(shown):
        return f"events {', '.join(shown)} and {len(event_ids) - len(shown)} more"
    if len(shown) == 1:
        return f"event {shown[0]}"
    return f"events {', '.join(shown[:-1])} and {shown[-1]}"
