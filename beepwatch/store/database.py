"""The state directory's SQLite file: opened the same way by every process that shares it."""

import errno
import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from beepwatch.errors import DiskFull, StoreDamaged, StoreError
from beepwatch.store.disk import why_gone
from beepwatch.store.schema import MIGRATIONS

FILE_NAME = "beepwatch.db"
# What belongs to it, the database last: were it the first to go and the power went, its WAL would
# be found beside a new one.
SUFFIXES = ("-shm", "-wal", "")
USERS = "beepwatch.lock"  # locked, shared, by everybody who has the database open; see claim.py
RESERVE = "beepwatch.reserve"
RESERVE_BYTES = 1_000_000  # some hundred alerts without their clips
_CACHE_KIB = 128  # of pages, for each process; however large, it fills within the first days
_SPARE_BYTES = 1_000_000  # of free pages: a clip's sound comes and goes
_PAGES_AT_ONCE = 200  # given back in one transaction, so that nobody waits long for the next …
_BREATH_S = 0.01  # … which begins so much later: whoever waits would be overtaken otherwise
_OWNER_ONLY_DIRECTORY = 0o700
_OWNER_ONLY_FILE = 0o600
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_TAKEN = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_log = structlog.get_logger()


class Database:
    """One connection to `beepwatch.db` in the state directory, migrated to this code's version.

    WAL lets the `events` verb read while the daemon writes. synchronous is FULL for every
    connection, because a commit here is an acknowledgement: a written alert has to outlive a power
    cut (NORMAL may lose the last commits in WAL mode), and a lost "sent" mark sends twice. A beep
    costs a handful of commits, so the price is a few fsyncs per beep.

    The connection may be used from several threads; `transaction` and `reading` take turns. A disk
    that was pulled and is there again is another mount: the connection is then made anew.
    Raises StoreError when the directory or file cannot be used: DiskFull if there is no room (the
    reserve is then given up, so that the next try has some), StoreDamaged if the file is not what
    SQLite wrote and its disk is well.
    """

    def __init__(self, directory: Path, busy_timeout_s: float = 5.0) -> None:
        self.directory = directory
        self.path = directory / FILE_NAME
        self._turn = threading.RLock()
        self._busy_timeout_s = busy_timeout_s
        self._use: int | None = None
        self._failed = False  # the last time
        with self._explained():
            make_private_directory(directory)
            self._connect()

    def _connect(self) -> None:
        with alone(self.directory), ExitStack() as unless_open:
            use = _join_users(self.directory)
            unless_open.callback(os.close, use)
            fcntl.flock(use, fcntl.LOCK_SH)
            if self._begin_file():
                unless_open.callback(self._take_away)
            self._sql = self._open(self._busy_timeout_s)
            unless_open.callback(self._sql.close)
            self._migrate()
            self._use, self._file = use, _identity(self.path)
            unless_open.pop_all()

    def close(self) -> None:
        """Close the connection; the last one to close folds the WAL into the file."""
        with self._turn, self._explained():
            self._sql.close()
            if self._use is not None:
                os.close(self._use)
                self._use = None

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether so much fits the disk, once in the WAL and once in the file, with room left."""
        with self._explained():
            return shutil.disk_usage(self.directory).free >= RESERVE_BYTES + 2 * size_bytes

    def keep_reserve(self, min_free_bytes: float) -> None:
        """Take some room for bad times, while more than `min_free_bytes` is free besides."""
        path = self.directory / RESERVE
        with self._explained():
            if path.exists() or shutil.disk_usage(self.directory).free < (
                min_free_bytes + RESERVE_BYTES
            ):
                return
            handle = os.open(path, os.O_WRONLY | os.O_CREAT, _OWNER_ONLY_FILE)
            try:
                os.posix_fallocate(handle, 0, RESERVE_BYTES)
            finally:
                os.close(handle)

    def give_back(self) -> int:
        """Shorten the file by the free pages that it has to spare; how many bytes that were.

        Sound that waited to be encoded leaves such pages; without this they would stay the
        database's for ever, and clips would be deleted to make up for them. A file of before
        `auto_vacuum` was set keeps them. It takes a slow disk minutes; others work in between.
        """
        with self._turn, self._explained():
            (page_bytes,) = self._sql.execute("PRAGMA page_size").fetchone()
            begun_with = free = self._free_pages()
        spare = _SPARE_BYTES // page_bytes
        while free > spare:
            with self._turn, self._explained():
                pages = min(free - spare, _PAGES_AT_ONCE)
                # `execute` would give back a single page: it stops at the first row.
                self._sql.executescript(f"PRAGMA incremental_vacuum({pages})")
                before, free = free, self._free_pages()
            if free >= before:
                break
            threading.Event().wait(_BREATH_S)
        return max(0, begun_with - free) * int(page_bytes)

    def take_over(self, source: Path) -> None:
        """Become what the database of another state directory is, all of it or nothing."""
        with self._turn, self._explained(), closing(read_only(source / FILE_NAME)) as other:
            other.backup(self._sql)

    def _free_pages(self) -> int:
        return int(self._sql.execute("PRAGMA freelist_count").fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: all of it is on the disk when the block ends, or none of it when it raises."""
        with self._turn, self._explained():
            self._find_again()
            with self._between("BEGIN IMMEDIATE"):
                yield self._sql

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read: every query in the block sees the same moment."""
        with self._turn, self._explained():
            self._find_again()
            with self._between("BEGIN"):
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

    def _find_again(self) -> None:
        """Go on with the file that is there now, if what was open is not that file any more."""
        if not self._failed:
            return
        if _identity(self.path) != self._file:
            before, use = self._sql, self._use
            self._connect()
            with suppress(sqlite3.Error):
                before.close()
            if use is not None:
                os.close(use)
            _log.warning("database_found_again", path=str(self.path))
        self._failed = False

    def _begin_file(self) -> bool:
        """Whether there was none. SQLite gives -wal and -shm the mode of the file itself, so it is
        made before SQLite does.
        """
        # Only if it is not there: closing it would let go of the locks that a connection of this
        # process has on it (https://sqlite.org/howtocorrupt.html, 2.2).
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY_FILE))
        except FileExistsError:
            return False
        return True

    def _take_away(self) -> None:
        """What was begun just now and got no tables: whoever finds it takes it for a database."""
        for suffix in SUFFIXES:
            with suppress(OSError):
                self.path.with_name(FILE_NAME + suffix).unlink()

    def _open(self, busy_timeout_s: float) -> sqlite3.Connection:
        sql = sqlite3.connect(
            self.path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            sql.row_factory = sqlite3.Row
            if not self.path.stat().st_size:  # it cannot be set later, and writes; see `give_back`
                sql.execute("PRAGMA auto_vacuum = INCREMENTAL")
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("PRAGMA synchronous = FULL")
            sql.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            sql.execute("PRAGMA foreign_keys = ON")
            # A tenth of SQLite's own: on a full disk the WAL soon starts over in the room it has.
            sql.execute("PRAGMA wal_autocheckpoint = 100")
        except BaseException:
            sql.close()
            raise
        return sql

    def _migrate(self) -> None:
        (version,) = self._sql.execute("PRAGMA user_version").fetchone()
        if version == len(MIGRATIONS):
            return  # with nothing written: the disk may be read-only
        with self._between("BEGIN IMMEDIATE"):
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
            raise self._as_store_error(error) from error
        except OSError as error:
            text = (
                f"the state directory {self.directory} cannot be used: {error.strerror} "
                f"({error.filename})."
            )
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._spend_reserve()
                raise DiskFull(f"{text} {_FREE_SOME}") from error
            raise StoreError(
                f"{text} Make it writable, or set store.directory to another one."
            ) from error

    def _as_store_error(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0)  # missing where SQLite was not asked
        text = f"{self.path}: {error}."
        self._failed = True
        if code in _NO_ROOM:
            self._spend_reserve()
            return DiskFull(f"{text} {_FREE_SOME}")
        # To SQLite a read that the disk answers with EIO is damage (SQLITE_IOERR_CORRUPTFS).
        gone = why_gone(self.directory) if code & 0xFF in _DAMAGED else None
        if gone is not None:
            return StoreError(f"{self.path}: {gone}. {_TAKES_NOTHING} {_ASK_DOCTOR}")
        if code & 0xFF in _DAMAGED:
            return StoreDamaged(
                f"{text} Move the file away, or let the next start of `beepwatch run` do so; a "
                "new one is made."
            )
        if code & 0xFF in _TAKEN:
            return StoreError(f"{text} Another process holds it for too long; try again.")
        if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
            text += f" {_TAKES_NOTHING}"
        return StoreError(f"{text} {_ASK_DOCTOR}")

    def _spend_reserve(self) -> None:
        with suppress(OSError):
            (self.directory / RESERVE).unlink()
            _log.warning("reserve_spent", size_bytes=RESERVE_BYTES)


class Lookout(Database):
    """A connection of who only looks: a disk that is full or read-only is no reason to see nothing.

    SQLite writes beside a file that nobody has open, and cannot there; but then nobody else can
    write to it either, and it is read as it lies. Raises StoreError as `Database` does, and for
    writing to what is read so.
    """

    def _connect(self) -> None:
        try:
            super()._connect()
        except (OSError, sqlite3.OperationalError) as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
            taken = code in _TAKEN or getattr(error, "errno", None) == errno.EACCES
            if taken or not self._read_as_it_lies():
                raise

    def _read_as_it_lies(self) -> bool:
        """Whether that is all of it, and this code knows its tables."""
        with suppress(OSError, sqlite3.Error):
            wal = self.path.with_name(f"{FILE_NAME}-wal")
            if wal.exists() and wal.stat().st_size:
                return False
            with ExitStack() as unless_known:
                sql = unless_known.enter_context(closing(read_only(self.path, "&immutable=1")))
                (version,) = sql.execute("PRAGMA user_version").fetchone()
                if version == len(MIGRATIONS):
                    sql.row_factory = sqlite3.Row
                    self._sql, self._file = sql, _identity(self.path)
                    unless_known.pop_all()
                    return True
        return False

    def _spend_reserve(self) -> None:
        """It is for who has something to write."""


_FREE_SOME = "Free some space, or lower store.max_mb."
_TAKES_NOTHING = "The disk takes nothing any more."
_ASK_DOCTOR = "Run `beepwatch doctor`."


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def read_only(path: Path, more: str = "") -> sqlite3.Connection:
    """Closing it would otherwise fold the WAL in, and delete what may be evidence."""
    address = f"{path.resolve().as_uri()}?mode=ro{more}"
    return sqlite3.connect(address, uri=True, isolation_level=None)


def marks(directory: Path) -> dict[str, int]:
    """How many alerts and events were ever written there: nothing was added while these stay.

    Raises StoreError.
    """
    return dict(looked_up(directory, "SELECT name, seq FROM sqlite_sequence"))


def looked_up(directory: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of one query to a database that nobody has open; it stays as it lies there.

    Raises StoreError.
    """
    path = directory / FILE_NAME
    try:
        with closing(read_only(path)) as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            # The power went before it got its tables.
            return sql.execute(query).fetchall() if version else []
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}.") from error


def open_users(directory: Path) -> int:
    """A handle of the file that is locked by those who use the database; to be closed."""
    return os.open(directory / USERS, os.O_RDWR | os.O_CREAT, _OWNER_ONLY_FILE)


def _join_users(directory: Path) -> int:
    """On a disk that the kernel has made read-only what is in the database can still be read."""
    try:
        return open_users(directory)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(directory / USERS, os.O_RDONLY)


def make_private_directory(directory: Path) -> None:
    """An existing directory keeps its mode: it may be the user's own, with other things in it."""
    missing = [path for path in (directory, *directory.parents) if not path.is_dir()]
    for path in reversed(missing):  # `parents=True` would give those above the umask's mode
        path.mkdir(mode=_OWNER_ONLY_DIRECTORY, exist_ok=True)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """One process at a time opens the database: SQLite's switch to WAL does not wait its turn."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
