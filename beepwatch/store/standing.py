"""How things stand, in a line each: what was heard last, and what is still to be told."""

from datetime import datetime

import msgspec

from beepwatch.messages import DeliveryState
from beepwatch.store.database import Database
from beepwatch.store.schema import utc_from_us


class LastHeard(msgspec.Struct, frozen=True, kw_only=True):
    """The newest event."""

    label: str
    onset: datetime  # UTC
    pulses: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks a box in a cupboard."""

    heard: LastHeard | None  # None before the first beep, and after retention took the last
    waiting: int  # alerts that are still to be told on some channel


def standing(database: Database) -> Standing:
    """How things stand now."""
    with database.reading() as sql:
        event = sql.execute(
            "SELECT label, onset, pulses FROM events ORDER BY onset DESC, id DESC LIMIT 1"
        ).fetchone()
        (waiting,) = sql.execute(
            "SELECT count(DISTINCT alert_id) FROM deliveries WHERE state = ?",
            (DeliveryState.PENDING.value,),
        ).fetchone()
    heard = event and LastHeard(
        label=event["label"], onset=utc_from_us(event["onset"]), pulses=event["pulses"]
    )
    return Standing(heard=heard, waiting=waiting)
