"""What is known of earlier lives: the last events, the open ones, what was told and when."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from beepwatch.messages import Alert, AlertKind, Event
from beepwatch.store.database import Database
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path)
    yield one
    one.close()


def event(minute: float, *, label: str = "beep", final: bool = True) -> Event:
    at = NOON + timedelta(minutes=minute)
    return Event(
        label=label,
        onset=at,
        offset=at,
        pulses=1,
        peak_score=0.9,
        model_id="m",
        final=final,
    )


def alert(minute: float, key: str, kind: AlertKind = AlertKind.HEARD) -> Alert:
    at = NOON + timedelta(minutes=minute)
    return Alert(kind=kind, text="beep", created_at=at, due_at=at, dedupe_key=key)


def test_a_new_store_remembers_nothing(database: Database) -> None:
    memory = Memory(database)
    assert memory.last_events() == memory.open_events() == []
    assert memory.last_alerts() == {}
    assert memory.last_told("heard:") is None


def test_the_last_event_of_a_label_is_the_one_written_last(database: Database) -> None:
    """Whatever the clock said."""
    outbox = Outbox(database)
    for one in (event(5), event(2), event(9, label="bell"), event(1, final=False)):
        outbox.write(event=one)
    memory = Memory(database)
    assert [(one.id, one.label) for one in memory.last_events()] == [(3, "bell"), (4, "beep")]
    assert [one.id for one in memory.open_events()] == [4]


def test_the_recent_events_are_the_newest_few_of_each_label(database: Database) -> None:
    outbox = Outbox(database)
    for one in (event(1), event(2, label="bell"), event(3), event(4)):
        outbox.write(event=one)
    assert [one.id for one in Memory(database).recent_events(count=2)] == [2, 3, 4]


def test_what_was_told_last_is_found_by_how_its_key_begins(database: Database) -> None:
    """By the order of writing; a key is no pattern."""
    outbox = Outbox(database)
    outbox.write(event=event(1), alert=alert(1, "heard:0:beep:1"))
    outbox.write(event=event(2), alert=alert(2, "heard:1:beep:2"))
    outbox.write(event=event(3), alert=alert(3, "heard:0:be%p:3"))
    outbox.write(alert=alert(4, "missed:4", AlertKind.MISSED))
    memory = Memory(database)
    found = [memory.last_told(f"heard:{rest}") for rest in ("0:beep:", "1:beep:", "", "2", "0:b%")]
    minutes = [None if at is None else (at - NOON) / timedelta(minutes=1) for at in found]
    assert minutes == [1, 2, 3, None, None]
    assert memory.last_alerts() == {"beep": 3}
