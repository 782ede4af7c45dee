"""All recordings of a data set, inspected: each once, until it changes.

What was found out is kept beside the data, in `.beepwatch/inspected.jsonl`, a line for each file.
So who is interrupted goes on, and a second look at ten thousand files takes seconds.
"""

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import msgspec

from beepwatch.train.datasets.catalogue import is_text
from beepwatch.train.datasets.inspecting import VERSION, Inspection, inspect
from beepwatch.train.datasets.remote import Location, address_of
from beepwatch.train.datasets.spreading import Lost, spread

FOLDER = ".beepwatch"  # of what only these verbs read; hidden, so no clip is looked for in it
_NAME = "inspected.jsonl"


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """A file that could not be looked at."""

    path: str
    problem: str  # one line


class _Stamp(msgspec.Struct):
    """As much of a line as tells whether it still holds."""

    path: str
    size_bytes: int
    mtime_ns: int
    changed_ns: int
    version: int

    @property
    def looks(self) -> tuple[int, int, int]:
        """Which are others when the file is."""
        return self.size_bytes, self.mtime_ns, self.changed_ns


class Journal:
    """Inspections on disk, found by path; only where each begins is in memory.

    Of a data set that is on no disk here they are kept for as long as this is open.
    """

    def __init__(self, directory: Location) -> None:
        self._directory = directory if isinstance(directory, Path) else None
        self._lines: dict[str, tuple[int, tuple[int, int, int]]] = {}  # begin, looks
        self._writing: IO[bytes] | None = None  # by the system itself: what fails is over with
        self._reading: IO[bytes] | None = None
        self._unwritten: dict[str, Inspection] = {}

    def __enter__(self) -> "Journal":
        self._writing, self._reading = self._opened()
        self._read(self._reading)
        return self

    def _opened(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._directory is not None:
            file = self._directory / FOLDER / _NAME
            # What cannot be written to is looked at all the same, each time anew.
            with contextlib.suppress(OSError):
                file.parent.mkdir(exist_ok=True)
                return file.open("ab", buffering=0), file.open("rb")
        passing: Any = NamedTemporaryFile("ab", buffering=0)  # noqa: SIM115 - closed at the end
        return passing, Path(passing.name).open("rb")

    def __exit__(self, *_: object) -> None:
        for handle in (self._writing, self._reading):
            if handle is not None:
                handle.close()

    def _read(self, lines: IO[bytes]) -> None:
        begin = 0
        for line in lines:
            if not line.endswith(b"\n"):  # the last one, cut off
                self._write(b"\n")
                break
            with contextlib.suppress(msgspec.MsgspecError):
                stamp = msgspec.json.decode(line, type=_Stamp)
                if stamp.version == VERSION:
                    self._lines[stamp.path] = begin, stamp.looks
            begin += len(line)

    def knows(self, path: str) -> bool:
        """Whether a file was looked at and is still as it was."""
        if self._directory is None:
            return False
        try:
            status = (self._directory / path).stat()
        except OSError:
            return False
        looks = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return path in self._lines and self._lines[path][1] == looks

    def find(self, path: str) -> Inspection:
        """What was found out about a file that was looked at. Raises KeyError."""
        if path in self._unwritten:
            return self._unwritten[path]
        begin, _ = self._lines[path]
        assert self._reading is not None  # noqa: S101 - there are lines
        self._reading.seek(begin)
        return msgspec.json.decode(self._reading.readline(), type=Inspection)

    def keep(self, inspection: Inspection) -> None:
        """Write it down; it is there if the program is killed, not if the power fails."""
        begin = self._write(msgspec.json.encode(inspection) + b"\n")
        if begin is None:
            self._unwritten[inspection.path] = inspection
            return
        looks = (inspection.size_bytes, inspection.mtime_ns, inspection.changed_ns)
        self._lines[inspection.path] = begin, looks

    def _write(self, line: bytes) -> int | None:
        """Where it begins; None if there is no room for it."""
        assert self._writing is not None  # noqa: S101 - this is for who has entered
        try:
            written = self._writing.write(line)
        except OSError:
            return None
        return self._writing.tell() - written if written == len(line) else None


def survey(
    directory: Location,
    paths: Sequence[str],
    journal: Journal,
    *,
    workers: int,
    cluster: str | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Generator[Inspection | Unseen]:
    """One for each path, in order; `report` is told how many are done."""
    root = address_of(directory.absolute() if cluster else directory)
    new = {path for path in paths if is_text(path) and not journal.knows(path)}
    to_inspect = (path for path in paths if path in new)
    inspected = spread(partial(inspect, root), to_inspect, workers, cluster=cluster)
    found: Inspection | Unseen
    for number, path in enumerate(paths, start=1):
        if path in new:
            found = _kept(next(inspected), journal)
        elif is_text(path):
            found = journal.find(path)
        else:
            name = ascii(path)
            found = Unseen(path=name, problem=f"{name}: its name is no text. Rename it.")
        report(number)
        yield found


def _kept(one: Inspection | Lost[str], journal: Journal) -> Inspection | Unseen:
    if isinstance(one, Lost):
        return Unseen(path=one.item, problem=f"{one.item}: {one.problem}")
    journal.keep(one)
    return one
