"""A database that is no longer one: found at the daemon's start, put aside, begun anew."""

import fcntl
import os
import sqlite3
import threading
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, AlertKind
from beepwatch.store.aside import CORRUPT
from beepwatch.store.database import FILE_NAME, SUFFIXES, alone, open_users, read_only
from beepwatch.store.schema import utc_from_us
from beepwatch.whole_files import sync_names

CHECK_WITHIN_S = 20.0  # 400 MB from a slow card; two years of alerts are a fraction of that
OTHERS_END_WITHIN_S = 10.0  # orphans of a killed supervisor notice within 5 s
_TRY_AGAIN_S = 0.1
_STEPS_BETWEEN_LOOKS = 20_000  # of SQLite's virtual machine; some milliseconds
_LOOKED_AT = 1_000  # alerts
_UNTOLD = """
    SELECT kind, text, created_at, due_at, dedupe_key FROM alerts WHERE id = ?1
    AND EXISTS (SELECT 1 FROM deliveries WHERE alert_id = ?1 AND state = 'pending')
"""
_UNREADABLE = (sqlite3.Error, ValueError, TypeError, OverflowError)  # or read as nonsense

_log = structlog.get_logger()


class PutAside(msgspec.Struct, frozen=True, kw_only=True):
    """What was found and where the file is now, in one line; what could be read of the untold."""

    text: str
    untold: list[Alert]


def put_aside_if_damaged(
    directory: Path, clock: Clock, others_end_within_s: float = OTHERS_END_WITHIN_S
) -> PutAside | None:
    """Rename a damaged `beepwatch.db` to `beepwatch.db.corrupt-UTC`, with its -wal and -shm.

    For the daemon's start, before anybody has the database open. None when it is sound or there is
    none. Nothing is deleted here, see `aside.py`. Raises StoreError when it is damaged and still in
    use, or cannot be renamed.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    try:
        with alone(directory):
            damage = _damage(path, clock)
            if damage is None:
                return None
            users = open_users(directory)
            try:
                _wait_for_others(users, path, damage, others_end_within_s)
                aside = _rename(path, clock.utc())
            finally:
                os.close(users)
    except OSError as error:
        raise StoreError(
            f"the damaged {path} cannot be put aside: {error.strerror}. Make {directory} "
            "writable, or set store.directory to another one."
        ) from error
    untold = untold_of(aside)
    _log.error("database_put_aside", found=damage, aside=str(aside), untold=len(untold), told=True)
    return PutAside(
        text=f"the database was damaged ({damage}) and was put aside as {aside.name}; a new one "
        f"was begun. Alerts still to be told that could be read in the old one: {len(untold)}",
        untold=untold,
    )


def _damage(path: Path, clock: Clock) -> str | None:
    """What SQLite finds wrong; None when it is sound, or not read to its end in time.

    quick_check reads every page once; it leaves out only whether each index has each row.
    """
    give_up_s = clock.mono_s() + CHECK_WITHIN_S
    try:
        with closing(read_only(path)) as sql:
            sql.set_progress_handler(lambda: int(clock.mono_s() > give_up_s), _STEPS_BETWEEN_LOOKS)
            (found,) = sql.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return str(error)
        # Cut short by the clock, or it cannot be read at all; who opens it next says why.
        _log.warning("database_not_checked", error=str(error))
        return None
    return None if found == "ok" else str(found).replace("\n", " ")


def untold_of(path: Path) -> list[Alert]:
    """Alerts still to be told, as far as the damage lets them be read; they go without clips.

    Each is looked up by itself, among the newest, so that damage elsewhere does not matter.
    """
    alerts: list[Alert] = []
    unread = 0
    try:
        with closing(read_only(path)) as sql:
            newest = _newest(sql)
            for alert_id in range(max(1, newest - _LOOKED_AT + 1), newest + 1):
                try:
                    alerts += [_alert(row) for row in sql.execute(_UNTOLD, (alert_id,))]
                except _UNREADABLE:
                    unread += 1
    except sqlite3.Error as error:
        _log.warning("untold_not_read", error=str(error))
    if unread:
        _log.warning("untold_not_all_read", read=len(alerts), unread=unread)
    return alerts


def _newest(sql: sqlite3.Connection) -> int:
    """The highest number of an alert; where the newest cannot be read, the last that was given."""
    try:
        (newest,) = sql.execute("SELECT coalesce(max(id), 0) FROM alerts").fetchone()
    except _UNREADABLE:
        (newest,) = sql.execute(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'alerts'"
        ).fetchone()
    return int(newest)


def _alert(row: tuple[Any, ...]) -> Alert:
    kind, text, created_us, due_us, key = row
    return Alert(
        kind=AlertKind(kind),
        text=str(text),
        created_at=utc_from_us(created_us),
        due_at=utc_from_us(due_us),
        dedupe_key=str(key),
    )


def _wait_for_others(users: int, path: Path, damage: str, within_s: float) -> None:
    """Whoever has the old file open would go on writing to it."""
    clock = SystemClock()
    give_up_s = clock.mono_s() + within_s
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if clock.mono_s() > give_up_s:
                raise StoreError(
                    f"{path} is damaged ({damage}), and another process uses it. Stop the other "
                    "beepwatch, then start this one again."
                ) from None
        threading.Event().wait(_TRY_AGAIN_S)


def _rename(path: Path, now: datetime) -> Path:
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    aside = path.with_name(f"{CORRUPT}{stamp}")
    number = 1
    while any(aside.with_name(aside.name + suffix).exists() for suffix in SUFFIXES):
        number += 1  # a clock that begins in 1970 at every start repeats itself
        aside = path.with_name(f"{CORRUPT}{stamp}-{number}")
    for suffix in SUFFIXES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    sync_names(path.parent)
    return aside
