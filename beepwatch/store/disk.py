"""Whether a disk takes anything: asked of the kernel, by taking a little and giving it back."""

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from beepwatch.errors import StoreError

ANSWERS_WITHIN_S = 10.0  # a card that is busy with itself takes a second or two
NO_ANSWER = "it does not answer"
LEAST_ROOM_BYTES = 262_144  # for SQLite's -shm and -wal, and for some alerts
GONE = frozenset({errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO})
_OWNER_ONLY_FILE = 0o600
_Result = TypeVar("_Result")
_PROBE = ".beepwatch-"  # before the numbers of who asks


def occupy(directory: Path, size_bytes: int = LEAST_ROOM_BYTES) -> None:
    """Take so much of the disk, and give it back at once. Raises OSError where it cannot be had.

    It is synced: memory takes what is written to a pulled disk for a while.
    """
    probe = directory / f"{_PROBE}{os.getpid()}-{threading.get_ident()}"
    handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, _OWNER_ONLY_FILE)
    try:
        os.posix_fallocate(handle, 0, size_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)
        probe.unlink(missing_ok=True)


def why_gone(directory: Path) -> str | None:
    """What the kernel says of a disk that has become read-only or answers with errors; else None.

    A full one is there, and so is one that is forbidden.
    """
    try:
        occupy(directory)
    except OSError as error:
        return os.strerror(error.errno) if error.errno in GONE else None
    return None


def wait_for_answer(directory: Path) -> None:
    """Return once the disk has answered, whatever it says. One that hangs keeps who asks in the
    kernel, where not even SIGKILL reaches: for a thread of its own.
    """
    with suppress(OSError):
        occupy(directory)


def check_answers(directory: Path) -> None:
    """Raise StoreError if its disk hangs: whoever then uses the store hangs with it, unkillable."""
    try:
        in_time(lambda: wait_for_answer(directory))
    except TimeoutError as error:
        raise StoreError(
            f"the disk of {directory} cannot be used: {NO_ANSWER}. Run `beepwatch doctor`."
        ) from error


def in_time(act: Callable[[], _Result]) -> _Result:
    """What `act` returns or raises; TimeoutError if the disk keeps it, and it is left behind."""
    done: Future[_Result] = Future()

    def run() -> None:
        try:
            done.set_result(act())
        except BaseException as error:  # noqa: BLE001 - raised to whoever waits
            done.set_exception(error)

    threading.Thread(target=run, name="disk", daemon=True).start()
    return done.result(ANSWERS_WITHIN_S)


def clear_probes(directory: Path) -> None:
    """What those have left behind who were killed while they asked. Nobody else asks meanwhile."""
    for probe in directory.glob(f"{_PROBE}*"):
        with suppress(OSError):
            probe.unlink()
