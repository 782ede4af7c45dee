"""Where the daemon keeps its state when it starts on a disk that takes nothing: in memory.

A failing card comes back read-only from a restart of the machine, a pulled one answers with errors
only or not at all, a full one has no room for SQLite. What is known of taught sounds, machines,
cooldowns and alerts still to be told is copied, as far as it can be read, to where the machine has
memory for files. There all goes on as ever until the disk takes it back (`homecoming.py`), or is
gone with the next start of the machine.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.planning import Read
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, AlertKind
from beepwatch.secrecy import Secret
from beepwatch.sections import Config
from beepwatch.store.database import (
    FILE_NAME,
    RESERVE,
    make_private_directory,
    marks,
)
from beepwatch.store.disk import GONE, NO_ANSWER, in_time, occupy
from beepwatch.store.library import clips_of_untold

# Memory, in which nobody else's is trusted. The first is the unit's RuntimeDirectory=, which
# outlives its restarts; RemoveIPC= empties /dev/shm of all that is the service's when that ends.
PLACES = (Path("/run/beepwatch"), Path("/dev/shm"), Path("/run"))  # noqa: S108
MOST_MB = 32.0  # of clips
MOST_COPIED_BYTES = 64_000_000  # of a database; without the alerts that wait it can do
ORIGIN = "origin.json"  # which database this one was begun as a copy of, see `marks`
_TAUGHT = ("taught", "machines")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_OWNER_ONLY = 0o700
_OWNER_ONLY_FILE = 0o600

_REPLACE = "Restart the machine; if this comes again, replace the disk"
_FREE_SOME = "Free some space; what was kept is moved to the disk as soon as it has room"

_log = structlog.get_logger()


class Refuge(msgspec.Struct, frozen=True, kw_only=True):
    """A place in memory for the state of a directory that cannot be written."""

    disk: Path
    memory: Path
    reason: str  # the kernel's, why the disk cannot be written

    def applied(self, config: Config) -> Config:
        """The configuration, with the state in memory; another state directory stays another."""
        if config.store.path != self.disk:
            return config
        store = msgspec.structs.replace(
            config.store,
            directory=str(self.memory),
            max_mb=min(config.store.max_mb, MOST_MB),
            min_free_mb=0,
        )
        return msgspec.structs.replace(config, store=store)

    def reading(self, read: Read | None) -> Read | None:
        """What reads the configuration again, with the state in memory as well."""
        if read is None:
            return None

        def read_again() -> tuple[Config, Secret | None]:
            config, token = read()
            return self.applied(config), token

        return read_again

    @property
    def full(self) -> bool:
        """Whether all that is wrong with the disk is that it is full."""
        return self.reason in map(os.strerror, _NO_ROOM)

    @property
    def remark(self) -> str:
        """For the service manager's line of status."""
        trouble = "is full" if self.full else "cannot be written"
        return f"the disk of {self.disk} {trouble}, what is heard is kept in memory"

    def alert(self, clock: Clock) -> Alert:
        """What is told, once for each time that the state is in memory."""
        now = clock.utc()
        what, todo = f"cannot be written: {self.reason}", _REPLACE
        if self.full:
            what, todo = f"is full: {self.reason}", _FREE_SOME
        return Alert(
            kind=AlertKind.FAULT,
            text=f"the disk of {self.disk} {what}. What sounds is told, and kept in memory only. "
            f"{todo}",
            created_at=now,
            due_at=now,
            dedupe_key=f"refuge:{clock.boot_id()}:{self.memory.stat().st_ino}",
        )


def refuge_from(directory: Path) -> Refuge | None:
    """A place in memory, if there is a state on a disk that takes nothing any more; else None.

    What an earlier daemon has left there since the machine's start is gone on with. Raises
    StoreError where no memory can be had either.
    """
    try:
        reason = in_time(lambda: why_unwritable(directory))
    except TimeoutError:
        reason = NO_ANSWER
    if reason is None:
        return None
    for memory in memories(directory):
        try:
            memory.mkdir(mode=_OWNER_ONLY, exist_ok=True)
            if not is_ours(memory):
                continue
            if reason != NO_ANSWER:  # else whoever reads it may wait for ever
                _bring(directory, memory)
        except OSError as error:
            _log.warning("no_refuge", place=str(memory.parent), error=error.strerror)
            continue
        _log.error(
            "state_in_memory", disk=str(directory), memory=str(memory), reason=reason, told=True
        )
        return Refuge(disk=directory, memory=memory, reason=reason)
    places = ", ".join(map(str, PLACES))
    raise StoreError(
        f"the state directory {directory} cannot be used: {reason}, and there is no memory for it "
        f"in {places}. Restart the machine, or replace the disk."
    )


def memories(directory: Path) -> list[Path]:
    """Where the state of this directory may be in memory, the best place first."""
    name = hashlib.sha256(bytes(directory.absolute())).hexdigest()[:16]
    return [place / f"beepwatch-{os.geteuid()}-{name}" for place in PLACES if _is_open(place)]


def _is_open(place: Path) -> bool:
    """The service's own is shut for all others."""
    try:
        return place.is_dir()
    except PermissionError:
        return False


def why_unwritable(directory: Path) -> str | None:
    """What the kernel says of a directory's disk that takes nothing, or has no room even without
    the reserve.

    None for a healthy one, for one that is forbidden, and for a directory in which there never was
    a state: that is a wrong configuration, or a container without a volume, and somebody is there
    to be told.
    """
    try:
        if (directory / FILE_NAME).exists():
            _try_out(directory)
    except OSError as error:
        return os.strerror(error.errno) if error.errno in GONE | _NO_ROOM else None
    return None


def _try_out(directory: Path) -> None:
    try:
        occupy(directory)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        (directory / RESERVE).unlink(missing_ok=True)
        occupy(directory)


def is_ours(memory: Path) -> bool:
    """Others can write there too: a name that somebody has taken before us is not used."""
    status = memory.lstat()
    private = stat.S_IMODE(status.st_mode) == _OWNER_ONLY
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and private


def _bring(directory: Path, memory: Path) -> None:
    """What is not there yet; the database after what was taught, as a mark that that is."""
    if (memory / FILE_NAME).exists():
        return
    for name in _TAUGHT:
        with suppress(OSError, shutil.Error):  # what cannot be read is not known any more
            if (directory / name).is_dir():
                shutil.copytree(directory / name, memory / name, dirs_exist_ok=True)
    copies = [memory / f"{FILE_NAME}{end}" for end in ("-wal", "")]
    try:
        there = [copy for copy in copies if (directory / copy.name).exists()]
        if sum((directory / copy.name).stat().st_size for copy in there) > MOST_COPIED_BYTES:
            return
        for copy in there:
            copy.touch(mode=_OWNER_ONLY_FILE)
            shutil.copyfile(directory / copy.name, copy)
        (memory / ORIGIN).write_bytes(msgspec.json.encode(marks(memory)))
        _bring_clips(directory, memory, clips_of_untold(memory))
    except (OSError, StoreError) as error:  # half a database is none
        _log.warning("state_not_read", error=str(error))
        for copy in copies:
            copy.unlink(missing_ok=True)


def _bring_clips(directory: Path, memory: Path, paths: Iterable[str]) -> None:
    """As many as there is room for; an alert whose clip is not among them goes without."""
    left_bytes = MOST_MB * 1e6
    for path in paths:
        with suppress(OSError):
            left_bytes -= (directory / path).stat().st_size
            if left_bytes < 0:
                return
            make_private_directory((memory / path).parent)
            shutil.copy2(directory / path, memory / path)
