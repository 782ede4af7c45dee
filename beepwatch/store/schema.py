"""The tables, as numbered migrations, and how a time is put into a column.

A time is stored as integer microseconds since 1970 UTC: exact, and it compares and sorts as a
number, where RFC 3339 text with and without a fraction would not.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: Migration n (counted from 1) brings a database of version n - 1 to version n. One that has been
#: released is never changed; a change is a new one at the end.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE alerts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            text TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            due_at INTEGER NOT NULL,
            dedupe_key TEXT NOT NULL UNIQUE,
            event_id INTEGER REFERENCES events (id),
            revision INTEGER NOT NULL DEFAULT 1  -- bumped by each change of an event it told of
        ) STRICT
        """,
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            label TEXT NOT NULL,
            onset INTEGER NOT NULL,
            offset INTEGER NOT NULL,
            pulses INTEGER NOT NULL,
            peak_score REAL NOT NULL,
            model_id TEXT NOT NULL,
            final INTEGER NOT NULL,
            revision INTEGER NOT NULL DEFAULT 1,
            told_by INTEGER REFERENCES alerts (id)
        ) STRICT
        """,
        """
        CREATE TABLE clips (
            event_id INTEGER PRIMARY KEY REFERENCES events (id),
            rate_hz INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            pcm BLOB,  -- int16 little-endian mono, until it is kept as a file
            path TEXT,  -- below the state directory
            revision INTEGER NOT NULL DEFAULT 1
        ) STRICT
        """,
        """
        CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            alert_id INTEGER NOT NULL REFERENCES alerts (id),
            channel TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'pending',
            attempts INTEGER NOT NULL DEFAULT 0,
            tried_at INTEGER,
            next_try_at INTEGER,
            last_error TEXT,
            reference TEXT,
            sent_at INTEGER,
            revision_sent INTEGER,
            UNIQUE (alert_id, channel)
        ) STRICT
        """,
        "CREATE INDEX events_by_time ON events (onset)",
        "CREATE INDEX events_by_label ON events (label, offset)",
        "CREATE INDEX alerts_by_event ON alerts (event_id)",
        "CREATE INDEX events_by_alert ON events (told_by)",
        "CREATE INDEX deliveries_by_state ON deliveries (channel, state, alert_id)",
        "CREATE INDEX clips_waiting ON clips (event_id) WHERE pcm IS NOT NULL",
    ),
    (
        """
        CREATE TABLE boots (  -- one row: what was written since the machine's last start
            boot_id TEXT PRIMARY KEY,
            pin INTEGER NOT NULL,  -- wall time at which the boot's own clock stood at 0
            first_event_id INTEGER NOT NULL,
            first_alert_id INTEGER NOT NULL
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE corrections (
            event_id INTEGER PRIMARY KEY REFERENCES events (id),
            verdict TEXT NOT NULL,
            chat_id INTEGER NOT NULL,
            judged_at INTEGER NOT NULL,
            path TEXT,  -- of the clip that is kept, below the state directory
            used_at INTEGER  -- when something was taught with it as it stands
        ) STRICT
        """,
        """
        CREATE TABLE mutes (
            channel TEXT PRIMARY KEY,
            since INTEGER NOT NULL,
            until INTEGER NOT NULL,
            alert_id INTEGER REFERENCES alerts (id),  -- under which it was chosen
            boot_id TEXT NOT NULL  -- whose clock the times are of
        ) STRICT
        """,
        """
        CREATE TABLE watches (  -- the newest one counts
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            since INTEGER NOT NULL,
            for_us INTEGER NOT NULL,  -- 0: called off
            boot_id TEXT NOT NULL
        ) STRICT
        """,
    ),
    (
        """
        CREATE TABLE pictures (
            event_id INTEGER PRIMARY KEY REFERENCES events (id),
            png BLOB NOT NULL
        ) STRICT
        """,
    ),
)


def stored_us(time: datetime) -> int:
    """Microseconds since 1970 UTC; `time` is aware."""
    return (time - _EPOCH) // _MICROSECOND


def stored_us_or_none(time: datetime | None) -> int | None:
    """Microseconds since 1970 UTC, or NULL."""
    return None if time is None else stored_us(time)


def utc_from_us(time_us: int) -> datetime:
    """The time that `stored_us` wrote."""
    return _EPOCH + time_us * _MICROSECOND


def utc_or_none(time_us: int | None) -> datetime | None:
    """The time that `stored_us_or_none` wrote."""
    return None if time_us is None else utc_from_us(time_us)
