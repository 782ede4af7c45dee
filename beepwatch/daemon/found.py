"""What a scan found, and the forms in which it leaves: lines, JSON, a table, Audacity labels."""

import csv
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec

from beepwatch.decide.episodes import Episode
from beepwatch.errors import BeepwatchError, ConfigurationError, DiskFull
from beepwatch.train.datasets.remote import Location
from beepwatch.wording import counted, printable

_OF_ONE = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EACCES)


class NoLabelTrack(BeepwatchError):
    """A recording whose label track is not written; those of others are."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One episode in a recording; the form of `scan --json`, and the columns of `scan --csv`."""

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
        pulses = counted(self.pulses, "pulse")
        return (
            f"{printable(self.file)}  {self.onset_s:9.2f} s  {self.label}  "
            f"{pulses} in {self.offset_s - self.onset_s:.1f} s  score {self.score:.2f}"
        )

    def as_audacity_label(self) -> str:
        """One line of a label track: what `File > Import > Labels` reads."""
        return f"{self.onset_s:.3f}\t{self.offset_s:.3f}\t{self.label}"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One recording to scan."""

    file: Location
    name: Path  # below the directory that was given, or its own
    problem: str | None = None  # why there is nothing to scan


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: what was found and, if it could not be read to its end, why."""

    given: Given
    found: tuple[Found, ...] = ()
    problem: str | None = None


def found(file: Location, episode: Episode) -> Found:
    """A closed episode, in seconds from the recording's first sample."""
    return Found(
        file=str(file),
        label=episode.label,
        onset_s=round(max(0.0, episode.pulses[0].onset_s), 3),
        offset_s=round(episode.pulses[-1].offset_s, 3),
        pulses=episode.count,
        score=round(episode.peak_score, 4),
    )


@contextmanager
def written(
    given: Iterable[Given], *, table: Path | None, labels: Path | None
) -> Iterator[Callable[[Scanned], None]]:
    """What has to be called with every answer, so that it is in the files that were asked for.

    Both are written as the answers come: a scan that is stopped leaves what it had found. Raises
    ConfigurationError, at the beginning where it can be known then. What is called raises
    NoLabelTrack for a recording whose track cannot be written, or was corrected by somebody.
    """
    with ExitStack() as stack:
        writers: list[Callable[[Scanned], None]] = []
        if table is not None:
            writers.append(stack.enter_context(_table(table)))
        if labels is not None:
            writers.append(stack.enter_context(_label_tracks(labels, given)))

        def write(scanned: Scanned) -> None:
            for writer in writers:
                writer(scanned)

        yield write


@contextmanager
def _table(path: Path) -> Iterator[Callable[[Scanned], None]]:
    with _told(path):
        _check_is_ours(path)
        file = path.open("w", newline="", encoding="utf-8", errors="surrogateescape")
    try:
        rows = csv.DictWriter(file, Found.__struct_fields__, lineterminator="\n")
        rows.writeheader()

        def write(scanned: Scanned) -> None:
            with _told(path):
                rows.writerows(msgspec.to_builtins(one) for one in scanned.found)
                file.flush()

        yield write
    finally:
        with _told(path):  # once more, what there was no room for
            file.close()


def _check_is_ours(path: Path) -> None:
    """A recording that was given to --csv by mistake would be gone. Raises ConfigurationError."""
    if not path.is_file():
        return
    header = ",".join(Found.__struct_fields__).encode()
    with path.open("rb") as file:
        begins = file.read(len(header))
    if begins not in (b"", header):
        raise ConfigurationError(
            f"{path} is there already and is no table of a scan. Name another file with --csv."
        )


class _Marks:
    """Which label tracks are as they were written here: a digest of each, of name and content."""

    def __init__(self, file: IO[bytes]) -> None:
        """`file` is read, and appended to without a buffer: a mark is there before its track."""
        self._file = file
        file.seek(0)
        self._known = set(file.read().split())

    def add(self, name: Path, content: bytes) -> None:
        mark = _mark(name, content)
        if mark not in self._known:
            self._known.add(mark)
            self._file.write(b"\n" + mark)  # the mark before may have been cut off

    def knows(self, name: Path, content: bytes) -> bool:
        return _mark(name, content) in self._known


def _mark(name: Path, content: bytes) -> bytes:
    return sha256(os.fsencode(name) + b"\0" + content).hexdigest().encode()


@contextmanager
def _label_tracks(directory: Path, given: Iterable[Given]) -> Iterator[Callable[[Scanned], None]]:
    """Writes `directory`/NAME.txt for each recording; empty where nothing was found.

    It takes the place of an older scan's, unless somebody has corrected that. Raises
    ConfigurationError if two recordings would share one.
    """
    from beepwatch.train.datasets.surveying import FOLDER  # no other scan has to load it

    owners: dict[Path, Location] = {}
    for one in given:
        owner = owners.setdefault(one.name, one.file)
        if owner.absolute() != one.file.absolute():
            raise ConfigurationError(
                f"--labels: {owner} and {one.file} would both get {directory / one.name}.txt. "
                "Give the directory above both instead, or scan them apart."
            )
    with _told(directory):
        (directory / FOLDER).mkdir(parents=True, exist_ok=True)
        file = (directory / FOLDER / "tracks").open("a+b", buffering=0)
    with file:
        marks = _Marks(file)

        def write(scanned: Scanned) -> None:
            if scanned.problem is not None and not scanned.found:
                return
            name = scanned.given.name.with_name(f"{scanned.given.name.name}.txt")
            content = "".join(f"{one.as_audacity_label()}\n" for one in scanned.found).encode()
            with _told(directory / name), _of_one(directory / name):
                _check_is_uncorrected(directory / name, content, partial(marks.knows, name))
                marks.add(name, content)
                _write_whole(directory / name, content)

        yield write


def _check_is_uncorrected(path: Path, content: bytes, known: Callable[[bytes], bool]) -> None:
    """Raises NoLabelTrack for one that is neither `known` nor says the same."""
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        return
    if before != content and not known(before):
        raise NoLabelTrack(
            f"{path} is not as a scan wrote it, and is left as it is. Move it away, or name "
            "another directory with --labels."
        )


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)  # half a track would be taken for somebody's own
            raise


@contextmanager
def _of_one(path: Path) -> Iterator[None]:
    """What is wrong with this place alone is no reason to scan no more: raises NoLabelTrack."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_ONE:
            raise
        too_long = error.errno == errno.ENAMETOOLONG
        todo = "Give the recording a shorter name." if too_long else "Move it away."
        raise NoLabelTrack(f"{path} cannot be written: {error.strerror}. {todo}") from None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (DiskFull if no_room else ConfigurationError)(
            f"{path} cannot be written: {error.strerror}. Name another place, or make room."
        ) from None
