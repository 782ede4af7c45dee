"""What people said of events, and the clips of these as labelled data.

The clip of a corrected event is linked, or copied, to `feedback/LABEL/EVENT-ID` + suffix, LABEL
being what the model took it for; the verdict is in the database. Retention does not touch it. All
together they take `FEEDBACK_MB` at the most: then those that something was taught with make room,
oldest first, and if that is not enough a new one is not kept (its verdict is).
"""

import shutil
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from beepwatch.messages import Verdict
from beepwatch.store.database import Database
from beepwatch.store.library import explained, file_name, make_private_folders
from beepwatch.store.schema import stored_us, utc_from_us
from beepwatch.whole_files import PRIVATE, written_whole

FEEDBACK = "feedback"
FEEDBACK_MB = 200.0  # 800 clips of the longest kind, thousands of short ones
_BYTES_PER_MB = 1_000_000

_log = structlog.get_logger()


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One judged event whose clip is kept."""

    event_id: int
    path: Path  # absolute; mp3, or WAV where that could not be made
    label: str  # what the model took it for
    verdict: Verdict
    judged_at: datetime  # UTC
    used: bool  # something was taught with it already


def corrections(database: Database) -> list[Correction]:
    """Every judged event whose clip is still there, in the order of judging."""
    with database.reading() as sql:
        rows = sql.execute(
            "SELECT corrections.*, label FROM corrections "
            "JOIN events ON events.id = event_id WHERE path IS NOT NULL "
            "ORDER BY judged_at, event_id"
        ).fetchall()
    found = [
        Correction(
            event_id=row["event_id"],
            path=database.directory / row["path"],
            label=row["label"],
            verdict=Verdict(row["verdict"]),
            judged_at=utc_from_us(row["judged_at"]),
            used=row["used_at"] is not None,
        )
        for row in rows
    ]
    return [one for one in found if one.path.is_file()]


def mark_used(database: Database, used: Iterable[Correction], used_at: datetime) -> None:
    """Something was taught with these: their clips may go when there are too many.

    One that was judged otherwise in the meantime is none of them.
    """
    with database.transaction() as sql:
        sql.executemany(
            "UPDATE corrections SET used_at = ? WHERE event_id = ? AND verdict = ?",
            [(stored_us(used_at), one.event_id, one.verdict.value) for one in used],
        )


class Corrections:
    """The messenger's side. Methods may be called from a thread; all raise StoreError."""

    def __init__(self, database: Database, most_mb: float = FEEDBACK_MB) -> None:
        self._database = database
        self._directory = database.directory
        self._most_bytes = most_mb * _BYTES_PER_MB

    def judge(self, event_id: int, verdict: Verdict, chat_id: int, judged_at: datetime) -> bool:
        """Write a verdict down; False when it stood already. The chats' messages show it later."""
        with self._database.transaction() as sql:
            changed = sql.execute(
                "INSERT INTO corrections (event_id, verdict, chat_id, judged_at) "
                "VALUES (?, ?, ?, ?) ON CONFLICT (event_id) DO UPDATE SET "
                "verdict = excluded.verdict, chat_id = excluded.chat_id, "
                "judged_at = excluded.judged_at, used_at = NULL "
                "WHERE verdict <> excluded.verdict RETURNING event_id",
                (event_id, verdict.value, chat_id, stored_us(judged_at)),
            ).fetchall()
            if changed:
                alerts = sql.execute("SELECT id FROM alerts WHERE event_id = ?", (event_id,))
                for (alert_id,) in alerts.fetchall():
                    show_again(sql, alert_id, "telegram:%")
        return bool(changed)

    def keep_clips(self) -> int:
        """Keep the clips of judged events that are over and encoded; how many those were."""
        with self._database.reading() as sql:
            rows = sql.execute(
                "SELECT corrections.event_id, label, clips.path FROM corrections "
                "JOIN events ON events.id = corrections.event_id "
                "JOIN clips ON clips.event_id = corrections.event_id "
                "WHERE corrections.path IS NULL AND final = 1 AND pcm IS NULL "
                "AND clips.path IS NOT NULL ORDER BY judged_at, corrections.event_id"
            ).fetchall()
        return sum(self._keep(row) for row in rows)

    def _keep(self, row: sqlite3.Row) -> bool:
        source = self._directory / row["path"]
        if not source.is_file():
            return False  # taken away by hand
        if not self._make_room(source.stat().st_size):
            _log.warning("feedback_full", event_id=row["event_id"], most_bytes=self._most_bytes)
            return False
        name = f"{row['event_id']}{source.suffix}"
        relative = Path(FEEDBACK, file_name(row["label"]), name)
        with explained(self._directory / relative):
            make_private_folders(self._directory, relative)
            _link_or_copy(source, self._directory / relative)
        self._set_path(row["event_id"], str(relative))
        return True

    def _make_room(self, size_bytes: int) -> bool:
        """Whether so much more fits, if need be without what something was taught with."""
        with self._database.reading() as sql:
            rows = sql.execute(
                "SELECT event_id, path, used_at FROM corrections WHERE path IS NOT NULL "
                "ORDER BY used_at, event_id"
            ).fetchall()
        sizes_bytes = {row["event_id"]: _size_bytes(self._directory / row["path"]) for row in rows}
        surplus_bytes = sum(sizes_bytes.values()) + size_bytes - self._most_bytes
        for row in rows:
            if surplus_bytes <= 0:
                break
            if row["used_at"] is None:
                continue
            path = self._directory / row["path"]
            with explained(path):
                path.unlink(missing_ok=True)
            self._set_path(row["event_id"], None)
            surplus_bytes -= sizes_bytes[row["event_id"]]
        return surplus_bytes <= 0

    def _set_path(self, event_id: int, path: str | None) -> None:
        with self._database.transaction() as sql:
            sql.execute("UPDATE corrections SET path = ? WHERE event_id = ?", (path, event_id))


def show_again(sql: sqlite3.Connection, alert_id: int, channels: str) -> None:
    """An alert's messages on the channels like this have something new to show; others have not."""
    sql.execute("UPDATE alerts SET revision = revision + 1 WHERE id = ?", (alert_id,))
    sql.execute(
        "UPDATE deliveries SET revision_sent = revision_sent + 1 "
        "WHERE alert_id = ? AND state = 'sent' AND channel NOT LIKE ?",
        (alert_id, channels),
    )


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # taken away by hand


def _link_or_copy(source: Path, target: Path) -> None:
    """A link takes no room and is there at once; not every file system has links."""
    target.unlink(missing_ok=True)  # of a life that ended before it wrote the path down
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        with source.open("rb") as sound, written_whole(target, mode=PRIVATE) as copy:
            shutil.copyfileobj(sound, copy)
