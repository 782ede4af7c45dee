"""A finished file gets its name in a data set, and no other file ever loses its own."""

import errno
import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from beepwatch.train.datasets.inspecting import digest_of


def publish(draft: Path, folder: Path, stem: str, ending: str, digest: str) -> tuple[Path, bool]:
    """Give a draft a name that is free; whose name it is, and whether it is new.

    A file of the very same bytes that has the name already is left, and is the answer.
    """
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    for number in count(1):
        path = folder / (f"{stem}{ending}" if number == 1 else f"{stem}~{number}{ending}")
        try:
            _move_to_free_name(draft, path)
        except FileExistsError:
            if path.is_file() and digest_of(path) == digest:
                draft.unlink()
                return path, False
            continue
        return path, True
    raise AssertionError("there are more numbers than files")


def _move_to_free_name(draft: Path, path: Path) -> None:
    """Raises FileExistsError."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        with path.open("xb"):  # a file system without links: the name is taken, then filled
            draft.replace(path)
        return
    with suppress(FileNotFoundError):
        draft.unlink()
