"""What the classifier process would answer: windows of 3 s every second, each heard alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block
from beepwatch.capture.windows import WindowCutter
from beepwatch.classify.engines import Engine
from beepwatch.messages import Scores

_BEGUN_AT = datetime(1970, 1, 1, tzinfo=UTC)


def overlapping_scores(engine: Engine, pcm: NDArray[np.int16]) -> Iterator[Scores]:
    """Scores of int16 [samples], window by window."""
    cutter = WindowCutter(from_hz=engine.rate_hz, rate_hz=engine.rate_hz, window_s=3.0, hop_s=1.0)
    block = Block(data=pcm.tobytes(), sample_format="int16", channels=1, rate_hz=engine.rate_hz)
    for cut in (*cutter.push(block), *cutter.finish()):
        started_s = cut.first_sample / engine.rate_hz
        yield Scores(
            probabilities=engine.answers(cut.pcm).probabilities,
            labels=engine.labels,
            frame_s=engine.frame_s,
            stream_id="recording",
            first_sample=cut.first_sample,
            rate_hz=engine.rate_hz,
            started_at=_BEGUN_AT + timedelta(seconds=started_s),
            started_mono_s=started_s,
            model_id=engine.model_id,
        )
