"""What was heard, what was told and what is still to be told: the body of `beepwatch events`."""

import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.messages import AlertKind, DeliveryState, Verdict
from beepwatch.store.database import Database
from beepwatch.store.schema import stored_us_or_none, utc_from_us
from beepwatch.wording import counted

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*([smhdw])$")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class ToldRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on one channel; `id` is the alert's, the same on every channel."""

    id: int
    kind: AlertKind
    channel: str
    state: DeliveryState
    attempts: int


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event as `events --json` prints it; the fields' names and order are a contract.

    `alerts` holds every alert that told of the event: the one that an earlier event of the same
    burst caused, and the later ones of an event that outlasted the cooldown. `clip` is the absolute
    path, null until the messenger has encoded the sound and after retention took it. `verdict` is
    what a person said of it: "right", "wrong" or null.
    """

    id: int
    label: str
    onset: datetime  # UTC
    offset: datetime  # UTC
    pulses: int
    score: float
    clip: str | None
    alerts: list[ToldRow]
    verdict: Verdict | None = None


class NoticeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert without event: missed, started, stopped, a fault.

    `events --json` leaves these out, since each of its lines is an event.
    """

    text: str
    created_at: datetime  # UTC
    alerts: list[ToldRow]


def seconds_of(text: str) -> float | None:
    """The length that "90s", "30m", "2h", "3d" or "1w" says; None for anything else."""
    match = _DURATION.match(text.strip())
    return float(match[1]) * _UNITS_S[match[2]] if match else None


def since_time(text: str, now: datetime) -> datetime:
    """The moment that `--since` names: "90s", "30m", "2h", "3d", "1w" before now, or a time.

    A time is ISO 8601; without zone it is local. Raises ConfigurationError for anything else.
    """
    length_s = seconds_of(text)
    if length_s is not None:
        try:
            return now - timedelta(seconds=length_s)
        except OverflowError:
            pass  # earlier than the calendar begins: as wrong as any other text
    else:
        try:
            return datetime.fromisoformat(text.strip()).astimezone(now.tzinfo)
        except (ValueError, OverflowError):
            pass  # explained below, together with the other forms
    raise ConfigurationError(
        f"--since is {text!r}; write a length such as 90s, 30m, 2h, 3d or 1w, "
        "or a time such as 2025-01-31T14:00."
    )


def event_rows(database: Database, since: datetime | None = None) -> list[EventRow]:
    """Events whose last pulse ended at `since` or later, by onset; all of them without `since`."""
    with database.reading() as sql:
        events = sql.execute(
            "SELECT events.*, clips.path, verdict FROM events "
            "LEFT JOIN clips ON clips.event_id = events.id "
            "LEFT JOIN corrections ON corrections.event_id = events.id "
            "WHERE offset >= coalesce(?, offset) ORDER BY onset, events.id",
            (stored_us_or_none(since),),
        ).fetchall()
        told = _told(sql)
        own = _own_alerts(sql)
    return [
        EventRow(
            id=row["id"],
            label=row["label"],
            onset=utc_from_us(row["onset"]),
            offset=utc_from_us(row["offset"]),
            pulses=row["pulses"],
            score=round(row["peak_score"], 4),
            clip=str(database.directory / row["path"]) if row["path"] else None,
            alerts=[
                one
                for alert_id in sorted({row["told_by"] or 0, *own.get(row["id"], [])})
                for one in told.get(alert_id, [])
            ],
            verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        )
        for row in events
    ]


def notice_rows(database: Database, since: datetime | None = None) -> list[NoticeRow]:
    """Alerts without event, created at `since` or later, in the order of writing."""
    with database.reading() as sql:
        alerts = sql.execute(
            "SELECT id, text, created_at FROM alerts WHERE event_id IS NULL "
            "AND created_at >= coalesce(?, created_at) ORDER BY id",
            (stored_us_or_none(since),),
        ).fetchall()
        told = _told(sql)
    return [
        NoticeRow(
            text=row["text"],
            created_at=utc_from_us(row["created_at"]),
            alerts=told.get(row["id"], []),
        )
        for row in alerts
    ]


def json_lines(rows: Sequence[EventRow]) -> str:
    """One JSON object a line, times as RFC 3339 UTC."""
    return "".join(msgspec.json.encode(row).decode() + "\n" for row in rows)


def text_lines(events: Sequence[EventRow], notices: Sequence[NoticeRow]) -> str:
    """Events and notices for people, in local time, oldest first: a line each, its clip below."""
    widest = max((len(row.label) for row in events), default=0)
    lines = [(row.onset, _event_line(row, widest)) for row in events]
    lines += [(row.created_at, _joined(row.text, _told_words(row.alerts))) for row in notices]
    return "".join(
        f"{when.astimezone():%Y-%m-%d %H:%M:%S}  {line}\n"
        for when, line in sorted(lines, key=lambda line: line[0])
    )


def _event_line(row: EventRow, label_width: int) -> str:
    lasted_s = (row.offset - row.onset).total_seconds()
    # A machine's has no pulses.
    heard = f"{counted(row.pulses, 'pulse')} in" if row.pulses else "unusual for"
    line = _joined(
        row.label.ljust(label_width),
        f"{heard} {lasted_s:.1f} s",
        f"score {row.score:.2f}",
        _told_words(row.alerts),
        row.verdict.value if row.verdict else "",
    )
    return f"{line}\n    {row.clip}" if row.clip else line


def _joined(*words: str) -> str:
    return "  ".join(filter(None, words))


def _told_words(alerts: Sequence[ToldRow]) -> str:
    """Each once: that a machine is well again is told where it was told that it is not."""
    return ", ".join(dict.fromkeys(f"{told.channel} {told.state.value}" for told in alerts))


def _own_alerts(sql: sqlite3.Connection) -> dict[int, list[int]]:
    """The alerts that each event caused itself."""
    own: dict[int, list[int]] = {}
    for row in sql.execute("SELECT event_id, id FROM alerts WHERE event_id IS NOT NULL"):
        own.setdefault(row["event_id"], []).append(row["id"])
    return own


def _told(sql: sqlite3.Connection) -> dict[int, list[ToldRow]]:
    told: dict[int, list[ToldRow]] = {}
    for row in sql.execute(
        "SELECT alert_id, kind, channel, state, attempts FROM deliveries "
        "JOIN alerts ON alerts.id = alert_id ORDER BY alert_id, deliveries.id"
    ):
        told.setdefault(row["alert_id"], []).append(
            ToldRow(
                id=row["alert_id"],
                kind=AlertKind(row["kind"]),
                channel=row["channel"],
                state=DeliveryState(row["state"]),
                attempts=row["attempts"],
            )
        )
    return told
