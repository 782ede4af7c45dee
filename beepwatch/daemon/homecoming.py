"""What was kept in memory moves to the disk, once that takes it again (see `refuge.py`)."""

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.daemon import poison
from beepwatch.daemon.mounts import Mount, mount_of
from beepwatch.daemon.refuge import (
    ORIGIN,
    Refuge,
    is_ours,
    memories,
    why_unwritable,
)
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, AlertKind
from beepwatch.store.aside import APART
from beepwatch.store.claim import claimed
from beepwatch.store.damage import untold_of
from beepwatch.store.database import FILE_NAME, RESERVE_BYTES, Database, marks
from beepwatch.store.disk import LEAST_ROOM_BYTES
from beepwatch.store.outbox import Outbox
from beepwatch.whole_files import written_whole

LOOKS_EVERY_S = 60.0
_BROUGHT = ("clips", "feedback", "taught", "machines", poison.DIRECTORY)
_BEGIN_ANEW = "The disk can be written again, and beepwatch only when it is restarted."

_log = structlog.get_logger()


class HomeWatch:
    """Whether the disk takes the state again.

    It is asked in a thread, since a dying disk may keep whoever asks waiting for ever.
    """

    def __init__(self, refuge: Refuge) -> None:
        self._refuge = refuge
        self._possible = threading.Event()
        self._held_back = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._look, name="home", daemon=True).start()

    def __call__(self) -> bool:
        """Whether it does."""
        return self._possible.is_set()

    def held_back(self) -> bool:
        """Whether it does for others: for us when the daemon is begun anew, with other mounts."""
        return self._held_back.is_set()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        was_read_only = False
        while True:
            mount = _mount_of(self._refuge.disk)
            # Only one that has become writable: another start would not change the others.
            was_read_only = was_read_only or mount.disk_read_only
            if was_read_only and mount.holds_back and not self._held_back.is_set():
                _log.error("mount_still_read_only", disk=str(self._refuge.disk), todo=_BEGIN_ANEW)
                self._held_back.set()
            if self._over.wait(LOOKS_EVERY_S):
                return
            if _can_move(self._refuge):
                self._possible.set()
                return


def bring_home(
    database: Database, channels: Sequence[str], clock: Clock, alive: Callable[[], None]
) -> Alert | None:
    """Move to the disk of `database` what had to be kept in memory; what is told of that.

    The disk's own database becomes the one in memory, which was begun as its copy, if nothing else
    was added to it since; else it gets those alerts that are still to be told, and all the rest
    comes to lie beside it. What cannot be moved stays where it is. `alive` is called for each file,
    each of which a slow disk may take seconds to sync.
    """
    now = clock.utc()
    for memory in memories(database.directory):
        if not _is_left(memory):
            continue
        try:
            with claimed(memory), _private():
                moved = _move(_Moving(memory, database.directory, alive), database, channels, now)
            shutil.rmtree(memory)
        except (OSError, shutil.Error, StoreError) as error:
            _log.error("not_moved_to_disk", memory=str(memory), error=str(error))
            with suppress(OSError):
                (memory / ORIGIN).unlink()  # from now on both are added to
            continue
        _log.info("moved_to_disk", memory=str(memory), disk=str(database.directory))
        return Alert(
            kind=AlertKind.RECOVERED,
            text=f"the disk of {database.directory} can be written again; {moved}",
            created_at=now,
            due_at=now,
            dedupe_key=f"home:{now.isoformat()}",
        )
    return None


@contextmanager
def _private() -> Iterator[None]:
    """What is made meanwhile is for its owner alone from its beginning on."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _mount_of(disk: Path) -> Mount:
    try:
        return mount_of(disk)
    except OSError:  # nobody to ask: then nothing is known
        return Mount(read_only=False, disk_read_only=False)


def _can_move(refuge: Refuge) -> bool:
    """Whether the disk with the state is there, and has room for the database once in the WAL and
    once in the file, and for all else once.
    """
    try:
        if not (refuge.disk / FILE_NAME).exists() or why_unwritable(refuge.disk) is not None:
            return False
        kept_bytes = sum(file.lstat().st_size for file in refuge.memory.rglob("*"))
        free_bytes = shutil.disk_usage(refuge.disk).free
    except OSError:  # pulled, or a clip that was just deleted: asked again
        return False
    return free_bytes >= LEAST_ROOM_BYTES + RESERVE_BYTES + 2 * kept_bytes


def _is_left(memory: Path) -> bool:
    """Whether a daemon of ours has left a state there."""
    try:
        return is_ours(memory) and (memory / FILE_NAME).exists()
    except FileNotFoundError:
        return False


class _Moving:
    """Copies what is in memory, each file whole or not at all."""

    def __init__(self, memory: Path, disk: Path, alive: Callable[[], None]) -> None:
        self.memory = memory
        self._disk = disk
        self._alive = alive

    def copy(self, what: str, to: str) -> None:
        """A directory, into one on the disk that may be there already."""
        if (self.memory / what).is_dir():
            shutil.copytree(
                self.memory / what,
                self._disk / to,
                copy_function=self._copy_newer,
                dirs_exist_ok=True,
            )

    def _copy_newer(self, source: str, copy: str) -> None:
        """What somebody has written to the disk since stays."""
        self._alive()
        target = Path(copy)
        if target.exists() and target.stat().st_mtime_ns >= Path(source).stat().st_mtime_ns:
            return
        status = Path(source).stat()
        with (
            Path(source).open("rb") as kept,
            written_whole(target, mode=stat.S_IMODE(status.st_mode)) as brought,
        ):
            shutil.copyfileobj(kept, brought)
            brought.flush()  # what is written after it would make it of now
            os.utime(brought.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _move(moving: _Moving, database: Database, channels: Sequence[str], now: datetime) -> str:
    """What there is to say of it."""
    there = marks(database.directory)
    if not there or there == _origin(moving.memory):
        for name in _BROUGHT:
            moving.copy(name, name)
        database.take_over(moving.memory)
        return "what was kept in memory is on it now"
    apart = f"{APART}{now:%Y%m%dT%H%M%SZ}"
    moving.copy(".", apart)
    outbox = Outbox(database)
    for alert in untold_of(moving.memory / FILE_NAME):
        outbox.write(alert=alert, channels=channels)
    return f"what was kept in memory did not begin with what is on it, and lies in {apart}"


def _origin(memory: Path) -> dict[str, int] | None:
    """The marks of the database of which the one in memory began as a copy; None for a new one."""
    try:
        return msgspec.json.decode((memory / ORIGIN).read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError):
        return None
