"""`dataset.csv`: what each clip of a data set is, one row a clip.

Several programs and people write into it: whoever changes it holds a lock on the directory, reads
it again if it is not as it was, changes only its own cells and puts the whole table in its place
at once. Rows and columns that others wrote stay as they are.
"""

import csv
import io
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from beepwatch.capture.files import AUDIO_SUFFIXES
from beepwatch.errors import BeepwatchError, ConfigurationError, UnreadableAudio
from beepwatch.train.datasets.remote import Location, on_disk
from beepwatch.train.datasets.tables import csv_text
from beepwatch.train.datasets.turns import alone_in
from beepwatch.train.datasets.walking import Complain, files_below
from beepwatch.validation import shortened
from beepwatch.whole_files import write_whole
from beepwatch.wording import counted

NAME = "dataset.csv"
COLUMNS = (
    *("path", "label", "session", "device", "split", "sha256", "duration_s", "rate_hz"),
    *("channels", "bits", "peak_dbfs", "clipped", "licence", "source"),
)

_MOST_BYTES = 200_000_000  # a million clips have half of it
_SAID_COLUMNS = 5


class CatalogueError(BeepwatchError):
    """A data set whose table cannot be read or written."""


def no_recordings(directory: Location, problems: Sequence[str] = ()) -> UnreadableAudio:
    """What to raise where a data set is asked for, on a disk or at an address, and nothing lies.

    `problems` are of folders that cannot be looked into.
    """
    return UnreadableAudio(
        " ".join(problems)
        if problems
        else f"{directory} holds no recordings. Name a directory with audio files or a {NAME}."
    )


def seconds_cell(seconds: float) -> str:
    """A length or a time as the table has it: to a tenth of a millisecond, no zeros behind."""
    return f"{seconds:.4f}".rstrip("0").rstrip(".")


class Relabelling(msgspec.Struct, frozen=True, kw_only=True):
    """A clip's label is to become another, if it still is what was seen; "" is no label."""

    path: str  # below the data set's directory, with slashes
    seen: str
    label: str


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of a `dataset.csv`, every cell as text."""

    columns: tuple[str, ...]
    rows: dict[str, dict[str, str]]  # by path, in the file's order

    @classmethod
    def empty(cls) -> "Table":
        """A table with the columns of every data set and no rows."""
        return cls(columns=COLUMNS, rows={})


class Catalogue:
    """The labels of a data set, as its `dataset.csv` has them now. Methods may run in threads."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / NAME
        self._directory = directory
        self._changing = threading.Lock()
        self._table = Table.empty()
        self._stamp: tuple[int, int, int] | None = None
        self._labels: Mapping[str, str] = {}

    def labels(self) -> Mapping[str, str]:
        """By path, of the clips that have one; the same object for as long as nothing changed.

        Raises CatalogueError if the file is no such table, or cannot be read.
        """
        with self._changing:
            self._read_if_changed()
            return self._labels

    def relabel(self, changes: Sequence[Relabelling]) -> dict[str, str]:
        """Write those labels that still are what was seen, at once; the labels of the others.

        They are on the disk before it returns. Raises CatalogueError, and then none of them is.
        """
        with self._changing, self._alone():
            self._read_if_changed()
            refused = {
                change.path: self._labels.get(change.path, "")
                for change in changes
                if self._labels.get(change.path, "") not in (change.seen, change.label)
            }
            wanted = {each.path: each.label for each in changes if each.path not in refused}
            if any(self._labels.get(path, "") != label for path, label in wanted.items()):
                self._write(with_labels(self._table, wanted))
        return refused

    def describe(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Add what is known of clips, each by its "path"; cells that are filled stay as they are.

        Raises CatalogueError, and then nothing was added.
        """
        with self._changing, self._alone():
            self._read_if_changed()
            if rows:
                self._write(with_cells(self._table, rows))

    def table(self) -> Table:
        """All of it, as it is now. Raises CatalogueError."""
        with self._changing:
            self._read_if_changed()
            return self._table

    def revise(self, change: Callable[[Table], Table]) -> Table:
        """Write what `change` makes of the table as it is now; nobody else writes in between.

        Raises CatalogueError, or what `change` raises, and then nothing was written.
        """
        with self._changing, self._alone():
            self._read_if_changed()
            revised = change(self._table)
            if revised != self._table or self._stamp is None:
                self._write(revised)
            return revised

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other program that keeps to the lock changes the table meanwhile."""
        with ExitStack() as turn:
            try:
                turn.enter_context(alone_in(self._directory))
            except OSError as error:
                raise self._cannot("written", error) from error
            yield

    def _read_if_changed(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._take(Table.empty() if stamp is None else read_table(self.file), stamp)

    def _take(self, table: Table, stamp: tuple[int, int, int] | None) -> None:
        self._table, self._stamp = table, stamp
        self._labels = {path: row["label"] for path, row in table.rows.items() if row.get("label")}

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            status = self.file.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot("read", error) from error
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _write(self, table: Table) -> None:
        try:
            write_table(self.file, table)
        except OSError as error:
            raise self._cannot("written", error) from error
        self._take(table, self._stamp_now())

    def _cannot(self, what: str, error: OSError) -> CatalogueError:
        return CatalogueError(
            f"{self.file} cannot be {what}: {error.strerror}. Check its permissions and the disk."
        )


def with_labels(table: Table, labels: Mapping[str, str]) -> Table:
    """The table with other labels by path; a clip that it did not know gets a row."""
    columns = table.columns if "label" in table.columns else (*table.columns, "label")
    rows = dict(table.rows)
    for path, label in labels.items():
        known = rows.get(path) or {**dict.fromkeys(columns, ""), "path": path}
        rows[path] = known | {"label": label}
    return Table(columns=columns, rows=rows)


def with_cells(table: Table, rows: Sequence[Mapping[str, str]]) -> Table:
    """The table with these cells where there was none or an empty one, in columns of their own."""
    names = (name for row in rows for name in row)
    columns = tuple(dict.fromkeys([*table.columns, *names]))
    filled = {path: dict.fromkeys(columns, "") | known for path, known in table.rows.items()}
    for row in rows:
        known = filled.setdefault(row["path"], dict.fromkeys(columns, ""))
        known |= {name: cell for name, cell in row.items() if not known[name]}
    return Table(columns=columns, rows=filled)


def read_table(file: Path) -> Table:
    """Every cell of a table. Raises CatalogueError, naming the line that is none of a table."""
    try:
        size = file.stat().st_size
        text = file.read_bytes().decode("utf-8-sig") if size <= _MOST_BYTES else ""
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"{file} is no table: byte {error.start} is no UTF-8. Mend it, or move it away."
        ) from error
    except OSError as error:
        raise CatalogueError(
            f"{file} cannot be read: {error.strerror}. Check its permissions."
        ) from error
    if size > _MOST_BYTES:
        raise CatalogueError(f"{file} is no table of clips: it has {size:,} bytes. Move it away.")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _table(reader)
    except (csv.Error, ValueError) as error:
        line = max(reader.line_num, 1)
        raise CatalogueError(
            f"{file} is no table: line {line}: {error}. Mend it, or move it away."
        ) from error


def table_of(directory: Location) -> Table:
    """The table of a data set, here or elsewhere; empty if it has none. Raises CatalogueError."""
    if isinstance(directory, Path):
        return Catalogue(directory).table()
    if not (directory / NAME).exists():
        return Table.empty()
    with on_disk(directory / NAME) as file:
        return read_table(file)


def _table(lines: Iterator[list[str]]) -> Table:
    """Raises ValueError, in words that follow the number of the line."""
    columns = tuple(next(lines, []))
    if "path" not in columns or len(set(columns)) != len(columns):
        found = shortened(", ".join(repr(column) for column in columns[:_SAID_COLUMNS]))
        raise ValueError(f"expected names of columns, 'path' once among them; found {found}")
    rows: dict[str, dict[str, str]] = {}
    for cells in lines:
        if not any(cells):
            continue  # as spreadsheets leave them
        if len(cells) != len(columns):
            found = f"{counted(len(cells), 'cell')} in {counted(len(columns), 'column')}"
            raise ValueError(found)
        row = dict(zip(columns, cells, strict=True))
        if not row["path"]:
            raise ValueError("it has no path")
        if row["path"] in rows:
            raise ValueError(f"a second row of {shortened(row['path'])!r}")
        rows[row["path"]] = row
    return Table(columns=columns, rows=rows)


def write_table(file: Path, table: Table) -> None:
    """Put a whole table in the file's place at once, and on the disk. Raises OSError."""
    rows = ([row.get(name, "") for name in table.columns] for row in table.rows.values())
    text = csv_text([table.columns, *rows])
    target = file.resolve()  # a link stays a link
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    write_whole(target, text.encode(), mode=mode)


def is_text(path: str) -> bool:
    """A name that is none cannot stand in a table."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_text(given: Mapping[str, str]) -> None:
    """Raises ConfigurationError for what was given as an option, and cannot stand in a table."""
    for option, text in given.items():
        if not is_text(text):
            raise ConfigurationError(
                f"--{option} is {text!r}, which is no text. Type it in UTF-8, or in other letters."
            )


def clips_below(directory: Path, complain: Complain = lambda _folder, _problem: None) -> list[str]:
    """Paths of the audio files of a data set, below its directory, sorted.

    Hidden folders are left out, and what a link leads to outside the directory. `complain` is told
    of each folder that cannot be looked into.
    """
    root = directory.resolve()
    found = files_below(directory, complain, lambda file: file.suffix.lower() in AUDIO_SUFFIXES)
    return sorted(
        file.relative_to(directory).as_posix() for file in found if is_file_within(root, file)
    )


def is_file_within(root: Path, file: Path) -> bool:
    """Whether a path is a regular file below a resolved directory, all links followed."""
    try:
        found = file.resolve(strict=True)
        return found.is_file() and found.is_relative_to(root)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return False
