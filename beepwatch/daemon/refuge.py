"""Where the daemon keeps its state when it starts on a disk that takes nothing: in memory.

A failing card comes back read-only from a restart of the machine, a pulled one answers with errors
only. What is known of taught sounds, machines, cooldowns and alerts still to be told is copied, as
far as it can be read, to where the machine has memory for files. There all goes on as ever, and is
gone with the next start of the machine; the disk stays as it is.
"""

import errno
import hashlib
import os
import shutil
import stat
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
from beepwatch.store.database import FILE_NAME

PLACES = (Path("/dev/shm"), Path("/run"))  # noqa: S108 - memory, in which nobody else's is trusted
MOST_MB = 32.0  # of clips
MOST_COPIED_BYTES = 64_000_000  # of a database; without the alerts that wait it can do
_TAUGHT = ("taught", "machines")
_DISK_IS_GONE = frozenset({errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO})
_OWNER_ONLY = 0o700
_OWNER_ONLY_FILE = 0o600

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

    def alert(self, clock: Clock) -> Alert:
        """What is told, once for each start of the machine."""
        now = clock.utc()
        return Alert(
            kind=AlertKind.FAULT,
            text=f"the disk of {self.disk} cannot be written: {self.reason}. What sounds is told, "
            "and kept in memory only. Restart the machine; if this comes again, replace the disk",
            created_at=now,
            due_at=now,
            dedupe_key=f"refuge:{clock.boot_id()}",
        )


def refuge_from(directory: Path) -> Refuge | None:
    """A place in memory, if there is a state on a disk that takes nothing any more; else None.

    What an earlier daemon has left there since the machine's start is gone on with. Raises
    StoreError where no memory can be had either.
    """
    reason = why_unwritable(directory)
    if reason is None:
        return None
    name = hashlib.sha256(bytes(directory.absolute())).hexdigest()[:16]
    for place in PLACES:
        memory = place / f"beepwatch-{os.geteuid()}-{name}"
        try:
            memory.mkdir(mode=_OWNER_ONLY, exist_ok=True)
            if not _is_ours(memory):
                continue
            _bring(directory, memory)
        except OSError as error:
            _log.warning("no_refuge", place=str(memory), error=error.strerror)
            continue
        _log.error("state_in_memory", disk=str(directory), memory=str(memory))
        return Refuge(disk=directory, memory=memory, reason=reason)
    places = ", ".join(map(str, PLACES))
    raise StoreError(
        f"the state directory {directory} cannot be used: {reason}, and there is no memory for it "
        f"in {places}. Restart the machine, or replace the disk."
    )


def why_unwritable(directory: Path) -> str | None:
    """What the kernel says of a directory's disk that takes nothing; None for a healthy one, full
    or forbidden as it may be, and for a directory in which there never was a state: that is a wrong
    configuration, or a container without a volume, and somebody is there to be told.
    """
    probe = directory / f".beepwatch-{os.getpid()}"
    try:
        if (directory / FILE_NAME).exists():
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY_FILE))
            probe.unlink()
    except OSError as error:
        return os.strerror(error.errno) if error.errno in _DISK_IS_GONE else None
    return None


def _is_ours(memory: Path) -> bool:
    """Others can write there too: a name that somebody has taken before us is not used."""
    status = memory.lstat()
    private = stat.S_IMODE(status.st_mode) == _OWNER_ONLY
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and private


def _bring(directory: Path, memory: Path) -> None:
    """What is not there yet; the database last, as a mark that all is."""
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
    except OSError as error:  # half a database is none
        _log.warning("state_not_read", error=error.strerror)
        for copy in copies:
            copy.unlink(missing_ok=True)
