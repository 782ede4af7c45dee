"""`beepwatch scan`: recordings instead of a microphone, every frame scored once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.classify.bundle import Bundle, load_bundle
from beepwatch.classify.engines import Engine, open_engine, probabilities_of_stream
from beepwatch.config import Model
from beepwatch.decide.episodes import Change, Closed, Episode, EpisodeTracker
from beepwatch.errors import BeepwatchError
from beepwatch.messages import Scores

AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aiff", ".amr", ".flac", ".m4a", ".mka", ".mp3", ".mp4"}
    | {".oga", ".ogg", ".opus", ".wav", ".webm", ".wma"}
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # recordings have no date; only offsets are told


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One episode in a recording; the form of `scan --json`."""

    file: str
    label: str
    onset_s: float
    offset_s: float
    pulses: int
    score: float

    def as_json(self) -> str:
        """One line."""
        return json.dumps(msgspec.to_builtins(self))

    def as_line(self) -> str:
        """For people."""
        return (
            f"{self.file}  {self.onset_s:9.2f} s  {self.label}  "
            f"{self.pulses} pulses in {self.offset_s - self.onset_s:.1f} s  score {self.score:.2f}"
        )


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: what was found, or why it could not be read."""

    file: Path
    found: tuple[Found, ...] = ()
    problem: str | None = None


def audio_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files as given, and what is audio by its name below the directories, sorted."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file()
            )
        else:
            yield path


def scan(paths: Sequence[Path], *, bundle: Path, model: Model, workers: int) -> Iterator[Scanned]:
    """Scan files in order; one that cannot be read costs one line. Raises ModelError."""
    load_bundle(bundle)
    files = []
    for path in paths:
        below = list(audio_files([path]))
        if not below:
            yield Scanned(
                file=path, problem=f"{path} holds no audio files. Name a file, or another."
            )
        files += below
    if workers == 1 or len(files) < 2:
        for file in files:
            yield _scan_file(file, bundle, model)
        return
    with ProcessPoolExecutor(min(workers, len(files)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_scan_file, files, [bundle] * len(files), [model] * len(files))


def episodes_in(
    blocks: Iterable[NDArray[np.int16]], engine: Engine, bundle: Bundle
) -> Iterator[Episode]:
    """Episodes in consecutive int16 pieces of mono sound at the engine's rate.

    Times are seconds from the first sample, on the episodes' monotonic clock.
    """
    tracker = EpisodeTracker(bundle.info.thresholds, context_s=0.0)
    frame_samples = bundle.info.frame_samples
    frames = 0
    for probabilities in probabilities_of_stream(engine, blocks):
        scores = Scores(
            probabilities=probabilities,
            labels=engine.labels,
            frame_s=engine.frame_s,
            stream_id="",
            first_sample=frames * frame_samples,
            rate_hz=engine.rate_hz,
            started_at=_EPOCH,
            started_mono_s=frames * engine.frame_s,
            model_id=engine.model_id,
        )
        frames += len(probabilities)
        yield from _complete(tracker.hear(scores))
    yield from _complete(tracker.finish())


def _complete(changes: Iterable[Change]) -> Iterator[Episode]:
    return (change.episode for change in changes if isinstance(change, Closed))


def _scan_file(file: Path, bundle_directory: Path, model: Model) -> Scanned:
    engine, bundle = _engine(bundle_directory, model)
    try:
        found = [
            _found(file, episode)
            for episode in episodes_in(decode(file, engine.rate_hz), engine, bundle)
        ]
    except BeepwatchError as error:
        return Scanned(file=file, problem=str(error))
    return Scanned(file=file, found=tuple(sorted(found, key=lambda one: one.onset_s)))


@cache
def _engine(bundle_directory: Path, model: Model) -> tuple[Engine, Bundle]:
    """One engine per process."""
    bundle = load_bundle(bundle_directory)
    return open_engine(bundle, model.runtime), bundle


def _found(file: Path, episode: Episode) -> Found:
    return Found(
        file=str(file),
        label=episode.label,
        onset_s=round(episode.pulses[0].onset_s, 3),
        offset_s=round(episode.pulses[-1].offset_s, 3),
        pulses=len(episode.pulses),
        score=round(episode.peak_score, 4),
    )
