"""A recording looked at once, from its first byte to its last: all that the table and checks need.

One pass over the bytes for the digest, one over the samples, in pieces: memory stays flat.
"""

import hashlib
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.blocks import Block
from beepwatch.capture.files import open_audio, read_through
from beepwatch.errors import BeepwatchError, UnreadableAudio
from beepwatch.train.datasets.containers import container_of, expected_containers, lacking
from beepwatch.train.datasets.fingerprints import Fingerprint, Fingerprinter
from beepwatch.train.datasets.media import Media, media_of
from beepwatch.train.datasets.remote import location_of, on_disk
from beepwatch.wording import counted

Floats = NDArray[np.float32]

VERSION = 4  # of what is said here of a file; another makes what was written down void
_BLOCK_S = 8.0
_LEVEL_S = 0.05  # what "loudest" is the level of
_FULL_SCALE = 32_767 / 32_768  # as far as 16 bits reach upward
_CLIPPED_RUN = 3  # samples in a row at full scale, by which a wave is flat and not only high
_QUIETEST_DBFS = -200.0
_DTYPES = {"int16": "<i2", "int32": "<i4", "float32": "<f4"}
_SCALES = {"int16": 1 / 32_768, "int32": 1 / 2_147_483_648, "float32": 1.0}


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is and holds."""

    path: str  # below the data set's directory
    size_bytes: int
    mtime_ns: int
    changed_ns: int  # which nobody can set as it was before
    version: int = VERSION
    sha256: str
    container: str
    media: Media | None  # None where nothing could be made out
    duration_s: float  # of what could be decoded
    peak_dbfs: float | None  # None: digital silence
    loudest_dbfs: float | None  # of its loudest 50 ms, without any constant part
    clipped: int  # samples that are part of a flat top
    samples: int  # of all channels
    problem: str  # why it could not be decoded to its end; "" if it could
    lacks: str  # what its structure says is missing; "" if nothing
    fingerprint: str


class _Measure:
    """Peak, clipping, level and fingerprint of one recording, from its blocks."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.frames = 0
        self.clipped = 0
        self.no_numbers = 0  # samples of floating point that are infinite, or none at all
        self._peak = 0.0
        self._loudest = 0.0  # mean square
        self._full = np.zeros((0, channels), dtype=bool)  # of the last samples, which are
        self._counted = self._full  # and which of them are counted as clipped
        self._level_frames = max(1, round(_LEVEL_S * rate_hz))
        self._rest = np.zeros(0, dtype=np.float32)
        self._fingerprinter = Fingerprinter(rate_hz)

    def take(self, block: Block) -> None:
        samples = np.frombuffer(block.data, dtype=_DTYPES[block.sample_format])
        columns = samples.reshape(-1, self.channels).astype(np.float32)
        columns *= np.float32(_SCALES[block.sample_format])
        numbers = np.isfinite(columns)
        self.no_numbers += columns.size - int(np.count_nonzero(numbers))
        columns[~numbers] = 0
        size = np.abs(columns)
        self._peak = max(self._peak, float(size.max(initial=0.0)))
        self.frames += len(columns)
        self._count_clipped(size >= _FULL_SCALE)
        mono = block.mono()
        self._measure_level(mono)
        self._fingerprinter.push(mono)

    def _count_clipped(self, full: NDArray[np.bool_]) -> None:
        """Runs may go on from one block to the next, so the last samples are looked at again."""
        joined = np.concatenate([self._full, full])
        clipped = _in_runs(joined)
        clipped[: len(self._counted)] |= self._counted
        self.clipped += int(clipped.sum()) - int(self._counted.sum())
        keep = max(0, len(joined) - (_CLIPPED_RUN - 1))
        self._full, self._counted = joined[keep:], clipped[keep:]

    def _measure_level(self, mono: Floats) -> None:
        mono = np.concatenate([self._rest, mono])
        whole = len(mono) // self._level_frames * self._level_frames
        parts = mono[:whole].reshape(-1, self._level_frames)
        self._rest = mono[whole:]
        if len(parts):
            self._loudest = max(self._loudest, float(parts.var(axis=1).max()))

    def finish(self) -> tuple[float | None, float | None, Fingerprint]:
        if self._loudest == 0.0 and len(self._rest):  # shorter than one level
            self._loudest = float(self._rest.var())
        return (
            _dbfs(self._peak),
            _dbfs(float(np.sqrt(self._loudest))),
            self._fingerprinter.finish(),
        )


def _in_runs(full: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which samples are in a run of full ones that is long enough, [frames, channels]."""
    if len(full) < _CLIPPED_RUN or not full.any():
        return np.zeros_like(full)
    starts = full[: len(full) - _CLIPPED_RUN + 1].copy()
    for step in range(1, _CLIPPED_RUN):
        starts &= full[step : len(full) - _CLIPPED_RUN + 1 + step]
    inside = np.zeros_like(full)
    for step in range(_CLIPPED_RUN):
        inside[step : len(starts) + step] |= starts
    return inside


def _dbfs(value: float) -> float | None:
    if value <= 0:
        return None
    return round(max(20 * float(np.log10(value)), _QUIETEST_DBFS), 2) + 0.0  # no -0


def inspect(directory: str, path: str) -> Inspection:
    """One file of a data set, by its address. What is wrong with it is in the answer.

    Raises OSError, and UnreadableAudio for what cannot be fetched.
    """
    with on_disk(location_of(directory) / path) as file:
        return _inspected(file, path)


def _inspected(file: Path, path: str) -> Inspection:
    status = file.stat()
    container = container_of(file)
    measure: _Measure | None = None
    problem = ""
    try:
        measure, problem = _measured(file)
    except BeepwatchError as error:
        problem = str(error)
    peak, loudest, fingerprint = measure.finish() if measure else (None, None, None)
    return Inspection(
        path=path,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
        sha256=digest_of(file),
        container=container,
        media=_media(file, container) if measure else None,
        duration_s=measure.frames / measure.rate_hz if measure else 0.0,
        peak_dbfs=peak,
        loudest_dbfs=loudest,
        clipped=measure.clipped if measure else 0,
        samples=measure.frames * measure.channels if measure else 0,
        problem=problem.replace(str(file), path),
        lacks=lacking(file, container) if status.st_size else "",
        fingerprint=fingerprint.to_text() if fingerprint else "",
    )


def _measured(file: Path) -> tuple[_Measure | None, str]:
    """As far as it can be decoded, and why no further. Raises UnreadableAudio if not at all."""
    stream = open_audio(file, block_s=_BLOCK_S, libsndfile=True)
    measure: _Measure | None = None
    try:
        with closing(read_through(stream)) as blocks:
            for block in blocks:
                measure = measure or _Measure(block.rate_hz, block.channels)
                if (block.rate_hz, block.channels) != (measure.rate_hz, measure.channels):
                    heard = counted(measure.frames, "sample")
                    return measure, f"{file} changes its form after {heard}. Split it."
                measure.take(block)
    except UnreadableAudio as error:
        if measure is None:
            raise
        return measure, str(error)
    if measure is not None and measure.no_numbers:
        strange = counted(measure.no_numbers, "sample")
        return measure, f"{file} is damaged: {strange} of it are no numbers. Export it again."
    return measure, ""


def _media(file: Path, container: str) -> Media | None:
    try:
        return media_of(file, container)
    except BeepwatchError:
        return None  # it was decoded all the same: what is missing is only what it says of itself


def digest_of(file: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def is_mislabelled(inspection: Inspection) -> bool:
    """Whether a file's bytes are of another format than its name says."""
    expected = expected_containers(Path(inspection.path))
    return bool(expected) and inspection.size_bytes > 0 and inspection.container not in expected
