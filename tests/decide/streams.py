"""Streams of frame probabilities, cut into windows as a recorder would cut them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers
from beepwatch.decide.episodes import Change, Closed, Episode, EpisodeTracker
from beepwatch.messages import Quiet, Scores

RATE_HZ = 16_000
FRAME_S = 0.04
FRAME_SAMPLES = round(FRAME_S * RATE_HZ)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START_S = 1_000.0


class Deaf:
    """A network that hears nothing, however often it is asked."""

    labels = ("beep",)
    rate_hz = RATE_HZ
    frame_s = FRAME_S
    context_s = history_s = 0.0

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """Zeros."""
        frames = len(pcm) // FRAME_SAMPLES
        none = np.zeros((frames, 1), dtype=np.float32)
        return Answers(none, none, none)


def scores(
    frames: Sequence[float],
    first_frame: int,
    stream_id: str = "a",
    later_s: float = 0.0,
    pitches_hz: Sequence[Sequence[float]] | None = None,
    label: str = "beep",
) -> Scores:
    """A window of one label beginning at `first_frame` of a stream opened `later_s`."""
    return Scores(
        probabilities=np.array(frames, dtype=np.float32).reshape(-1, 1),
        pitch_hz=None if pitches_hz is None else np.array(pitches_hz, dtype=np.float32),
        labels=(label,),
        frame_s=FRAME_S,
        stream_id=stream_id,
        first_sample=first_frame * FRAME_SAMPLES,
        rate_hz=RATE_HZ,
        started_at=START + timedelta(seconds=first_frame * FRAME_S + later_s),
        started_mono_s=START_S + first_frame * FRAME_S + later_s,
        model_id="test",
    )


def quiet(frames: int, first_frame: int, stream_id: str = "a") -> Quiet:
    """A window of so many frames that the gate dropped."""
    return Quiet(
        stream_id=stream_id,
        sequence=0,
        first_sample=first_frame * FRAME_SAMPLES,
        samples=frames * FRAME_SAMPLES,
        rate_hz=RATE_HZ,
        started_at=START + timedelta(seconds=first_frame * FRAME_S),
        started_mono_s=START_S + first_frame * FRAME_S,
        level_dbfs=-60.0,
        lost_samples=0,
        source="test",
    )


def tracker(
    context_s: float = 0.32, gap_s: float = 1.0, longest_s: float = 600.0
) -> EpisodeTracker:
    """A tracker of `beep` at threshold 0.5."""
    return EpisodeTracker({"beep": 0.5}, context_s=context_s, gap_s=gap_s, longest_s=longest_s)


def cut(frames: Sequence[float], window: int, hop: int, gated: bool = False) -> list[Change]:
    """All changes of a stream cut into windows; with `gated`, silent windows are dropped."""
    following = tracker()
    changes: list[Change] = []
    for first in range(0, max(1, len(frames) - window + hop), hop):
        part = frames[first : first + window]
        if gated and max(part) == 0:
            changes += following.skip(quiet(len(part), first))
        else:
            changes += following.hear(scores(part, first))
    return changes + following.finish()


def episodes(changes: Sequence[Change]) -> list[Episode]:
    """The complete episodes among the changes."""
    return [change.episode for change in changes if isinstance(change, Closed)]


def seconds(episode: Episode) -> list[tuple[float, float]]:
    """Onset and duration of each pulse, in seconds from the stream's start, to the microsecond."""
    return [
        (round(pulse.onset_s - START_S, 6), round(pulse.duration_s, 6)) for pulse in episode.pulses
    ]


def beeps(*pulses: tuple[int, int], total: int) -> list[float]:
    """A stream of `total` frames that is 1 in each (first frame, frames) and 0 elsewhere."""
    frames = [0.0] * total
    for first, length in pulses:
        frames[first : first + length] = [1.0] * length
    return frames
