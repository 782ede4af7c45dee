"""Names a recording as a whole: a network over blocks of a few seconds, front end included.

Made by `beepwatch train RECIPE --features STORE`. Its graph takes the sound of blocks and gives a
logit for each label; a recording's answer is the mean of its blocks' log-probabilities.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import (
    GRAPH,
    LONGEST_S,
    Claims,
    check_claims,
    described,
    files_problem,
    names_problem,
    rate_problem,
)
from beepwatch.classify.engines import open_graph
from beepwatch.errors import ModelError
from beepwatch.validation import shortened

Sound = NDArray[np.int16]
Shares = NDArray[np.float64]

_AT_ONCE = 8  # blocks


class RecordingInfo(Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network names, how it was made and how good it was found to be."""

    kind: Literal["recordings"]
    normal: tuple[str, ...]  # labels of what is well
    frame_samples: int
    hop_samples: int  # from one frame to the next
    centred: bool  # the first frame is around the first sample, and zeros are before it
    block_frames: int  # that are judged at once
    step_frames: int  # from one block to the next
    features_digest: str  # of the recipe of the features
    data_digest: str  # of the recordings' contents and paths; "" if the store did not tell

    def samples_of(self, frames: int) -> int:
        """That so many frames take."""
        return (frames - 1) * self.hop_samples + self.frame_samples


class RecordingBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that holds what its description says."""

    directory: Path
    info: RecordingInfo


class Block(NamedTuple):
    """A stretch of a recording, and the probability of each label in it."""

    start_s: float
    end_s: float
    shares: Shares  # [labels]


class Named(NamedTuple):
    """What a recording was taken for."""

    shares: Shares  # [labels], which are 1 together
    blocks: list[Block]


def load_recording_bundle(directory: Path) -> RecordingBundle:
    """The bundle in a directory; ModelError names the first claim that does not hold."""
    info = described(directory, RecordingInfo)
    check_claims(directory, names_problem(info), rate_problem(info.rate_hz), _normal_problem(info))
    check_claims(directory, _blocks_problem(info), files_problem(directory, info))
    return RecordingBundle(directory=directory, info=info)


def _normal_problem(info: RecordingInfo) -> str | None:
    strangers = set(info.normal) - set(info.labels)
    if strangers or len(set(info.normal)) < len(info.normal):
        return f"normal {shortened(str(list(info.normal)))} must be some of labels, each once"
    return None


def _blocks_problem(info: RecordingInfo) -> str | None:
    most = round(LONGEST_S * info.rate_hz)
    for name in ("frame_samples", "hop_samples", "block_frames", "step_frames"):
        if not 1 <= getattr(info, name) <= most:
            return f"{name} is {getattr(info, name)}, not within 1 to {most}"
    if info.samples_of(info.block_frames) > most:
        return f"a block has {info.samples_of(info.block_frames)} samples, more than {most}"
    return None


class RecordingEngine:
    """Names one recording after another, in memory that grows with none but by its answers."""

    def __init__(self, bundle: RecordingBundle) -> None:
        """Raises ModelError if the graph is not what the bundle says."""
        info = self._info = bundle.info
        graph = bundle.directory / GRAPH

        def tried(session: Any) -> list[int]:  # noqa: ANN401 - it has no types
            _check_graph(graph, info, session)
            silence = np.zeros((1, info.samples_of(info.block_frames)), np.int16)
            return list(session.run(["logits"], {"pcm": silence})[0].shape)

        self._session, shape = open_graph(graph, tried)
        if shape != [1, len(info.labels)]:
            raise ModelError(
                f"{graph} answers a block with logits of {shape}, and there are "
                f"{len(info.labels)} labels. Make the bundle again with `beepwatch train`."
            )

    def hear(self, sound: Iterable[Sound]) -> Named | None:
        """Of all of a recording, mono at the bundle's rate, in pieces; None if it has no sample.

        A block lies wherever a whole one fits, and one more at the end where sound is left. What is
        shorter than a block is judged as it is.
        """
        found: list[Block] = []
        total = np.zeros(len(self._info.labels))
        cutter = _Cutter(self._info)
        for places, pcm in _together(cutter.blocks(sound)):
            said = _log_softmax(self._session.run(["logits"], {"pcm": pcm})[0])
            total += said.sum(axis=0)
            found += [
                Block(*cutter.time_s(place, pcm.shape[1]), np.exp(one))
                for place, one in zip(places, said, strict=True)
            ]
        if not found:
            return None
        end_s = cutter.samples / self._info.rate_hz
        blocks = [one._replace(end_s=min(one.end_s, end_s)) for one in found]
        mean = np.exp(_log_softmax((total / len(found))[np.newaxis]))
        return Named(mean[0], blocks)


class _Cutter:
    """Cuts a recording into the sound of blocks, and counts its samples."""

    def __init__(self, info: RecordingInfo) -> None:
        self._info = info
        self.samples = 0  # of the recording, so far
        self._half = info.frame_samples // 2 if info.centred else 0

    def time_s(self, first_frame: int, samples: int) -> tuple[float, float]:
        """When the sound of a block begins and ends, in the recording and around it."""
        start = first_frame * self._info.hop_samples - self._half
        return max(start, 0) / self._info.rate_hz, (start + samples) / self._info.rate_hz

    def blocks(self, sound: Iterable[Sound]) -> Iterator[tuple[int, Sound]]:
        """The first frame of each, and its samples."""
        info = self._info
        length, stride = info.samples_of(info.block_frames), info.step_frames * info.hop_samples
        held = np.zeros(self._half, np.int16)  # begins with the last block that was given, if any
        first, given = 0, False
        for piece in chain(self._counted(sound), [np.zeros(self._half, np.int16)]):
            held = np.concatenate([held, piece])
            if not given and len(held) >= length:
                given = True
                yield first, held[:length]
            while given and len(held) >= length + stride:
                held, first = held[stride:], first + info.step_frames
                yield first, held[:length]
        if self.samples:
            yield from self._rest(held, first, given=given)

    def _counted(self, sound: Iterable[Sound]) -> Iterator[Sound]:
        for piece in sound:
            self.samples += len(piece)
            yield piece

    def _rest(self, held: Sound, first: int, *, given: bool) -> Iterator[tuple[int, Sound]]:
        """What is in no block yet. Less than a frame is followed by silence, to be one."""
        info = self._info
        missing = max(0, info.frame_samples - len(held))
        held = np.concatenate([held, np.zeros(missing, np.int16)])
        frames = (len(held) - info.frame_samples) // info.hop_samples + 1
        beyond = frames - info.block_frames
        if not given:
            yield first, held[: info.samples_of(frames)]
        elif beyond > 0:
            start = beyond * info.hop_samples
            yield first + beyond, held[start : start + info.samples_of(info.block_frames)]


def _together(blocks: Iterable[tuple[int, Sound]]) -> Iterator[tuple[list[int], Sound]]:
    """Some at once: their first frames, and their sound [blocks, samples]."""
    places: list[int] = []
    sounds: list[Sound] = []
    for place, sound in blocks:
        places.append(place)
        sounds.append(sound)
        if len(places) == _AT_ONCE:
            yield places, np.stack(sounds)
            places, sounds = [], []
    if places:
        yield places, np.stack(sounds)


def _log_softmax(logits: NDArray[Any]) -> Shares:
    """Of each row."""
    above = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(above - np.log(np.exp(above).sum(axis=1, keepdims=True)))


def _check_graph(graph: Path, info: RecordingInfo, session: Any) -> None:  # noqa: ANN401 - no types
    """The graph takes int16 sound and gives a column for each of the bundle's labels."""
    inputs = [(i.name, i.type, len(i.shape)) for i in session.get_inputs()]
    outputs = [(o.name, o.type, len(o.shape), o.shape[-1:]) for o in session.get_outputs()]
    expected_inputs = [("pcm", "tensor(int16)", 2)]
    expected_outputs = [("logits", "tensor(float)", 2, [len(info.labels)])]
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ModelError(
            f"{graph} takes {shortened(str(inputs))} and gives {shortened(str(outputs))}; expected "
            f"{expected_inputs} and {expected_outputs}. Make the bundle again with "
            "`beepwatch train`."
        )
