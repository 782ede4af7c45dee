"""Whether a disk takes anything: asked of the kernel, by taking a little and giving it back."""

import errno
import os
import threading
from pathlib import Path

LEAST_ROOM_BYTES = 262_144  # for SQLite's -shm and -wal, and for some alerts
GONE = frozenset({errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO})
_OWNER_ONLY_FILE = 0o600


def occupy(directory: Path, size_bytes: int = LEAST_ROOM_BYTES) -> None:
    """Take so much of the disk, and give it back at once. Raises OSError where it cannot be had.

    It is synced: memory takes what is written to a pulled disk for a while.
    """
    probe = directory / f".beepwatch-{os.getpid()}-{threading.get_ident()}"
    handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, _OWNER_ONLY_FILE)
    try:
        os.posix_fallocate(handle, 0, size_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)
        probe.unlink()


def why_gone(directory: Path) -> str | None:
    """What the kernel says of a disk that has become read-only or answers with errors; else None.

    A full one is there, and so is one that is forbidden.
    """
    try:
        occupy(directory)
    except OSError as error:
        return os.strerror(error.errno) if error.errno in GONE else None
    return None
