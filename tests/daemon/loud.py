"""Sound whose loudness is its label: a model that hears beeps where the sound is loud."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers
from beepwatch.messages import Quiet, Window

RATE_HZ = 1_000
FRAME_S = 0.04
FRAME_SAMPLES = 40
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START_S = 1_000.0
THRESHOLDS = {"beep": 0.5}
CONTEXT_S = 0.08
MURMUR = 91


class Loudness:
    """An engine: each frame's probability is its mean size above the murmur's."""

    labels = ("beep",)
    rate_hz = RATE_HZ
    frame_s = FRAME_S
    context_s = CONTEXT_S
    history_s = 0.0
    step_frames = 1
    model_id = "loudness"

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """Of int16 [samples]; every beep has the same pitch, and the murmur none."""
        frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        loud = np.abs(frames).mean(axis=1, keepdims=True) - MURMUR
        scores = np.clip(loud / 900, 0.0, 1.0).astype(np.float32)
        pitch_hz = np.where(scores > 0, 1_000, 0).astype(np.float32)
        return Answers(scores, pitch_hz, np.zeros((len(scores), 0), dtype=np.float32))


def sound(seconds: float, beeps: Sequence[tuple[float, float]]) -> NDArray[np.int16]:
    """A murmur whose every sample differs from the next, with beeps of (onset, length)."""
    count = round(seconds * RATE_HZ)
    pcm = (np.arange(count) % 90 + 1).astype(np.int16)
    for onset_s, length_s in beeps:
        start, stop = round(onset_s * RATE_HZ), round((onset_s + length_s) * RATE_HZ)
        pcm[start:stop] += 900
    return pcm


def windows(
    pcm: NDArray[np.int16],
    *,
    window_s: float = 3.0,
    hop_s: float = 1.0,
    gated: bool = False,
    later_s: float = 0.0,
    stream_id: str = "a",
) -> Iterator[Window | Quiet]:
    """The sound as a recorder cuts it; `gated` drops windows without a beep."""
    length, hop = round(window_s * RATE_HZ), round(hop_s * RATE_HZ)
    for sequence, first in enumerate(range(0, max(1, len(pcm) - length + hop), hop)):
        part = pcm[first : first + length]
        at_s = first / RATE_HZ + later_s
        place: dict[str, Any] = {
            "stream_id": stream_id,
            "sequence": sequence,
            "first_sample": first,
            "rate_hz": RATE_HZ,
            "started_at": START + timedelta(seconds=at_s),
            "started_mono_s": START_S + at_s,
            "level_dbfs": -30.0,
            "lost_samples": 0,
            "source": "test",
        }
        if gated and part.max() < 900:
            yield Quiet(samples=len(part), **place)
        else:
            yield Window(pcm=part.tobytes(), **place)
