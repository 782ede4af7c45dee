"""The state directory's SQLite file: opened the same way by every process that shares it."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beepwatch.errors import StoreError
from beepwatch.store.schema import MIGRATIONS

FILE_NAME = "beepwatch.db"
_OWNER_ONLY_DIRECTORY = 0o700
_OWNER_ONLY_FILE = 0o600


class Database:
    """One connection to `beepwatch.db` in the state directory, migrated to this code's version.

    WAL lets the `events` verb read while the daemon writes. synchronous is FULL for every
    connection, because a commit here is an acknowledgement: a written alert has to outlive a power
    cut (NORMAL may lose the last commits in WAL mode), and a lost "sent" mark sends twice. A beep
    costs a handful of commits, so the price is a few fsyncs per beep.

    The connection may be used from several threads; `transaction` and `reading` take turns.
    Raises StoreError when the directory or file cannot be used.
    """

    def __init__(self, directory: Path, busy_timeout_s: float = 5.0) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME
        self._turn = threading.RLock()
        with self._explained():
            _make_private_directory(directory)
            with _alone(directory):
                self._sql = self._open(busy_timeout_s)
                try:
                    self._migrate()
                except BaseException:
                    self._sql.close()
                    raise

    def close(self) -> None:
        """Close the connection; the last one to close folds the WAL into the file."""
        with self._turn, self._explained():
            self._sql.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: all of it is on the disk when the block ends, or none of it when it raises."""
        with self._turn, self._explained(), self._between("BEGIN IMMEDIATE"):
            yield self._sql

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read: every query in the block sees the same moment."""
        with self._turn, self._explained(), self._between("BEGIN"):
            yield self._sql

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file and its references; empty when it is sound."""
        with self._turn:
            try:
                found = [str(row[0]) for row in self._sql.execute("PRAGMA integrity_check")]
                orphans = self._sql.execute("PRAGMA foreign_key_check").fetchall()
            except sqlite3.Error as error:
                return [str(error)]
        problems = [] if found == ["ok"] else found
        return problems + [
            f"{row[0]} {row[1]} refers to a missing row of {row[2]}" for row in orphans
        ]

    def _open(self, busy_timeout_s: float) -> sqlite3.Connection:
        # SQLite gives -wal and -shm the mode of the file itself, so it is made before SQLite does.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY_FILE))
        sql = sqlite3.connect(
            self.path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            sql.row_factory = sqlite3.Row
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("PRAGMA synchronous = FULL")
            sql.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            sql.close()
            raise
        return sql

    def _migrate(self) -> None:
        with self._between("BEGIN IMMEDIATE"):
            (version,) = self._sql.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"{self.path} has version {version}, and this beepwatch knows versions up to "
                    f"{len(MIGRATIONS)}. Install the beepwatch that wrote it, or set "
                    "store.directory to another directory."
                )
            for number in range(version + 1, len(MIGRATIONS) + 1):
                for statement in MIGRATIONS[number - 1]:
                    self._sql.execute(statement)
                self._sql.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _between(self, begin: str) -> Iterator[None]:
        self._sql.execute(begin)
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            # A full disk or an I/O error may already have rolled the transaction back.
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}. {_advice(error)}") from error
        except OSError as error:
            raise StoreError(
                f"the state directory {self.directory} cannot be used: {error.strerror} "
                f"({error.filename}). Make it writable, or set store.directory to another one."
            ) from error


def _advice(error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return "Another process holds it for too long; try again."
    if "full" in text:
        return "Free some space, or lower store.max_mb."
    if "not a database" in text or "malformed" in text:
        return "Move the file away; a new one is made at the next start."
    return "Run `beepwatch doctor`."


def _make_private_directory(directory: Path) -> None:
    """An existing directory keeps its mode: it may be the user's own, with other things in it."""
    if not directory.is_dir():
        directory.mkdir(mode=_OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process at a time opens the database: SQLite's switch to WAL does not wait its turn."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
