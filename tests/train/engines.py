"""Engines whose answers are known beforehand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers
from beepwatch.train.judging.streams import BeepStream


class SteadyEngine:
    """Gives every frame the same score at one pitch: 0 is deaf, 1 always fires."""

    labels = ("beep",)
    rate_hz = 16_000
    frame_s = 0.02
    context_s = 0.0
    history_s = 0.0
    step_frames = 1
    model_id = "steady"

    def __init__(self, score: float) -> None:
        self._score = score

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """The same for all frames."""
        frames = len(pcm) // round(self.frame_s * self.rate_hz)
        scores = np.full((frames, 1), self._score, dtype=np.float32)
        pitch_hz = np.tile(np.array([1_000, 0, 0], dtype=np.float32), (frames, 1))
        return Answers(scores, pitch_hz, np.zeros((frames, 0), dtype=np.float32))


class Oracle(SteadyEngine):
    """Knows where the pulses of some streams are, and that nothing else holds one."""

    def __init__(self, streams: Sequence[BeepStream]) -> None:
        super().__init__(0.0)
        self._pulses = {stream.pcm.tobytes(): stream.pulses for stream in streams}

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """1 in frames whose centre lies in a pulse, else 0."""
        answers = super().answers(pcm)
        centre_s = (np.arange(len(answers.pitch_hz)) + 0.5) * self.frame_s
        for onset_s, offset_s in self._pulses.get(pcm.tobytes(), ()):
            answers.probabilities[(centre_s >= onset_s) & (centre_s < offset_s)] = 1.0
        return answers
