"""A file that is written over another: who looks finds the old one or the new one, never half.

So it is after a crash, a power cut and on a full disk too. What is written is a draft beside its
place, `.NAME.new`; once all of it is on the disk it is renamed, and the name is brought to the disk
as well. What a draft of a life before left behind is taken away by the next one. Those who may
write the same file at the same time hold a lock meanwhile.

Paths are handled by `os` and not by `pathlib`, which interns each part of them: see
`store/library.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

PRIVATE = 0o600  # the mode of what only its owner may read and write
_AS_THE_UMASK_SAYS = 0o666


class Owner(NamedTuple):
    """Whose a file is to be."""

    uid: int
    gid: int


def write_whole(
    path: Path | str, content: bytes, *, mode: int | None = None, owner: Owner | None = None
) -> None:
    """Put a file with this content in its place, as `written_whole` does."""
    with written_whole(path, mode=mode, owner=owner) as file:
        file.write(content)


@contextmanager
def written_whole(
    path: Path | str, *, mode: int | None = None, owner: Owner | None = None
) -> Iterator[IO[bytes]]:
    """A file to write into, which is in its place, and on the disk, once the block is over.

    Where the block or the disk fails before it is renamed, nothing has changed, no draft is left,
    and the error is passed on; OSError is the disk's. Until it has its owner nobody but who writes
    it may look into a file whose `mode` is given; without one the umask decides. A link in its
    place is replaced, not followed, and a link in the draft's is not written through.
    """
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.new")
    with suppress(FileNotFoundError):
        os.unlink(draft)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(draft, flags, _AS_THE_UMASK_SAYS if mode is None else PRIVATE)
    try:
        with os.fdopen(handle, "wb") as file:
            if owner is not None:
                os.fchown(handle, *owner)
            if mode is not None:
                os.fchmod(handle, mode)
            yield file
            file.flush()
            os.fsync(handle)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    sync_names(folder)


def sync_names(folder: Path | str) -> None:
    """Bring to the disk which names a folder has. Raises OSError."""
    handle = os.open(folder or os.curdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
