"""One recording's rows: a function of the file and the plan alone, wherever it is called."""

import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from beepwatch.errors import BeepwatchError, UnreadableAudio
from beepwatch.train.datasets.augmentation import (
    Sound,
    augmented,
    files_of,
    masked,
    read_sounds,
)
from beepwatch.train.datasets.remote import Location, Mark, Remote, location_of, mirrored, on_disk
from beepwatch.train.featuring.recipe import FeatureRecipe, SoundRecipe
from beepwatch.train.featuring.sound import Recording
from beepwatch.train.featuring.spectra import Transform, blocks, column_names
from beepwatch.train.featuring.stages import TooShort, read_rows, with_deltas, write_rows

Rows = Callable[[Iterable[Sound]], Iterator[Sound]]  # of blocks of samples, [frames, columns]

_KEPT_BYTES = 16_000_000
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}
PLAIN = ""  # the version of a recording that is nothing but the recording


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One of the things that are made of every recording."""

    name: str  # PLAIN, or an augmentation's name, with #2 and so on for further copies
    place: int  # in the recipe's list of augmentations; -1 is none
    digest: str  # of everything that decides its rows, the recording left out
    mixed_in: str = ""  # digest of the other files that it is made of


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to each recording."""

    recipe: FeatureRecipe
    versions: tuple[Version, ...]
    data: str  # the address of the directory below which paths are
    into: str | None  # where rows are put; None: they are part of the answer
    device: str = "cpu"  # what makes them of frames


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """What changes when a file does."""

    size: int
    changed_ns: int
    written_ns: int
    inode: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A recording to work on."""

    path: str  # below the data's directory
    sha256: str | None = None  # if it is known
    versions: tuple[str, ...] = ()  # by name


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one version of a recording."""

    key: str
    frames: int
    duration_s: float
    rate_hz: int  # the recording's own
    decoder: str = ""  # what read it, where its version is not that of a package
    rows: bytes | None = None  # if they lie in no file


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What has become of a job."""

    path: str
    stamp: Stamp | None = None
    sha256: str = ""
    made: tuple[Made, ...] = ()
    problem: str | None = None  # one line
    disk_full: bool = False  # nothing else can be made either


def stamp_of(path: Location) -> Stamp:
    """Raises OSError, and UnreadableAudio for what may never give a byte, or never end."""
    if isinstance(path, Remote):
        return stamp_of_mark(path.mark())
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        what = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise UnreadableAudio(f"{path} is {what}. Name a recording in a file, or leave it out.")
    return Stamp(status.st_size, status.st_ctime_ns, status.st_mtime_ns, status.st_ino)


def stamp_of_mark(mark: Mark) -> Stamp:
    """Of a file that is on no disk here."""
    return Stamp(mark.size, mark.changed_ns, mark.changed_ns, mark.tag)


def key_of(sha256: str, version: Version) -> str:
    """The name of the rows that a version of a recording with that content has."""
    return hashlib.sha256(f"{sha256} {version.digest}".encode()).hexdigest()[:40]


def sum_up(plan: Plan, jobs: Sequence[Job]) -> list[Done]:
    """What each recording is, without working on it."""
    return [_attempted(_summed_up, plan, job) for job in jobs]


def work_on(plan: Plan, jobs: Sequence[Job]) -> list[Done]:
    """Each recording's rows, as files in `plan.into` or in the answers."""
    with one_thread():
        return [work_on_one(plan, job) for job in jobs]


def work_on_one(
    plan: Plan,
    job: Job,
    rows: Rows | None = None,
    opened: Callable[[Path, SoundRecipe], Recording] = Recording,
) -> Done:
    """One recording's rows; by default this processor makes them of the blocks, and decodes."""
    return _attempted(partial(_worked_on, rows, opened), plan, job)


def _attempted(function: Any, plan: Plan, job: Job) -> Done:  # noqa: ANN401 - one of two below
    file = location_of(plan.data) / job.path
    try:
        before = stamp_of(file)
        with on_disk(file) as here:
            done: Done = function(plan, job, here)
        if stamp_of(file) != before:
            problem = f"{file} changed while it was read. Run this again."
            return Done(path=job.path, problem=problem)
        return msgspec.structs.replace(done, stamp=before)
    except FileNotFoundError:
        return Done(path=job.path, problem=f"{file} does not exist. Check the table's path.")
    except TooShort as error:
        return Done(path=job.path, problem=f"{file} {error}")
    except BeepwatchError as error:
        return Done(path=job.path, problem=str(error))
    except OSError as error:
        problem = f"{file} cannot be worked on: {error.strerror}. Check permissions and the disk."
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return Done(path=job.path, problem=problem, disk_full=full)


def _summed_up(_plan: Plan, job: Job, file: Path) -> Done:
    return Done(path=job.path, sha256=digest_of_file(file))


def digest_of_file(file: Path) -> str:
    """SHA-256 of a file's bytes. Raises OSError and UnreadableAudio."""
    stamp_of(file)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _worked_on(
    rows_of: Rows | None,
    opened: Callable[[Path, SoundRecipe], Recording],
    plan: Plan,
    job: Job,
    file: Path,
) -> Done:
    sha256 = job.sha256 or digest_of_file(file)
    wanted = [version for version in plan.versions if version.name in job.versions]
    recording = opened(file, plan.recipe.sound)
    # Augmentations need all of the sound at once; without them any length goes through.
    whole = recording.whole() if any(each.place >= 0 for each in wanted) else None
    made: list[Made] = []
    for version in wanted:
        sound = (
            recording.pieces() if whole is None else iter([_heard(plan, version, whole, sha256)])
        )
        key = key_of(sha256, version)
        with _opened(plan.into, key) as rows:
            counted = _Counted(sound)
            frames = _write(rows, plan.recipe, version, counted, sha256, rows_of)
            if frames == 0:
                raise TooShort(
                    f"has {counted.samples} samples, less than one frame. "
                    "Leave it out, or centre the frames."
                )
            data = rows.getvalue() if isinstance(rows, io.BytesIO) else None
        duration_s = round(counted.samples / plan.recipe.sound.rate_hz, 6)
        made.append(
            Made(
                key=key,
                frames=frames,
                duration_s=duration_s,
                rate_hz=recording.rate_hz,
                decoder=recording.decoder,
                rows=data,
            )
        )
    return Done(path=job.path, sha256=sha256, made=tuple(made))


def write_features(
    file: IO[bytes], recipe: FeatureRecipe, sound: Iterable[Sound], rows_of: Rows | None = None
) -> int:
    """Write the rows of a sound at the recipe's rate, in pieces, as float32; how many."""
    transformed = rows_of or partial(map, _transform(recipe).rows)
    rows = transformed(blocks(sound, recipe.frames))
    return write_rows(file, with_deltas(rows, recipe), recipe.normalisation)


def features_of(sound: Sound, recipe: FeatureRecipe) -> Sound:
    """The rows of a sound at the recipe's rate, [frames, columns]. Raises TooShort."""
    file = io.BytesIO()
    write_features(file, recipe, [sound])
    return read_rows(file, len(column_names(recipe)))


class _Counted:
    """A stream of sound that knows how much went through."""

    def __init__(self, pieces: Iterator[Sound]) -> None:
        self._pieces = pieces
        self.samples = 0

    def __iter__(self) -> Iterator[Sound]:
        for piece in self._pieces:
            self.samples += len(piece)
            yield piece


def _write(
    file: IO[bytes],
    recipe: FeatureRecipe,
    version: Version,
    sound: _Counted,
    sha256: str,
    rows_of: Rows | None,
) -> int:
    frames = write_features(file, recipe, sound, rows_of)
    if version.place >= 0 and frames:
        steps = recipe.augment[version.place].steps
        before = read_rows(file, len(column_names(recipe)))
        after = masked(before, steps, _seed(recipe, version, sha256))
        file.seek(0)
        file.write(after.tobytes())
    return frames


def _heard(plan: Plan, version: Version, whole: Sound, sha256: str) -> Sound:
    if version.place < 0:
        return whole
    recipe = plan.recipe
    steps, rate_hz = recipe.augment[version.place].steps, recipe.sound.rate_hz
    sounds = _sounds(recipe, version.place, plan.data, version.mixed_in)
    return augmented(whole, rate_hz, steps, _seed(recipe, version, sha256), sounds)


def _seed(recipe: FeatureRecipe, version: Version, sha256: str) -> int:
    """Of a file's augmentation: neither its path nor what else is in the set changes it."""
    text = f"{recipe.seed} {sha256} {version.name}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


@contextmanager
def _opened(into: str | None, key: str) -> Iterator[IO[bytes]]:
    """A file that is there only when all of it is."""
    if into is None:
        yield io.BytesIO()
        return
    beside = Path(into) / f".{key}.{os.getpid()}-{threading.get_ident()}"  # of equal recordings
    try:
        with beside.open("w+b") as file:
            yield file
        beside.replace(Path(into) / key)
    finally:
        beside.unlink(missing_ok=True)


@cache
def _transform(recipe: FeatureRecipe) -> Transform:
    # The C library gives freed memory back to the kernel, page by page, unless it has seen a piece
    # so large come and go; without this a third of the time is spent on getting pages again.
    np.empty(_KEPT_BYTES, dtype=np.uint8)
    return Transform(recipe)


@cache
def _sounds(recipe: FeatureRecipe, place: int, data: str, _digest: str) -> Mapping[str, Sound]:
    """What a step mixes in; read again where the files are others, as their `_digest` tells."""
    steps = recipe.augment[place].steps
    with mirrored(location_of(data), files_of(steps)) as directory:
        return read_sounds(steps, directory, recipe.sound.rate_hz)


@cache
def _thread_pools() -> Any:  # noqa: ANN401 - it has no types
    return import_module("threadpoolctl").ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """Matrix products by one thread: as many processes as cores run already, with equal sums."""
    limit: AbstractContextManager[Any] = _thread_pools().limit(limits=1)
    return limit
