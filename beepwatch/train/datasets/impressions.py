"""What the network makes of each clip as a whole: its score, its pitch, and what it sounds like."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.classify.engines import Answers, Engine, answers_of_stream
from beepwatch.errors import BeepwatchError
from beepwatch.validation import shortened

Floats = NDArray[np.float32]

_LOUDEST_FRAMES = 10  # 0.2 s: as long as a short beep
_FAINT_FRAMES = 40
_UNCONVINCED = 1e-3  # what every frame counts, where none convinces
_CERTAIN = 1e-6


class Impression(msgspec.Struct, frozen=True, kw_only=True):
    """One clip as the network hears it."""

    path: str  # below the data set's directory
    duration_s: float
    score: float  # the highest probability of any label
    pitch_hz: float  # of its most convincing frame; 0 is none
    blocks: tuple[Floats, ...]  # kinds of features, each [features]


class Unheard(msgspec.Struct, frozen=True, kw_only=True):
    """A clip that cannot be read."""

    path: str
    problem: str  # a line that names it and what to do


def hear(
    directory: Path,
    paths: Sequence[str],
    engine: Engine,
    *,
    workers: int = 1,
    report: Callable[[int], None] = lambda heard: None,
) -> Iterator[Impression | Unheard]:
    """One for each path, in order; `report` is told how many are done."""
    with ThreadPoolExecutor(workers, thread_name_prefix="hear") as pool:
        heard = pool.map(lambda path: _heard(directory, path, engine), paths)
        for number, one in enumerate(heard, start=1):
            report(number)
            yield one


def _heard(directory: Path, path: str, engine: Engine) -> Impression | Unheard:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that is no text cannot stand in a table
        return Unheard(
            path=path, problem=f"{shortened(ascii(path))}: its name is no text. Rename it."
        )
    try:
        pieces = list(answers_of_stream(engine, decode(directory / path, engine.rate_hz)))
    except BeepwatchError as error:
        return Unheard(path=path, problem=str(error))
    if not pieces:
        return Unheard(path=path, problem=f"{path} is shorter than {engine.frame_s} s. Remove it.")
    return impression(
        path, Answers(*(np.concatenate(each) for each in zip(*pieces, strict=True))), engine.frame_s
    )


def impression(path: str, answers: Answers, frame_s: float) -> Impression:
    """A clip from the network's answers to all of it."""
    convinced = answers.probabilities.max(axis=1)  # [frames]
    best = int(convinced.argmax())
    sure = np.clip(convinced, _CERTAIN, 1 - _CERTAIN)
    logits = np.log(sure / (1 - sure))[:, np.newaxis]
    weights = convinced + _UNCONVINCED
    belief = [
        _highest(logits, _LOUDEST_FRAMES),
        _highest(logits, _FAINT_FRAMES),
        logits.mean(axis=0),
    ]
    blocks = (
        np.concatenate(belief),
        _highest(answers.embedding, _LOUDEST_FRAMES),
        answers.embedding.mean(axis=0),
        weights @ answers.embedding / weights.sum(),
    )
    return Impression(
        path=path,
        duration_s=len(convinced) * frame_s,
        score=float(convinced[best]),
        pitch_hz=float(answers.pitch_hz[best, 0]),
        blocks=tuple(np.asarray(block, dtype=np.float32) for block in blocks),
    )


def _highest(columns: Floats, count: int) -> Floats:
    """The mean of each column's highest values, [columns]."""
    return np.asarray(np.sort(columns, axis=0)[-count:].mean(axis=0))
