"""Times in the store when the wall clock is set: what was written since the boot moves with it.

A box without a battery clock starts in 1970, or where it was switched off, and learns the time from
the network later. The monotonic clock knows all the while how long ago each thing was, so that it
can be dated anew: then times stay in the order of happening, and an age that is computed from them
(of a cooldown, of an absence, of a clip) is a true one.
"""

import sqlite3
from datetime import datetime, timedelta

import structlog

from beepwatch.store.database import Database
from beepwatch.store.schema import stored_us, utc_from_us

#: A clock that is off by less was slewed, or its times were told by two processes.
SET_BY = timedelta(seconds=5)
_MICROSECOND = timedelta(microseconds=1)

_log = structlog.get_logger()


class Timeline:
    """Keeps what was written since the boot `boot_id` on one line of time.

    What earlier boots wrote stays as it is: how their clock stood is not known any more.
    """

    def __init__(self, database: Database, boot_id: str) -> None:
        self._database = database
        self._boot_id = boot_id

    def follow(self, pin: datetime, now: datetime) -> timedelta:
        """Move the times by what the clock was set by since the last call; zero if it was not.

        `pin` is the wall time at which the boot's clock, suspended time included, stood at 0;
        `now` is the time by it. Raises StoreError, and nothing is moved.
        """
        pin_us = stored_us(pin)
        with self._database.transaction() as sql:
            row = sql.execute("SELECT * FROM boots WHERE boot_id = ?", (self._boot_id,)).fetchone()
            if row is None:
                _begin(sql, self._boot_id, pin_us)
                return timedelta()
            by_us = pin_us - int(row["pin"])
            if abs(by_us) <= SET_BY // _MICROSECOND:
                return timedelta()
            _move(sql, row, by_us, stored_us(now))
        by = by_us * _MICROSECOND
        _log.warning("clock_was_set", by_s=by.total_seconds(), now=utc_from_us(stored_us(now)))
        return by


def _begin(sql: sqlite3.Connection, boot_id: str, pin_us: int) -> None:
    sql.execute("DELETE FROM boots")
    sql.execute(
        "INSERT INTO boots (boot_id, pin, first_event_id, first_alert_id) VALUES (?, ?, "
        "(SELECT coalesce(max(id), 0) + 1 FROM events), "
        "(SELECT coalesce(max(id), 0) + 1 FROM alerts))",
        (boot_id, pin_us),
    )


def _move(sql: sqlite3.Connection, boot: sqlite3.Row, by_us: int, now_us: int) -> None:
    # What others have written in the moment since the clock was set forward has the new time
    # already. After a step back new and old times cannot be told apart; the moment is short.
    values = {
        "by": by_us,
        "boot": boot["boot_id"],
        "event": boot["first_event_id"],
        "alert": boot["first_alert_id"],
        "before": now_us - by_us // 2 if by_us > 0 else now_us - 2 * by_us,
    }
    for statement in (
        "UPDATE events SET onset = onset + :by, offset = offset + :by WHERE id >= :event",
        "UPDATE clips SET started_at = started_at + :by WHERE event_id >= :event",
        "UPDATE alerts SET created_at = created_at + :by, due_at = due_at + :by "
        "WHERE id >= :alert AND created_at < :before",
        "UPDATE deliveries SET sent_at = sent_at + :by, tried_at = tried_at + :by, "
        "next_try_at = next_try_at + :by "
        "WHERE alert_id >= :alert AND coalesce(sent_at, tried_at) < :before",
        "UPDATE mutes SET since = since + :by, until = until + :by "
        "WHERE boot_id = :boot AND since < :before",
        "UPDATE watches SET since = since + :by WHERE boot_id = :boot AND since < :before",
    ):
        sql.execute(statement, values)
    sql.execute("UPDATE boots SET pin = pin + ?", (by_us,))
