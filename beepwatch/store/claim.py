"""One daemon for each state directory: two would tell everything twice.

It is the file of those who use the database (`beepwatch.lock`, see `database.py`): they have it
locked as a whole, shared, with flock(2); the daemon has its first byte besides, alone, with a lock
of fcntl(2), of which flock knows nothing. It belongs to the open file rather than to the process,
which would let go of it whenever it closes a database, and the kernel ends it with the process,
however that ends.
"""

import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beepwatch.errors import ConfigurationError, StoreError
from beepwatch.store.database import make_private_directory, open_users

_FIRST_BYTE = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)  # struct flock, fcntl(2)
_PID_BYTES = 32
_LOOKS, _LOOKS_EVERY_S = 10, 0.1  # for the number of a daemon that has only just begun


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Meanwhile no other daemon works with this state directory; who only looks is free to.

    Raises ConfigurationError, which names the other daemon's process, and StoreError when the
    directory cannot be used.
    """
    try:
        make_private_directory(directory)
        handle = open_users(directory)
    except OSError as error:
        raise StoreError(
            f"the state directory {directory} cannot be used: {error.strerror} "
            f"({error.filename}). Make it writable, or set store.directory to another one."
        ) from error
    try:
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _FIRST_BYTE)
        except BlockingIOError:
            raise ConfigurationError(
                f"another beepwatch works with {directory}{_whose(handle)}. Stop that one, or set "
                "store.directory to another directory for this one."
            ) from None
        with suppress(OSError):  # a full disk: then nobody learns whose it is
            os.pwrite(handle, f"{os.getpid():<{_PID_BYTES - 1}}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _whose(handle: int) -> str:
    """In words; nothing where it is not known."""
    for _ in range(_LOOKS):
        written = os.pread(handle, _PID_BYTES, 0).strip()
        if written.isdigit() and Path(f"/proc/{int(written)}").exists():
            return f" (process {int(written)})"
        threading.Event().wait(_LOOKS_EVERY_S)  # what stands there is of an earlier one
    return ""
