"""What lies below a directory. What cannot be looked into is told, and what leads elsewhere."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
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


def links_out(
    directory: Path, suffixes: Collection[str], *, hidden: bool = False, within: bool = True
) -> int:
    """How many links below lead to what is left out: a folder elsewhere, a file that is not there.

    Files elsewhere are left out as well by who wants all of it `within` the directory. A link that
    leads nowhere counts if its name has one of the suffixes, or none, as a folder's. What is hidden
    counts if it is asked for.
    """
    try:
        root = directory.resolve(strict=True)
    except (OSError, RuntimeError):  # who reads it says what is wrong
        return 0
    return sum(_leads_out(root, link, suffixes, within) for link in _links(directory, hidden))


def _links(directory: Path, hidden: bool) -> Iterator[Path]:
    folders = [str(directory)]
    while folders:
        # `files_below` tells of one that is closed.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name == _FSCK or (not hidden and entry.name.startswith(".")):
                    continue
                if entry.is_symlink():
                    yield Path(entry)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _leads_out(root: Path, link: Path, suffixes: Collection[str], within: bool) -> bool:
    suffix = link.suffix.lower()
    try:
        found = link.resolve(strict=True)
        if found.is_dir():
            return not found.is_relative_to(root)
        elsewhere = within and not found.is_relative_to(root)
        return suffix in suffixes and (elsewhere or not found.is_file())
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return suffix in suffixes or not suffix


def cannot_be_read(place: Path, error: OSError) -> str:
    """A line about a file or a folder."""
    return f"{printable(str(place))} cannot be read: {error.strerror}. Check its permissions."
