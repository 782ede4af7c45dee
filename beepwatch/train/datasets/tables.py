"""CSV as anybody writes it, and ours as everybody reads it back."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from beepwatch.errors import ConfigurationError

_DELIMITERS = ",;\t"  # spreadsheets write what the country has for a list
_LONGEST_BYTES = 200_000_000


class TableError(ConfigurationError):
    """A file that is not the table or the text that it should be."""


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; a name with a carriage return in it is read back as it was.

    Python's writer leaves that one alone unless it ends the lines, and every reader breaks there.
    """
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoting if any("\r" in str(cell) for cell in row) else plain).writerow(row)
    return text.getvalue()


def rows_of(table: Path) -> Iterator[Mapping[str, str]]:
    """Each row by its columns' names, empty rows left out. Raises TableError for what is no table.

    Cells are parted by what parts the names of the columns: commas, semicolons or tabs.
    """
    text = text_of(table)
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in lines:
            named = {name.strip(): cell or "" for name, cell in row.items() if name}
            if any(cell.strip() for cell in named.values()):
                yield named
    except csv.Error as error:
        raise TableError(f"{table} is no table: {error}. Mend it.") from error


def text_of(file: Path) -> str:
    """All of a text that is not too long for one. Raises TableError."""
    try:
        if file.stat().st_size > _LONGEST_BYTES:
            raise TableError(f"{file} is too long for a table. Leave it out.")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            f"{file} is no text: byte {error.start} is no UTF-8. Save it as UTF-8."
        ) from error
    except OSError as error:
        raise TableError(f"{file} cannot be read: {error.strerror}.") from error
