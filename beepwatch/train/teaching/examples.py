"""Examples of a sound to teach: where in a recording its beeps are, and at which pitches.

Whoever holds a phone to a washing machine records more than its beep. What the shipped network
takes for one, at a low level already, is taken; where it takes nothing for one, the loudest that
holds a pitch.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.capture.levels import level_dbfs
from beepwatch.classify.engines import Answers, Engine, answers_of_stream
from beepwatch.classify.heads import (
    BANDS,
    EMBEDDING,
    HIGHEST_HZ,
    LOWEST_HZ,
    MOST_TONES,
    bands_of,
    matches,
)
from beepwatch.errors import BeepwatchError, ModelError

LEAST_PROBABILITY = 0.3  # of the shipped network: a person has said that there is a beep
SHORTEST_S = 0.06
SHORTEST_FRAMES = 3
SILENT_DBFS = -75.0
SAME_TONE = 0.008  # relative: within it two frames sound at one pitch
APART = 0.024  # relative: what is nearer to a tone is its edge; a semitone is 0.06
STEADY_FRAMES = 4
CLEAR_CONTRAST = 3.0  # natural log of energy over the neighbouring bands: 13 dB
SOUNDING_CONTRAST = 2.0
RINGING_DB = 12.0  # below its level a tone is the room's
LEAST_SHARE = 0.12  # of an example's frames that a tone has to sound in
TRACE = 0.04  # or so much, in a room that gives it back badly, if in another it sounds in many
TOLERANCE, MOST_TOLERANCE = 0.004, 0.008  # relative spread that is allowed to a buzzer's tone
LONGEST_S = 30.0  # of a recording that is kept
LONGEST_FILE_S = 600.0
LEAD_S = 1.0  # of it before the first beep


class NoBeepFound(BeepwatchError):
    """A recording in which nothing can be taken for an example."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A recording with one sound in it, once or several times."""

    text: str  # where it came from
    pcm: NDArray[np.int16]
    sounding: NDArray[np.bool_]  # [frames]
    answers: Answers
    by_network: bool  # it was the shipped network that found it

    def spans_s(self, frame_s: float) -> list[tuple[float, float]]:
        """Start and end of each pulse in seconds."""
        return [(start * frame_s, end * frame_s) for start, end in runs(self.sounding)]


def read_example(path: Path, engine: Engine) -> Example:
    """A file of any format that ffmpeg reads. Raises UnreadableAudio and NoBeepFound."""
    chunks: list[NDArray[np.int16]] = []
    for chunk in decode(path, engine.rate_hz):
        chunks.append(chunk)
        if sum(map(len, chunks)) > LONGEST_FILE_S * engine.rate_hz:
            raise NoBeepFound(
                f"{path} is longer than {LONGEST_FILE_S / 60:.0f} minutes. Cut it to the beep."
            )
    pcm = np.concatenate([np.zeros(0, dtype=np.int16), *chunks])
    return find_example(str(path), pcm, engine)


def find_example(text: str, pcm: NDArray[np.int16], engine: Engine) -> Example:
    """The sound in a recording; NoBeepFound if it is silent or nothing in it holds a pitch."""
    if len(pcm) < SHORTEST_S * engine.rate_hz:
        raise NoBeepFound(
            f"{text} is {len(pcm) / engine.rate_hz:.2f} s long, too short for a beep. "
            "Give a recording with a whole beep in it."
        )
    level = level_dbfs(pcm)
    if level < SILENT_DBFS:
        raise NoBeepFound(
            f"{text} is silent (level {level:.0f} dBFS). Record it nearer to the appliance."
        )
    answers = heard(engine, pcm)
    if answers.embedding.shape[1] != EMBEDDING:
        raise ModelError(
            f"model {engine.model_id} has an embedding of {answers.embedding.shape[1]} features, "
            f"teaching needs {EMBEDDING}. Teach with the shipped model."
        )
    found = answers.probabilities.max(axis=1) >= LEAST_PROBABILITY
    by_network = _longest_s(found, engine.frame_s) >= SHORTEST_S
    if not by_network:
        found = _steady(answers)
        found &= (
            _contrast(answers) >= np.quantile(_contrast(answers)[found], 0.9) / 2 - 1e-6
            if (found.any())
            else found
        )
    if _longest_s(found, engine.frame_s) < SHORTEST_S:
        raise NoBeepFound(
            f"no beep was found in {text}: nothing in it holds a pitch between "
            f"{LOWEST_HZ:.0f} and {HIGHEST_HZ:.0f} Hz for {1_000 * SHORTEST_S:.0f} ms. "
            "Record it nearer, or cut the file to the beep."
        )
    return trimmed(
        Example(text=text, pcm=pcm, sounding=found, answers=answers, by_network=by_network), engine
    )


def heard(engine: Engine, pcm: NDArray[np.int16]) -> Answers:
    """What the network says of a whole recording, in flat memory."""
    parts = list(answers_of_stream(engine, [pcm]))
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def trimmed(example: Example, engine: Engine) -> Example:
    """Without what is long before the first beep, and no longer than is of use."""
    frame_samples = round(engine.frame_s * engine.rate_hz)
    lead, longest = round(LEAD_S / engine.frame_s), round(LONGEST_S / engine.frame_s)
    first = max(int(example.sounding.argmax()) - lead, 0) // engine.step_frames * engine.step_frames
    last = len(example.sounding) - int(example.sounding[::-1].argmax()) + lead
    frames = min(last - first, longest, len(example.sounding) - first)
    return msgspec.structs.replace(
        example,
        pcm=example.pcm[first * frame_samples : (first + frames) * frame_samples],
        sounding=example.sounding[first : first + frames],
        answers=example.answers.part(first, frames),
    )


def tones_of(examples: Sequence[Example]) -> tuple[tuple[float, ...], float]:
    """The pitches that the examples share, the most lasting first, and how far each may be off.

    A tone counts if it sounds in enough frames of at least half the examples; or in enough of all
    their frames, and in a few of half the examples: what one room gives back another may swallow.
    """
    pitches = [_log_pitches(example) for example in examples]
    everything = np.concatenate([values.ravel() for values in pitches])
    weights = np.concatenate([np.full(values.size, 1 / max(len(values), 1)) for values in pitches])
    weights[~np.isfinite(everything)] = 0
    tones: list[float] = []
    spreads: list[float] = []
    while len(tones) < MOST_TONES and weights.any():
        centre = _densest(everything, weights)
        near = np.abs(everything - centre) < SAME_TONE
        if not _is_shared(pitches, centre):
            weights[near] = 0
            continue
        inside = near & (weights > 0)
        middle = float(np.median(everything[inside]))
        tones.append(math.exp(middle))
        spreads.append(float(np.std(everything[inside])))
        weights[np.abs(everything - middle) < APART] = 0
    tolerance = min(max(TOLERANCE, *spreads), MOST_TOLERANCE) if spreads else TOLERANCE
    return tuple(tones), tolerance


def sounding_at(
    pcm: NDArray[np.int16],
    answers: Answers,
    tones_hz: tuple[float, ...],
    tolerance: float,
    rate_hz: int,
) -> NDArray[np.bool_]:
    """Frames of a clear recording in which one of the tones sounds, and does not only ring on."""
    contrast = answers.embedding[:, BANDS : 2 * BANDS]
    match = matches(answers.pitch_hz, tones_hz, 2 * tolerance).max(axis=1)  # [frames, tones]
    loud = np.stack([contrast[:, bands_of(hz)].max(axis=1) for hz in tones_hz], axis=1)
    sounding = ((match > 0.3) & (loud > SOUNDING_CONTRAST)).any(axis=1)
    if not sounding.any():
        return np.asarray(sounding)
    level_db = tone_levels_db(pcm, len(sounding), tones_hz, rate_hz)
    sounding &= level_db >= np.quantile(level_db[sounding], 0.95) - RINGING_DB
    sounding[1:-1] |= sounding[:-2] & sounding[2:]
    for start, end in runs(sounding):
        sounding[start:end] = end - start >= SHORTEST_FRAMES
    return np.asarray(sounding)


def tone_levels_db(
    pcm: NDArray[np.int16], frames: int, tones_hz: tuple[float, ...], rate_hz: int
) -> NDArray[np.float64]:
    """Level of the loudest of some tones in each frame and half of both beside it, [frames]."""
    hop = len(pcm) // max(frames, 1)
    padded = np.pad(pcm.astype(np.float64), hop)
    spans = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[hop // 2 :: hop][:frames]
    time_s = np.arange(2 * hop) / rate_hz
    windowed = spans * np.hanning(2 * hop)
    power = [np.abs(windowed @ np.exp(2j * np.pi * hz * time_s)) ** 2 for hz in tones_hz]
    return np.asarray(10 * np.log10(np.max(power, axis=0) + 1e-9))


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First index and the one after the last of each run of what is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _longest_s(flags: NDArray[np.bool_], frame_s: float) -> float:
    return max((end - start for start, end in runs(flags)), default=0) * frame_s


def _contrast(answers: Answers) -> NDArray[np.float32]:
    return np.asarray(answers.embedding[:, BANDS : 2 * BANDS].max(axis=1))


def _steady(answers: Answers) -> NDArray[np.bool_]:
    """Frames that belong to a stretch of one pitch that stands out."""
    log = np.log(np.maximum(answers.pitch_hz[:, 0], 1.0))
    same = np.concatenate([[False], np.abs(np.diff(log)) < SAME_TONE / 2])
    same &= _contrast(answers) >= CLEAR_CONTRAST
    flags = np.zeros(len(log), dtype=bool)
    for start, end in runs(same):
        if end - start >= STEADY_FRAMES - 1:
            flags[max(start - 1, 0) : end] = True
    if flags.any():  # the loudest of them: the others may be the house
        flags &= _contrast(answers) >= 0.6 * np.quantile(_contrast(answers)[flags], 0.9)
    return flags


def _log_pitches(example: Example) -> NDArray[np.float64]:
    """Of the sounding frames, [frames, heard]; what is no pitch is not finite."""
    pitch_hz = example.answers.pitch_hz[example.sounding].astype(np.float64)
    return np.where(pitch_hz > 0, np.log(np.maximum(pitch_hz, 1e-3)), -np.inf)


def _densest(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value with the most weight within half a tone's width around it."""
    some = np.flatnonzero(weights > 0)
    order = some[np.argsort(values[some])]
    ordered, total = values[order], np.concatenate([[0], np.cumsum(weights[order])])
    low = np.searchsorted(ordered, ordered - SAME_TONE / 2)
    high = np.searchsorted(ordered, ordered + SAME_TONE / 2, side="right")
    return float(ordered[int((total[high] - total[low]).argmax())])


def _is_shared(heard: Sequence[NDArray[np.float64]], centre: float) -> bool:
    shares = np.array(
        [(np.abs(values - centre) < SAME_TONE).any(axis=1).mean() for values in heard]
    )
    half = max(len(heard) / 2, 1)
    enough = (shares >= LEAST_SHARE).sum() >= half
    spread = shares.mean() >= LEAST_SHARE and (shares >= TRACE).sum() >= half
    return bool(enough or spread)
