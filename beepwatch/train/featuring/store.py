"""A feature store on disk: `features.npy`, `index.csv`, `features.json`; whole or not there.

Beside them lie two hidden things of the program's own: `.inputs.csv`, by which it tells which
recordings have changed without reading them, and `.work`, while it is at work.
"""

import csv
import fcntl
import io
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.train.datasets.tables import csv_text
from beepwatch.train.featuring.work import Done, Made, Stamp
from beepwatch.whole_files import sync_names, write_whole, written_whole

NPY, INDEX, META, INPUTS = "features.npy", "index.csv", "features.json", ".inputs.csv"
COLUMNS = (
    *("path", "label", "session", "device", "split", "augmentation", "parent"),
    *("first_frame", "frames", "sha256", "rate_hz", "duration_s", "decoder"),
)
_WORK, _ROWS, _JOURNAL = ".work", "rows", "journal"
_SWAPPED = (NPY, INDEX, INPUTS, META)  # in this order; the last one's draft vouches for the others
_FLOAT_BYTES = 4
_COPY_BYTES = 4_000_000


class FeatureStoreError(BeepwatchError):
    """A directory that is no feature store, or is being written by another program."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the index: the rows of one version of a recording."""

    path: str
    label: str
    session: str
    device: str
    split: str
    augmentation: str  # "" is the recording as it is
    parent: str  # of an augmented one, the recording's path
    first_frame: int
    frames: int
    sha256: str  # of the recording
    rate_hz: int  # the recording's own
    duration_s: float
    decoder: str = ""  # "" is one of the packages that `features.json` names


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the rows of a key are."""

    made: Made
    first_frame: int | None  # in the store as it is; None: among the rows of the work


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A store that is to be."""

    index: str
    inputs: str
    meta: bytes
    keys: tuple[str, ...]  # in the order of the rows
    columns: int


class FeatureStore:
    """The directory, held alone from `held` on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._work = directory / _WORK
        self.rows = self._work / _ROWS

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes meanwhile. Raises FeatureStoreError, ConfigurationError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FeatureStoreError(
                f"{self.directory} cannot be written: {error.strerror}. Name another --out."
            ) from error
        try:
            _lock(handle, self.directory)
            self._settle()
            yield
        finally:
            os.close(handle)  # and with it the lock

    def _settle(self) -> None:
        """Finish a swap that was interrupted, or forget its draft."""
        if (self._work / META).exists():
            self._swap()
        elif stranger := self._stranger():
            raise ConfigurationError(
                f"{self.directory} holds {stranger}, so it is none of ours. "
                "Name another --out, or move it away."
            )
        for name in _SWAPPED:
            (self._work / name).unlink(missing_ok=True)

    def _stranger(self) -> str:
        """What somebody else has put where a store has its own, and would lose; or nothing."""
        try:
            found: Any = msgspec.json.decode((self.directory / META).read_bytes())
        except FileNotFoundError:
            there = [name for name in (NPY, INDEX) if (self.directory / name).exists()]
            return f"{' and '.join(there)} without {META}" if there else ""
        except (OSError, msgspec.DecodeError):
            return ""  # one of ours that is damaged is made again
        ours = isinstance(found, dict) and "column_names" in found
        return "" if ours else f"another kind of {META}"

    def meta(self) -> dict[str, Any] | None:
        """What `features.json` says; None if there is no store, or one of something else."""
        try:
            found: Any = msgspec.json.decode((self.directory / META).read_bytes())
            whole = self._size(found["counts"]["frames"], len(found["column_names"]))
            if (self.directory / NPY).stat().st_size != whole:
                return None
        except (OSError, msgspec.DecodeError, KeyError, TypeError):
            return None
        return dict(found)

    def entries(self, versions: Container[str]) -> list[Entry]:
        """The index. Raises FeatureStoreError for one that is none, or of other `versions`."""
        file = self.directory / INDEX
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                rows = csv.DictReader(lines)
                entries = [msgspec.convert(row, Entry, strict=False) for row in rows]
            for entry in entries:
                if entry.augmentation not in versions:
                    raise ValueError(f"{META} knows of no augmentation {entry.augmentation!r}")
            return entries
        except (OSError, ValueError, csv.Error) as error:
            raise FeatureStoreError(
                f"{file} is no index of features: {error}. Move {self.directory} away."
            ) from error

    def seen(self) -> dict[str, tuple[Stamp, str]]:
        """What recordings were like when they were last read, and their SHA-256, by path."""
        found: dict[str, tuple[Stamp, str]] = {}
        try:
            with (self.directory / INPUTS).open(encoding="utf-8", newline="") as lines:
                for path, sha256, *numbers in csv.reader(lines):
                    found[path] = Stamp(*map(int, numbers)), sha256
        except (OSError, ValueError, TypeError, csv.Error):
            return {}  # then everything is read again
        return found

    def journal(self, columns: int) -> Iterator[Done]:
        """What an interrupted run has finished and not put into the store yet."""
        try:
            lines = (self._work / _JOURNAL).read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                done = msgspec.json.decode(line, type=Done)
            except msgspec.DecodeError:
                continue  # it was being written
            kept = tuple(made for made in done.made if self._is_whole(made, columns))
            yield msgspec.structs.replace(done, made=kept)

    def _is_whole(self, made: Made, columns: int) -> bool:
        try:
            size = (self.rows / made.key).stat().st_size
        except OSError:
            return False
        return size == made.frames * columns * _FLOAT_BYTES

    @contextmanager
    def journalling(self) -> Iterator["Journal"]:
        """Somewhere to write down what is done."""
        self.rows.mkdir(parents=True, exist_ok=True)
        with (self._work / _JOURNAL).open("ab") as file:
            yield Journal(self, file)

    def equals(self, draft: Draft) -> bool:
        """Whether the store is what the draft would make of it."""
        if self.meta() is None:
            return False
        wanted = {INDEX: draft.index.encode(), INPUTS: draft.inputs.encode(), META: draft.meta}
        try:
            return all((self.directory / n).read_bytes() == data for n, data in wanted.items())
        except OSError:
            return False

    def write(self, draft: Draft, places: Mapping[str, Place], *, same_rows: bool) -> None:
        """Put a whole store in the place of the one there was. Raises OSError."""
        self._work.mkdir(exist_ok=True)
        if not same_rows:
            with written_whole(self._work / NPY) as file:
                self._write_npy(file, draft, places)
        for name, text in ((INDEX, draft.index.encode()), (INPUTS, draft.inputs.encode())):
            write_whole(self._work / name, text)
        write_whole(self._work / META, draft.meta)  # the last: it vouches for the others
        self._swap()

    def _write_npy(self, file: IO[bytes], draft: Draft, places: Mapping[str, Place]) -> None:
        frames = sum(places[key].made.frames for key in draft.keys)
        file.write(_header(frames, draft.columns))
        row = draft.columns * _FLOAT_BYTES
        store = self.directory / NPY
        before = store.open("rb") if store.exists() else io.BytesIO()
        with before:
            for key in draft.keys:
                place = places[key]
                if place.first_frame is None:
                    with (self.rows / key).open("rb") as rows:
                        shutil.copyfileobj(rows, file, _COPY_BYTES)
                else:
                    before.seek(_HEADER_BYTES + place.first_frame * row)
                    _copy(before, file, place.made.frames * row)

    def _swap(self) -> None:
        for name in _SWAPPED:
            if (self._work / name).exists():
                (self._work / name).replace(self.directory / name)
        sync_names(self.directory)

    def tidy(self) -> None:
        """Forget the work: all of it is in the store."""
        shutil.rmtree(self._work, ignore_errors=True)

    @staticmethod
    def _size(frames: int, columns: int) -> int:
        return _HEADER_BYTES + frames * columns * _FLOAT_BYTES


class Journal:
    """What is done, a line each, so that an interrupted run goes on where it was."""

    def __init__(self, store: FeatureStore, file: IO[bytes]) -> None:
        self._store = store
        self._file = file

    def add(self, done: Iterable[Done]) -> None:
        """Write down recordings whose rows are on the disk, or are put there now."""
        for one in done:
            for made in one.made:
                if made.rows is not None:
                    beside = self._store.rows / f".{made.key}"
                    beside.write_bytes(made.rows)
                    beside.replace(self._store.rows / made.key)
            bare = tuple(msgspec.structs.replace(made, rows=None) for made in one.made)
            self._file.write(msgspec.json.encode(msgspec.structs.replace(one, made=bare)) + b"\n")
        self._file.flush()


def _lock(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FeatureStoreError(
            f"another program is writing {directory}. Wait for it, or name another --out."
        ) from None


def index_text(entries: Iterable[Entry]) -> str:
    """The table as it is written."""
    rows = ([getattr(entry, column) for column in COLUMNS] for entry in entries)
    return csv_text([COLUMNS, *rows])


def inputs_text(seen: Mapping[str, tuple[Stamp, str]]) -> str:
    """The table of what recordings were like."""
    rows = sorted(seen.items())
    return csv_text([path, sha256, *msgspec.to_builtins(stamp)] for path, (stamp, sha256) in rows)


def _header(frames: int, columns: int) -> bytes:
    """Of an .npy file of version 1.0, always of the same length."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({frames}, {columns}), }}"
    size = _HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + size.to_bytes(2, "little") + text.ljust(size - 1).encode() + b"\n"


_MAGIC: bytes = np.lib.format.magic(1, 0)
_HEADER_BYTES = 128


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size > 0:
        data = source.read(min(size, _COPY_BYTES))
        if not data:
            raise FeatureStoreError("the store became shorter while it was read. Run this again.")
        target.write(data)
        size -= len(data)
