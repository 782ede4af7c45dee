"""Files that verbs about data sets write into one, and those in it that they do not take."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from beepwatch.cli.options import complain
from beepwatch.errors import ConfigurationError
from beepwatch.wording import counted

if TYPE_CHECKING:
    from beepwatch.train.datasets.remote import Location


def check_may_be_written(file: Path, option: str, what: str, begins: bytes) -> None:
    """Before the work, which may take hours; and a recording that was named by mistake would be
    gone. Raises ConfigurationError.
    """
    problem = None
    try:
        if file.is_file():
            with file.open("rb") as opened:
                if opened.read(len(begins)) not in (b"", begins):
                    problem = f"is there already and is no {what}"
        elif file.exists():
            problem = "is no file"
        with TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
    if problem is not None:
        raise ConfigurationError(f"{file} {problem}. Name another with {option}.")


def unwritten_files(file: Path, option: str, write: Callable[[], None]) -> dict[Path, str]:
    """The file with a line why it could not be written; what was found out is told all the same."""
    from beepwatch.train.datasets.turns import alone_in

    try:
        with alone_in(file.parent):
            write()
    except OSError as error:
        return {file: f"{file} cannot be written: {error.strerror}. Name another with {option}."}
    return {}


def say_other_formats(directory: "Location") -> None:
    """Recordings that only import takes lie in a data set and are no part of it."""
    from beepwatch.train.datasets.containers import FOR_IMPORT
    from beepwatch.train.datasets.walking import files_below

    if not isinstance(directory, Path):
        return
    there = files_below(directory, lambda *_: None, lambda file: file.suffix.lower() in FOR_IMPORT)
    if there:
        complain(
            f"{counted(len(there), 'file')} in {directory} left out, {str(there[0])!r} for one: "
            "bring sound of that format in with `beepwatch dataset import`."
        )
