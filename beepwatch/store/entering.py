"""The rows that one write of the outbox makes, inside its transaction."""

import sqlite3
from collections.abc import Sequence

from beepwatch.messages import Alert, AlertKind, Clip, Event
from beepwatch.store.schema import stored_us

#: What is heard while a channel is muted is not told there, and neither is that a machine is well
#: again of which it was not told that it was not; faults and absences are.
_PUT_DELIVERY = """
    INSERT INTO deliveries (alert_id, channel, state) VALUES (:alert, :channel, CASE WHEN
        :mutable AND EXISTS (
            SELECT 1 FROM mutes WHERE mutes.channel = :channel AND since <= :at AND :at < until
        ) OR EXISTS (
            SELECT 1 FROM deliveries JOIN alerts ON alerts.id = alert_id
            WHERE alerts.event_id = :ended AND channel = :channel AND state = 'muted'
        ) THEN 'muted' ELSE 'pending' END)
"""

_MUTABLE = (AlertKind.HEARD, AlertKind.UNUSUAL)

#: A machine's event has no pulses. One that was told twice around a crash ends twice.
_END_EVENTS = """
    UPDATE events SET final = 1, offset = max(offset, coalesce(?, offset)), revision = revision + 1
    WHERE label = ? AND pulses = 0 AND final = 0 RETURNING id
"""
_WITHDRAW = """
    UPDATE deliveries SET state = 'muted' WHERE state = 'pending' AND alert_id IN (
        SELECT id FROM alerts WHERE event_id = ? AND due_at > ? AND due_at > created_at)
"""


def known_alert(sql: sqlite3.Connection, alert: Alert | None) -> sqlite3.Row | None:
    """Number and event of the alert that has this one's `dedupe_key`, if it was written before."""
    if alert is None:
        return None
    row: sqlite3.Row | None = sql.execute(
        "SELECT id, event_id FROM alerts WHERE dedupe_key = ?", (alert.dedupe_key,)
    ).fetchone()
    return row


def put_event(
    sql: sqlite3.Connection, event: Event | None, known: sqlite3.Row | None
) -> int | None:
    """The number of the event's row, new or that of the known alert; None without an event."""
    if event is None:
        return None
    event_id = event.id
    if event_id is None and known is not None:
        event_id = known["event_id"]
    rows = sql.execute(
        "INSERT INTO events (id, label, onset, offset, pulses, peak_score, model_id, final) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "label = excluded.label, onset = excluded.onset, offset = excluded.offset, "
        "pulses = excluded.pulses, peak_score = excluded.peak_score, "
        "model_id = excluded.model_id, final = max(final, excluded.final), "
        "revision = revision + 1 RETURNING id",
        (
            event_id,
            event.label,
            stored_us(event.onset),
            stored_us(event.offset),
            event.pulses,
            event.peak_score,
            event.model_id,
            int(event.final),
        ),
    ).fetchall()
    return int(rows[0][0])


def put_clip(sql: sqlite3.Connection, event_id: int | None, clip: Clip) -> None:
    """A longer clip takes the place of the one before; the file keeps its path."""
    sql.execute(
        "INSERT INTO clips (event_id, rate_hz, started_at, pcm) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (event_id) DO UPDATE SET rate_hz = excluded.rate_hz, "
        "started_at = excluded.started_at, pcm = excluded.pcm, revision = revision + 1",
        (event_id, clip.rate_hz, stored_us(clip.started_at), clip.pcm),
    )


def put_picture(sql: sqlite3.Connection, event_id: int | None, png: bytes) -> None:
    """A later picture takes the place of the one before."""
    sql.execute("INSERT OR REPLACE INTO pictures (event_id, png) VALUES (?, ?)", (event_id, png))


def end_machine(sql: sqlite3.Connection, name: str, alert: Alert | None) -> int | None:
    """End the open event of a machine: when the alert says so, else as it was told; its number.

    What quiet hours have held back until now is not told any more.
    """
    at_us = None if alert is None else stored_us(alert.created_at)
    ended = [row[0] for row in sql.execute(_END_EVENTS, (at_us, name)).fetchall()]
    if at_us is not None:
        sql.executemany(_WITHDRAW, [(event_id, at_us) for event_id in ended])
    return max(ended, default=None)


def put_alert(
    sql: sqlite3.Connection,
    alert: Alert | None,
    event: Event | None,
    event_id: int | None,
    channels: Sequence[str],
    *,
    ends: bool = False,
) -> int | None:
    """The number of the new alert, which has a delivery on each channel; None without one.

    `ends`: it tells that the event is over.
    """
    if alert is None:
        return None
    # What is told of a machine once in its life, a mute does not hold back.
    is_drift = alert.kind is AlertKind.UNUSUAL and event is not None and event.final
    cursor = sql.execute(
        "INSERT INTO alerts (kind, text, created_at, due_at, dedupe_key, event_id, revision) "
        "VALUES (?, ?, ?, ?, ?, (SELECT id FROM events WHERE id = ?), 0)",
        (
            alert.kind.value,
            alert.text,
            stored_us(alert.created_at),
            stored_us(alert.due_at),
            alert.dedupe_key,
            event_id if event_id is not None else alert.event_id,
        ),
    )
    alert_id = cursor.lastrowid
    sql.executemany(
        _PUT_DELIVERY,
        [
            {
                "alert": alert_id,
                "channel": channel,
                "at": stored_us(alert.created_at),
                "mutable": ends or (alert.kind in _MUTABLE and not is_drift),
                "ended": event_id if ends else None,
            }
            for channel in channels
        ],
    )
    return alert_id


def link(sql: sqlite3.Connection, event_id: int, alert_id: int | None, told_by: int | None) -> None:
    """Note which alert tells of this event; whatever alert does has something new to say.

    An episode that outlasts the cooldown is told again: the first alert keeps its link, the later
    ones hold it by their own `event_id`. An alert from before the database was put aside is
    unknown here; the event still counts.
    """
    sql.execute(
        "UPDATE events SET told_by = coalesce((SELECT id FROM alerts WHERE id = ?), told_by, ?) "
        "WHERE id = ?",
        (told_by, alert_id, event_id),
    )
    sql.execute(
        "UPDATE alerts SET revision = revision + 1 "
        "WHERE id = (SELECT told_by FROM events WHERE id = ?1) OR event_id = ?1",
        (event_id,),
    )
