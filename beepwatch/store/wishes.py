"""What the chats wished for: not to be told for a while, to be told if nothing is heard."""

from datetime import datetime, timedelta

import msgspec

from beepwatch.store.corrections import show_again
from beepwatch.store.database import Database
from beepwatch.store.schema import stored_us, utc_from_us

_MICROSECOND = timedelta(microseconds=1)


class Watching(msgspec.Struct, frozen=True, kw_only=True):
    """The newest wish to be told of an absence; it is over once something was heard or told."""

    number: int
    since: datetime  # UTC
    for_s: float

    @property
    def until(self) -> datetime:
        """When it is told, UTC."""
        return self.since + timedelta(seconds=self.for_s)


def absence_key(number: int) -> str:
    """The `dedupe_key` of the alert that tells of the absence."""
    return f"watch:{number}"


class Wishes:
    """Mutes by channel, and the watch. All methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mute(
        self,
        channel: str,
        since: datetime,
        until: datetime,
        *,
        alert_id: int | None = None,
        boot_id: str,
    ) -> None:
        """What is heard from `since` to `until` is not told on this channel.

        `alert_id` is the alert under which that was chosen; its message shows it.
        """
        with self._database.transaction() as sql:
            before = sql.execute(
                "SELECT alert_id FROM mutes WHERE channel = ?", (channel,)
            ).fetchone()
            sql.execute(
                "INSERT OR REPLACE INTO mutes (channel, since, until, alert_id, boot_id) "
                "VALUES (?, ?, ?, (SELECT id FROM alerts WHERE id = ?), ?)",
                (channel, stored_us(since), stored_us(until), alert_id, boot_id),
            )
            for shown in {alert_id, before and before["alert_id"]} - {None}:
                show_again(sql, shown, channel)

    def unmute(self, channel: str) -> None:
        """Tell what is heard from now on."""
        with self._database.transaction() as sql:
            rows = sql.execute(
                "DELETE FROM mutes WHERE channel = ? RETURNING alert_id", (channel,)
            ).fetchall()
            for row in rows:
                if row["alert_id"] is not None:
                    show_again(sql, row["alert_id"], channel)

    def muted_until(self, channel: str, now: datetime) -> datetime | None:
        """When the channel is told again; None when it is told now."""
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT until FROM mutes WHERE channel = ? AND until > ?",
                (channel, stored_us(now)),
            ).fetchone()
        return None if row is None else utc_from_us(row["until"])

    def watch(self, since: datetime, for_s: float, *, boot_id: str) -> int:
        """Tell if nothing is heard for so long; 0 calls it off. Its number."""
        with self._database.transaction() as sql:
            cursor = sql.execute(
                "INSERT INTO watches (since, for_us, boot_id) VALUES (?, ?, ?)",
                (stored_us(since), timedelta(seconds=for_s) // _MICROSECOND, boot_id),
            )
            sql.execute("DELETE FROM watches WHERE id < ?", (cursor.lastrowid,))
        return int(cursor.lastrowid or 0)

    def watching(self) -> Watching | None:
        """What was wished last, whether or not something was heard since; None when over.

        It is over once it was called off or the absence told of. Who asks knows which labels
        count as heard: see `heard_since`.
        """
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT id, since, for_us FROM watches WHERE for_us > 0 ORDER BY id DESC LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            told = sql.execute(
                "SELECT 1 FROM alerts WHERE dedupe_key = ?", (absence_key(row["id"]),)
            ).fetchone()
        if told:
            return None
        return Watching(
            number=row["id"],
            since=utc_from_us(row["since"]),
            for_s=row["for_us"] * _MICROSECOND / timedelta(seconds=1),
        )

    def heard_since(self, since: datetime, labels: frozenset[str] | None = None) -> bool:
        """Whether an event of one of these labels, or of any, has sounded since."""
        with self._database.reading() as sql:
            rows = sql.execute(
                "SELECT DISTINCT label FROM events WHERE offset >= ? AND pulses > 0",
                (stored_us(since),),
            ).fetchall()
        return any(labels is None or row["label"] in labels for row in rows)
