"""What lies below a directory. A folder that cannot be looked into is told, not passed over."""

import os
from collections.abc import Callable
from errno import EACCES
from pathlib import Path

from beepwatch.wording import printable

Complain = Callable[[Path, str], None]  # of a folder, in a line that names it
_FSCK = "lost+found"  # root's alone, at the top of every ext4 disk


def files_below(
    directory: Path, complain: Complain, wanted: Callable[[Path], bool], *, hidden: bool = False
) -> list[Path]:
    """Everything of a wanted name that is no folder, sorted. Links to folders are not followed.

    What is hidden, and what lies in a hidden folder, is left out unless it is asked for; what a
    check of the disk has put aside always is.
    """
    files: list[Path] = []

    def told(error: OSError) -> None:
        folder = Path(error.filename)
        complain(folder, cannot_be_read(folder, error))

    for folder, folders, names in os.walk(directory, onerror=told):
        folders[:] = [name for name in folders if name != _FSCK]
        if not hidden:
            folders[:] = [name for name in folders if not name.startswith(".")]
            names = [name for name in names if not name.startswith(".")]
        here = [file for name in names if wanted(file := Path(folder, name))]
        if here and not os.access(folder, os.X_OK):  # which leaves their names alone to be read
            told(PermissionError(EACCES, os.strerror(EACCES), folder))
        else:
            files += here
    return sorted(files)


def cannot_be_read(place: Path, error: OSError) -> str:
    """A line about a file or a folder."""
    return f"{printable(str(place))} cannot be read: {error.strerror}. Check its permissions."
