"""Rows of the database as the messages that travel."""

import sqlite3

from beepwatch.messages import Alert, AlertKind, Delivery, DeliveryState, Event
from beepwatch.store.schema import utc_from_us, utc_or_none


def event_from_row(row: sqlite3.Row) -> Event:
    """An event from its row, which holds the clip's `path` too."""
    return Event(
        id=row["id"],
        label=row["label"],
        onset=utc_from_us(row["onset"]),
        offset=utc_from_us(row["offset"]),
        pulses=row["pulses"],
        peak_score=row["peak_score"],
        model_id=row["model_id"],
        final=bool(row["final"]),
        clip=row["path"],
    )


def alert_from_row(row: sqlite3.Row) -> Alert:
    """An alert from its row, or from one of its deliveries'."""
    return Alert(
        id=row["alert_id"],
        kind=AlertKind(row["kind"]),
        text=row["text"],
        created_at=utc_from_us(row["created_at"]),
        due_at=utc_from_us(row["due_at"]),
        dedupe_key=row["dedupe_key"],
        event_id=row["event_id"],
    )


def delivery_from_row(row: sqlite3.Row) -> Delivery:
    """A delivery from its row, which holds its alert's columns too."""
    return Delivery(
        id=row["id"],
        alert=alert_from_row(row),
        channel=row["channel"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        next_try_at=utc_or_none(row["next_try_at"]),
        last_error=row["last_error"],
        reference=row["reference"],
        revision=row["revision"],
    )
