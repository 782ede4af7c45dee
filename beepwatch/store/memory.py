"""What a new life of the classifier finds of the ones before it."""

from datetime import datetime

from beepwatch.messages import AlertKind, Event
from beepwatch.store.database import Database
from beepwatch.store.rows import event_from_row
from beepwatch.store.schema import utc_or_none

_EVENT = "SELECT events.*, clips.path FROM events LEFT JOIN clips ON clips.event_id = events.id"


class Memory:
    """Reads only. All methods raise StoreError when the database cannot be used.

    Events of machines, which have no pulses, are not looked at: see `machine_memory`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_events(self) -> list[Event]:
        """Of each label the event that was written first last, whether or not it is final."""
        with self._database.reading() as sql:
            rows = sql.execute(
                f"{_EVENT} WHERE events.id IN "  # noqa: S608 - only our own words
                "(SELECT max(id) FROM events WHERE pulses > 0 GROUP BY label) "
                "ORDER BY events.id"
            ).fetchall()
        return [event_from_row(row) for row in rows]

    def recent_events(self, count: int = 8) -> list[Event]:
        """Of each label the newest few, oldest first."""
        with self._database.reading() as sql:
            rows = sql.execute(
                f"{_EVENT} WHERE events.id IN "  # noqa: S608 - only our own words
                "(SELECT id FROM (SELECT id, row_number() OVER "
                "(PARTITION BY label ORDER BY id DESC) AS place FROM events WHERE pulses > 0) "
                "WHERE place <= ?) "
                "ORDER BY events.id",
                (count,),
            ).fetchall()
        return [event_from_row(row) for row in rows]

    def open_events(self) -> list[Event]:
        """Events whose end was never written, oldest first."""
        with self._database.reading() as sql:
            rows = sql.execute(
                f"{_EVENT} WHERE final = 0 AND pulses > 0 ORDER BY events.id"
            ).fetchall()
        return [event_from_row(row) for row in rows]

    def last_alerts(self) -> dict[str, int]:
        """The newest alert that told of an event of each label."""
        with self._database.reading() as sql:
            rows = sql.execute(
                "SELECT label, max(alerts.id) FROM alerts JOIN events "
                "ON events.id = alerts.event_id WHERE kind = ? GROUP BY label",
                (AlertKind.HEARD.value,),
            ).fetchall()
        return {row[0]: row[1] for row in rows}

    def last_told(self, key_start: str) -> datetime | None:
        """When the newest alert was created whose `dedupe_key` begins like this."""
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT created_at FROM alerts WHERE substr(dedupe_key, 1, length(?1)) = ?1 "
                "ORDER BY id DESC LIMIT 1",
                (key_start,),
            ).fetchone()
        return utc_or_none(row[0]) if row else None
