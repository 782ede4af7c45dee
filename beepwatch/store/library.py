"""The clips: sound waiting in the database, files below `clips/`, and how long they stay.

Files are handled by `os` and not by `pathlib`, which interns each part of a path: names by the
thousand that come and go make Python's table of interned strings larger for good.
"""

import contextlib
import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from beepwatch.errors import DiskFull, StoreError
from beepwatch.messages import Clip
from beepwatch.store.aside import let_go, put_aside_in
from beepwatch.store.database import Database, looked_up
from beepwatch.store.schema import stored_us, utc_from_us
from beepwatch.whole_files import PRIVATE, sync_names, write_whole

CLIPS = "clips"
_BYTES_PER_MB = 1_000_000
_DELETED_TOGETHER = 100  # clips; a slow disk takes seconds for each transaction
_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9_.]+")

_log = structlog.get_logger()


class Tidied(msgspec.Struct, frozen=True, kw_only=True):
    """What retention took away."""

    clips: int
    size_bytes: int


class Library:
    """Clips of events: the messenger fetches the raw sound, encodes it and hands it back as a file.

    The sound stays in the database until its file is on the disk, so a crash in between loses
    nothing. Methods may be called from a thread; all raise StoreError when the disk or the
    database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._directory = database.directory

    def pending(self) -> list[int]:
        """Events whose sound waits to be encoded, oldest first."""
        with self._database.reading() as sql:
            return [
                int(row[0])
                for row in sql.execute(
                    "SELECT event_id FROM clips WHERE pcm IS NOT NULL ORDER BY event_id"
                )
            ]

    def pending_pcm(self, event_id: int) -> tuple[int, Clip] | None:
        """The sound that waits to be encoded, with its revision; None when there is none."""
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT revision, pcm, rate_hz, started_at FROM clips "
                "WHERE event_id = ? AND pcm IS NOT NULL",
                (event_id,),
            ).fetchone()
        if row is None:
            return None
        clip = Clip(
            pcm=row["pcm"], rate_hz=row["rate_hz"], started_at=utc_from_us(row["started_at"])
        )
        return row["revision"], clip

    def path(self, event_id: int) -> Path | None:
        """The clip's file, absolute; None before it is kept and after retention took it."""
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT path FROM clips WHERE event_id = ? AND path IS NOT NULL", (event_id,)
            ).fetchone()
        return None if row is None else self._directory / row["path"]

    def keep(self, event_id: int, revision: int, sound: bytes, suffix: str) -> Path:
        """Put encoded sound at `clips/YYYY/MM/DD/HHMMSS-label-ID` + `suffix`, by UTC of the onset.

        The whole file appears at once. The raw sound goes from the database unless a longer clip
        has come since `revision`; that one will take the file's place, at the same path.
        """
        with self._database.reading() as sql:
            event = sql.execute(
                "SELECT label, onset, path FROM events JOIN clips ON clips.event_id = events.id "
                "WHERE events.id = ?",
                (event_id,),
            ).fetchone()
        if event is None:
            raise StoreError(f"event {event_id} has no clip to keep. Write the event first.")
        relative = _relative_path(event_id, event["label"], utc_from_us(event["onset"]), suffix)
        if event["path"] is not None:
            # The onset may have been refined since: a path once printed stays valid.
            relative = os.path.splitext(event["path"])[0] + suffix
        path = self._directory / relative
        with explained(path):
            make_private_folders(self._directory, Path(relative))
            write_whole(path, sound, mode=PRIVATE)
        with self._database.transaction() as sql:
            sql.execute("UPDATE clips SET path = ? WHERE event_id = ?", (relative, event_id))
            # Taken out and put in again: a row that only shrinks leaves its page nearly empty, for
            # good, and a year of events would take ten times the room.
            kept = sql.execute(
                "DELETE FROM clips WHERE event_id = ? AND revision = ? "
                "RETURNING event_id, rate_hz, started_at, path, revision",
                (event_id, revision),
            ).fetchall()
            sql.executemany(
                "INSERT INTO clips (event_id, rate_hz, started_at, path, revision) "
                "VALUES (?, ?, ?, ?, ?)",
                map(tuple, kept),
            )
        if event["path"] not in (None, relative):
            self._delete(event["path"])
        return path

    def is_short_of_room(self, min_free_mb: float) -> bool:
        """Whether less than `min_free_mb` is free, so that `tidy` has something to do."""
        return self.free_bytes() < min_free_mb * _BYTES_PER_MB

    def tidy(self, now: datetime, *, keep_days: float, max_mb: float, min_free_mb: float) -> Tidied:
        """Delete clips that are too old, then the oldest while they are too many or the disk full.

        Clips of alerts that are still to be told go last, and not for their age. Events stay. What
        is free beyond `min_free_mb` fills the database's reserve again. Room that the database has
        to spare is given back first, and what was put aside (see `aside.py`) goes before any clip.
        A clip that cannot be deleted stays, and is tried again the next time.
        """
        self._shorten_database()
        with self._database.reading() as sql:
            kept = sql.execute(_KEPT_CLIPS).fetchall()
        sizes_bytes = {row["event_id"]: self._size_bytes(row["path"]) for row in kept}
        oldest_us = stored_us(now - timedelta(days=keep_days))
        with explained(self._directory):
            aside = put_aside_in(self._directory)
            aside_bytes = sum(one.size_bytes for of_kind in aside.values() for one in of_kind)
            surplus_bytes = max(
                sum(sizes_bytes.values()) + aside_bytes - max_mb * _BYTES_PER_MB,
                min_free_mb * _BYTES_PER_MB - self.free_bytes(),
            )
            surplus_bytes -= let_go(aside, surplus_bytes)
        doomed = []
        doomed_bytes = 0
        for row in kept:
            outlived = row["started_at"] < oldest_us and not row["unsent"]
            if outlived or doomed_bytes < surplus_bytes:
                doomed.append(row)
                doomed_bytes += sizes_bytes[row["event_id"]]
        gone = self._forget(doomed)
        size_bytes = sum(sizes_bytes[row["event_id"]] for row in gone)
        if gone:
            _log.info("clips_deleted", clips=len(gone), size_bytes=size_bytes)
        self._forget_pictures(oldest_us)
        self._database.keep_reserve(min_free_mb * _BYTES_PER_MB)
        return Tidied(clips=len(gone), size_bytes=size_bytes)

    def _forget_pictures(self, oldest_us: int) -> None:
        """They are few and small: a machine has to sound unusual for one."""
        with self._database.reading() as sql:
            old = sql.execute(_OLD_PICTURES, (oldest_us,)).fetchall()
        if old:
            with self._database.transaction() as sql:
                sql.executemany("DELETE FROM pictures WHERE event_id = ?", map(tuple, old))

    def _shorten_database(self) -> None:
        try:
            size_bytes = self._database.give_back()
        except StoreError as error:  # moving pages takes room, which deleting clips makes
            _log.warning("database_not_shortened", error=str(error))
            return
        if size_bytes:
            _log.info("database_shortened", size_bytes=size_bytes)

    def free_bytes(self) -> int:
        """What is free on the disk of the state directory."""
        with explained(self._directory):
            return shutil.disk_usage(self._directory).free

    def _size_bytes(self, path: str) -> int:
        try:
            return os.stat(f"{self._directory}/{path}").st_size
        except FileNotFoundError:
            return 0  # taken away by hand

    def _forget(self, rows: list[sqlite3.Row]) -> list[sqlite3.Row]:
        """Those whose files are gone by now; one that cannot be deleted keeps no other."""
        gone: list[sqlite3.Row] = []
        errors: list[StoreError] = []
        for start in range(0, len(rows), _DELETED_TOGETHER):
            together = []
            # The files first: a crash in between leaves rows whose files are missing, which the
            # next tidying clears; the other way round the files would stay for ever.
            for row in rows[start : start + _DELETED_TOGETHER]:
                try:
                    self._delete_with_folders(row["path"])
                    together.append(row)
                except StoreError as error:
                    errors.append(error)
            if together:
                self._forget_rows(together)
            gone += together
        if errors:
            _log.warning("clips_not_deleted", clips=len(errors), first=str(errors[0]))
        return gone

    def _forget_rows(self, rows: list[sqlite3.Row]) -> None:
        with self._database.transaction() as sql:
            events = [(row["event_id"],) for row in rows]
            sql.executemany("DELETE FROM clips WHERE event_id = ? AND pcm IS NULL", events)
            sql.executemany("UPDATE clips SET path = NULL WHERE event_id = ?", events)

    def _delete_with_folders(self, relative: str) -> None:
        self._delete(relative)
        folder = f"{self._directory}/{relative}"
        for _ in ("day", "month", "year"):
            folder = os.path.dirname(folder)
            with contextlib.suppress(OSError):  # not empty yet: other clips of that day
                os.rmdir(folder)

    def _delete(self, relative: str) -> None:
        path = f"{self._directory}/{relative}"
        with explained(path), contextlib.suppress(FileNotFoundError):  # taken away by hand
            os.unlink(path)


_OLD_PICTURES = """
    SELECT event_id FROM pictures JOIN events ON events.id = event_id
    WHERE offset < ? AND NOT EXISTS (
        SELECT 1 FROM deliveries JOIN alerts ON alerts.id = alert_id
        WHERE state = 'pending' AND alerts.event_id = pictures.event_id
    )
"""

#: Of a clip: whether an alert is still to be told that its event caused, or that tells of it.
#: Looked up once for all clips: to ask for each takes seconds when there are years of alerts.
_UNSENT = """
    clips.event_id IN (
        SELECT alerts.event_id FROM deliveries JOIN alerts ON alerts.id = alert_id
        WHERE state = 'pending' AND alerts.event_id IS NOT NULL
        UNION SELECT events.id FROM deliveries JOIN events ON told_by = alert_id
        WHERE state = 'pending'
    )
"""

#: Those of unsent alerts last, each part oldest first.
_KEPT_CLIPS = f"""
    SELECT clips.event_id, path, started_at, {_UNSENT} AS unsent
    FROM clips WHERE path IS NOT NULL ORDER BY unsent, started_at, event_id
"""  # noqa: S608 - only our own words

_CLIPS_OF_UNTOLD = f"""
    SELECT path FROM clips WHERE path IS NOT NULL AND {_UNSENT} ORDER BY event_id DESC
"""  # noqa: S608 - only our own words


def clips_of_untold(directory: Path) -> list[str]:
    """Paths below the state directory, of clips that alerts are still to bring; the newest first.

    Of a database that nobody has open. Raises StoreError.
    """
    return [path for (path,) in looked_up(directory, _CLIPS_OF_UNTOLD)]


def _relative_path(event_id: int, label: str, onset: datetime, suffix: str) -> str:
    return f"{CLIPS}/{onset:%Y/%m/%d/%H%M%S}-{file_name(label)}-{event_id}{suffix}"


def file_name(label: str) -> str:
    """A label as part of a path: no separators, nothing hidden."""
    return _NOT_IN_A_FILE_NAME.sub("_", label).strip(".") or "sound"


def make_private_folders(directory: Path, relative: Path) -> None:
    """Those that `relative`, a path below `directory`, lies in; a new one outlives a power cut as
    what is put into it does.
    """
    folder = directory
    for part in relative.parent.parts:
        above, folder = folder, folder / part
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_names(above)


@contextlib.contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """What the disk refuses becomes a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
        raise kind(
            f"the clip {path} cannot be written or deleted: {error.strerror}. "
            "Free some space or make the state directory writable; the sound is kept meanwhile."
        ) from error
