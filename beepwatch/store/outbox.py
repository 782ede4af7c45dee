"""The outbox: written by the classifier before anything is sent, emptied by the messenger."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from beepwatch.messages import Alert, AlertKind, Chosen, Clip, Delivery, Event, Verdict
from beepwatch.store.database import Database
from beepwatch.store.entering import (
    end_machine,
    known_alert,
    link,
    put_alert,
    put_clip,
    put_event,
    put_picture,
)
from beepwatch.store.rows import alert_from_row, delivery_from_row, event_from_row
from beepwatch.store.schema import stored_us, utc_from_us, utc_or_none

# Quiet hours end within a day. An alert due later than that was dated by a clock set back since.
_LONGEST_HOLD_US = timedelta(days=1) // timedelta(microseconds=1)

_EDITABLE_ALERTS = 1_000  # the newest ones

_DELIVERY = """
    SELECT deliveries.*, alerts.kind, alerts.text, alerts.created_at, alerts.due_at,
           alerts.dedupe_key, alerts.event_id, alerts.revision
    FROM deliveries JOIN alerts ON alerts.id = deliveries.alert_id
"""

# Of those that a mute held back, a machine's comes up again once the mute is over, while it lasts.
_TELLABLE = f"""{_DELIVERY} WHERE deliveries.id IN (
        SELECT id FROM deliveries WHERE channel = :channel AND state = 'pending' UNION ALL
        SELECT id FROM deliveries WHERE channel = :channel AND state = 'muted'
        AND alert_id > (SELECT coalesce(max(id), 0) FROM alerts) - {_EDITABLE_ALERTS}
    ) AND (state = 'pending' OR kind = '{AlertKind.UNUSUAL.value}'
        AND EXISTS (SELECT 1 FROM events WHERE events.id = alerts.event_id AND final = 0)
        AND NOT EXISTS (SELECT 1 FROM mutes WHERE mutes.channel = :channel AND until > :now)
    ) AND (due_at <= :now OR due_at <= created_at OR due_at - :now > :longest)
    ORDER BY alert_id LIMIT :at_most
"""  # noqa: S608 - only our own words

_SENT = """
    UPDATE deliveries SET state = 'sent', attempts = attempts + 1, reference = ?,
           revision_sent = ?, sent_at = ?, tried_at = NULL, next_try_at = NULL, last_error = NULL
    WHERE id = ? AND state IN ('pending', 'muted')
"""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What the store made of a write."""

    event_id: int | None
    alert_id: int | None  # of the one that was known already, if it was


class Outbox:
    """Events, alerts and their deliveries; every method is one transaction.

    All raise StoreError when the database cannot be used (locked for too long, disk full).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # What the classifier writes

    def write(
        self,
        *,
        event: Event | None = None,
        clip: Clip | None = None,
        alert: Alert | None = None,
        channels: Sequence[str] = (),
        told_by: int | None = None,
        picture: bytes | None = None,
        ends: str | None = None,
    ) -> Written:
        """Put an event, its clip and picture, and an alert with one delivery per channel on the
        disk, or none of it.

        An event without id is new; one with id replaces what is known of it. An alert whose
        `dedupe_key` is known is not written again, and an event that comes with it is the event
        that the known alert told of: a window heard twice makes neither two events nor two alerts.
        `told_by` is the alert that has told of this event's burst already; its message is edited.
        `ends` is the machine whose event is over: the alert says so, or nobody does.

        Raises ValueError for a clip, a picture or `told_by` without event, and for `told_by` with
        an alert.
        """
        if event is None and (clip, picture, told_by) != (None, None, None):
            raise ValueError(
                "a clip, a picture and told_by belong to an event, and no event was given"
            )
        if alert is not None and told_by is not None:
            raise ValueError(f"the event cannot be told by alert {told_by} and by a new one")
        with self._database.transaction() as sql:
            known = known_alert(sql, alert)
            event_id = put_event(sql, event, known)
            if ends is not None:
                event_id = end_machine(sql, ends, alert)
            if clip is not None:
                put_clip(sql, event_id, clip)
            if picture is not None:
                put_picture(sql, event_id, picture)
            if known:
                alert_id = known["id"]
            else:
                alert_id = put_alert(sql, alert, event, event_id, channels, ends=ends is not None)
            if event_id is not None:
                link(sql, event_id, alert_id, told_by)
        return Written(event_id=event_id, alert_id=alert_id)

    def has_room_for(self, clip: Clip) -> bool:
        """Whether this clip fits the disk without taking the room of alerts to come."""
        return self._database.has_room_for(len(clip.pcm))

    def last_heard(self) -> datetime | None:
        """End of the last pulse, UTC; what a machine is like is not heard."""
        with self._database.reading() as sql:
            (offset_us,) = sql.execute("SELECT max(offset) FROM events WHERE pulses > 0").fetchone()
        return utc_or_none(offset_us)

    # What the messenger takes

    def due(self, channel: str, now: datetime) -> Delivery | None:
        """The oldest alert to be told on this channel now; None when there is nothing, or a wait.

        One that failed holds back the later ones until its next try; one that lies in quiet hours
        holds back none. A clock that was set back does not hold up what was due before: a time of
        the last try in the future makes the next try due.
        """
        now_us = stored_us(now)
        head = self._tellable(channel, now_us, at_most=1)
        return delivery_from_row(head[0]) if head and not _waits(head[0], now_us) else None

    def tellable(self, channel: str, now: datetime, at_most: int) -> list[Delivery]:
        """The pending deliveries that quiet hours do not hold back, oldest first, whether or not
        their next try is due.
        """
        return [delivery_from_row(row) for row in self._tellable(channel, stored_us(now), at_most)]

    def next_due_at(self, channel: str, now: datetime) -> datetime | None:
        """When `due` or `edit_due` may next have something; None when nothing is waiting."""
        now_us = stored_us(now)
        waiting = [*self._tellable(channel, now_us, at_most=1), *self._stale(channel)]
        times_us = [row["next_try_at"] if _waits(row, now_us) else now_us for row in waiting]
        with self._database.reading() as sql:
            (held_us,) = sql.execute(
                "SELECT min(due_at) FROM deliveries JOIN alerts ON alerts.id = alert_id "
                "WHERE channel = ? AND state = 'pending' AND due_at > ? AND due_at > created_at",
                (channel, now_us),
            ).fetchone()
        if held_us is not None:
            times_us.append(held_us)
        return utc_from_us(min(times_us)) if times_us else None

    def sent(
        self, delivery_id: int, *, reference: str | None, revision: int, sent_at: datetime
    ) -> None:
        """The channel has taken it; it is not sent again."""
        self._update(_SENT, (reference, revision, stored_us(sent_at), delivery_id))

    def sent_together(
        self, deliveries: Sequence[Delivery], *, reference: str, sent_at: datetime
    ) -> None:
        """The channel has taken one message that tells of them all: marked together or not."""
        with self._database.transaction() as sql:
            sql.executemany(
                _SENT,
                [(reference, one.revision, stored_us(sent_at), one.id) for one in deliveries],
            )

    def failed(
        self, delivery_id: int, *, error: str, tried_at: datetime, next_try_at: datetime
    ) -> None:
        """It could not be sent and is tried again at `next_try_at`."""
        self._update(
            "UPDATE deliveries SET attempts = attempts + 1, last_error = ?, tried_at = ?, "
            "next_try_at = ? WHERE id = ? AND state IN ('pending', 'muted')",
            (error, stored_us(tried_at), stored_us(next_try_at), delivery_id),
        )

    def refused(self, delivery_id: int, *, error: str) -> None:
        """The channel will never take it; the error says why."""
        self._update(
            "UPDATE deliveries SET state = 'refused', attempts = attempts + 1, last_error = ?, "
            "tried_at = NULL, next_try_at = NULL WHERE id = ? AND state IN ('pending', 'muted')",
            (error, delivery_id),
        )

    def expired(self, delivery_id: int, *, error: str, and_before: datetime) -> int:
        """It was tried for too long and is tried no more, nor is what was written before then and
        waits behind it; how many those were.
        """
        with self._database.transaction() as sql:
            cursor = sql.execute(
                "UPDATE deliveries SET state = 'expired', last_error = ?2, tried_at = NULL, "
                "next_try_at = NULL WHERE id = ?1 AND state IN ('pending', 'muted') OR "
                "state = 'pending' AND channel = (SELECT channel FROM deliveries WHERE id = ?1) "
                "AND alert_id IN (SELECT id FROM alerts WHERE created_at < ?3)",
                (delivery_id, error, stored_us(and_before)),
            )
        return cursor.rowcount

    def expire_elsewhere(self, channels: Sequence[str], created_before: datetime) -> int:
        """What waits for a channel that nobody serves any more is given up; how many those were."""
        with self._database.transaction() as sql:
            cursor = sql.execute(
                "UPDATE deliveries SET state = 'expired', tried_at = NULL, next_try_at = NULL, "
                "last_error = 'its channel is not configured any more' WHERE state = 'pending' "
                "AND channel NOT IN (SELECT value FROM json_each(?)) "
                "AND alert_id IN (SELECT id FROM alerts WHERE created_at < ?)",
                (msgspec.json.encode(channels).decode(), stored_us(created_before)),
            )
        return cursor.rowcount

    def edit_due(self, channel: str, now: datetime) -> Delivery | None:
        """The oldest message on this channel that tells less of its events than is known now."""
        now_us = stored_us(now)
        return next(
            (delivery_from_row(row) for row in self._stale(channel) if not _waits(row, now_us)),
            None,
        )

    def edited(self, delivery_id: int, *, revision: int) -> None:
        """The message tells of the events as of `revision`, or is given up at that."""
        self._update(
            "UPDATE deliveries SET revision_sent = ?, tried_at = NULL, next_try_at = NULL, "
            "last_error = NULL WHERE id = ? AND state = 'sent'",
            (revision, delivery_id),
        )

    def edit_failed(
        self, delivery_id: int, *, error: str, tried_at: datetime, next_try_at: datetime
    ) -> None:
        """The message could not be edited and is tried again; `attempts` counts only sending."""
        self._update(
            "UPDATE deliveries SET last_error = ?, tried_at = ?, next_try_at = ? "
            "WHERE id = ? AND state = 'sent'",
            (error, stored_us(tried_at), stored_us(next_try_at), delivery_id),
        )

    def events_of(self, alert_id: int) -> list[Event]:
        """Every episode that this alert tells of, by onset; empty for notices and faults."""
        with self._database.reading() as sql:
            rows = sql.execute(
                "SELECT events.*, clips.path FROM events "
                "LEFT JOIN clips ON clips.event_id = events.id "
                "WHERE told_by = ?1 OR events.id = (SELECT event_id FROM alerts WHERE id = ?1) "
                "ORDER BY onset, events.id",
                (alert_id,),
            ).fetchall()
        return [event_from_row(row) for row in rows]

    def picture(self, event_id: int) -> bytes | None:
        """The PNG that goes with an event; None when there is none, or none any more."""
        with self._database.reading() as sql:
            row = sql.execute("SELECT png FROM pictures WHERE event_id = ?", (event_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def chosen(self, alert_id: int, channel: str) -> Chosen:
        """What was chosen under an alert's message on this channel."""
        with self._database.reading() as sql:
            verdict = sql.execute(
                "SELECT verdict FROM corrections JOIN alerts USING (event_id) WHERE alerts.id = ?",
                (alert_id,),
            ).fetchone()
            mute = sql.execute(
                "SELECT until FROM mutes WHERE channel = ? AND alert_id = ?", (channel, alert_id)
            ).fetchone()
        return Chosen(
            verdict=Verdict(verdict[0]) if verdict else None,
            quiet_until=utc_from_us(mute[0]) if mute else None,
        )

    def alert(self, alert_id: int) -> Alert | None:
        """An alert by its number; None when there is none."""
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT *, id AS alert_id FROM alerts WHERE id = ?", (alert_id,)
            ).fetchone()
        return None if row is None else alert_from_row(row)

    def last_event(self) -> Event | None:
        """The newest event, by onset."""
        with self._database.reading() as sql:
            row = sql.execute(
                "SELECT events.*, clips.path FROM events "
                "LEFT JOIN clips ON clips.event_id = events.id "
                "ORDER BY onset DESC, events.id DESC LIMIT 1"
            ).fetchone()
        return None if row is None else event_from_row(row)

    def untold(self, alert_id: int | None) -> list[Delivery]:
        """What is still to be told of one alert."""
        with self._database.reading() as sql:
            rows = sql.execute(
                f"{_DELIVERY} WHERE alert_id = ? AND state = 'pending' ORDER BY deliveries.id",
                (alert_id,),
            ).fetchall()
        return [delivery_from_row(row) for row in rows]

    def pending(self, channel: str, at_most: int) -> list[Delivery]:
        """What is still to be told, oldest first, whether or not it may be by now."""
        with self._database.reading() as sql:
            rows = sql.execute(
                f"{_DELIVERY} WHERE channel = ? AND state = 'pending' ORDER BY alert_id LIMIT ?",
                (channel, at_most),
            ).fetchall()
        return [delivery_from_row(row) for row in rows]

    def _tellable(self, channel: str, now_us: int, at_most: int) -> list[sqlite3.Row]:
        """The oldest deliveries still to be made that neither quiet hours nor a mute hold back.

        By the order of writing, which no clock can change; `due_at <= created_at` is an alert that
        was never meant to wait, whatever the clock says now.
        """
        with self._database.reading() as sql:
            return sql.execute(
                _TELLABLE,
                {
                    "channel": channel,
                    "now": now_us,
                    "longest": _LONGEST_HOLD_US,
                    "at_most": at_most,
                },
            ).fetchall()

    def _stale(self, channel: str) -> list[sqlite3.Row]:
        """Sent messages that tell less than is known, oldest first; only recent ones are looked
        at, so that two years of history cost nothing.
        """
        with self._database.reading() as sql:
            return sql.execute(
                f"{_DELIVERY} WHERE channel = ? AND state = 'sent' AND kind = ? "  # noqa: S608
                "AND alert_id > (SELECT coalesce(max(id), 0) FROM alerts) - ? "
                "AND revision > revision_sent ORDER BY alert_id",
                (channel, AlertKind.HEARD.value, _EDITABLE_ALERTS),
            ).fetchall()

    def _update(self, statement: str, values: tuple[str | int | None, ...]) -> None:
        with self._database.transaction() as sql:
            sql.execute(statement, values)


def _waits(row: sqlite3.Row, now_us: int) -> bool:
    if row["next_try_at"] is None:
        return False
    clock_set_back = row["tried_at"] is not None and now_us < row["tried_at"]
    return row["next_try_at"] > now_us and not clock_set_back
