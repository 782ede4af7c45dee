"""What the channels see of the outbox, and what is known of it when it cannot be read."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

import beepwatch.daemon.recollection as recollection_module
from beepwatch.clock import SystemClock
from beepwatch.daemon.memo import Memo, open_memo
from beepwatch.daemon.recollection import LanesOutbox, Recollection
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, Delivery
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.small_disk import broken_disk
from tests.store.messages_of_a_day import beep, heard

PHONE, OTHER = "telegram:7", "telegram:8"
NOW = SystemClock().utc()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "state", busy_timeout_s=0.1)) as one:
        for number, key in enumerate(("first", "second")):
            Outbox(one).write(event=beep(3_600.0 * number), alert=heard(key), channels=[PHONE])
        yield one


def test_what_is_in_hand_elsewhere_is_not_due_and_holds_up_nothing(database: Database) -> None:
    settled: list[None] = []
    lanes = LanesOutbox(database, lambda key, _: key == "first", lambda: settled.append(None))
    due = lanes.due(PHONE, NOW)
    assert due is not None
    assert due.alert.dedupe_key == "second"
    assert settled == [None]
    assert [one.alert.dedupe_key for one in lanes.tellable(PHONE, NOW, 10)] == ["second"]
    assert lanes.next_due_at(PHONE, NOW) == NOW
    lanes.sent(due.id, reference=None, revision=0, sent_at=NOW)
    assert lanes.due(PHONE, NOW) is None
    later = lanes.next_due_at(PHONE, NOW)
    assert later is not None
    assert (later - NOW).total_seconds() == 1.0


def test_what_cannot_be_marked_is_known_to_be_over(database: Database) -> None:
    lanes = LanesOutbox(database, lambda *_: False, lambda: None)
    first, second = lanes.tellable(PHONE, NOW, 10)
    with closing(Database(database.directory)) as other, other.transaction():
        with pytest.raises(StoreError, match="locked"):
            lanes.sent_together([first], reference="1", sent_at=NOW)
        with pytest.raises(StoreError, match="locked"):
            lanes.refused(second.id, error="no")
        with pytest.raises(StoreError, match="locked"):
            lanes.expired(second.id, error="late", and_before=NOW)
    assert lanes.over == {first.id, second.id}


@pytest.fixture
def descriptor() -> Iterator[int]:
    one = open_memo()
    yield one
    os.close(one)


def remembered(descriptor: int) -> list[tuple[str, tuple[str, ...]]]:
    """What another life would find."""
    return [(one.alert.dedupe_key, one.channels) for one in Memo(descriptor).untold]


def test_when_it_cannot_be_read_what_was_known_is_handed_over_but_for_what_is_over(
    tmp_path: Path, descriptor: int
) -> None:
    """Once; and a life that never could read it has that from the life before."""
    memo = Memo(descriptor)
    handed: list[tuple[str, Sequence[str]]] = []

    def tell(alert: Alert, channels: Sequence[str]) -> None:
        assert (alert.id, alert.event_id) == (None, None)
        handed.append((alert.dedupe_key, channels))

    with broken_disk(tmp_path) as disk, closing(Database(disk.path / "state")) as database:
        lanes = LanesOutbox(database, lambda *_: False, lambda: None)
        recollection = Recollection(lanes, (PHONE, OTHER), tell, memo)
        recollection.look({"sent": 0, "store_errors": 0})
        for number, key in enumerate(("over", "on both", "on one")):
            channels = [PHONE] if key == "on one" else [PHONE, OTHER]
            lanes.write(event=beep(3_600.0 * number), alert=heard(key), channels=channels)
        recollection.look({"sent": 0, "store_errors": 0})
        recollection.poke()
        recollection.look({"sent": 0, "store_errors": 0})
        over = [one for name in (PHONE, OTHER) for one in lanes.pending(name, 1)]
        disk.pull()
        with pytest.raises(StoreError):
            lanes.sent_together(over, reference="1", sent_at=NOW)
        recollection.look({"sent": 2, "store_errors": 0})
        assert handed == []
        for errors in (1, 2):
            recollection.look({"sent": 2, "store_errors": errors})
        left = [("on both", (PHONE, OTHER)), ("on one", (PHONE,))]
        assert [(key, tuple(names)) for key, names in handed] == left == remembered(descriptor)
        recollection.told("on both")
        recollection.look({"sent": 2, "store_errors": 3})
        assert remembered(descriptor) == left[1:]
        handed.clear()
        Recollection(lanes, (PHONE,), tell, Memo(descriptor)).look({})
        assert [(key, tuple(names)) for key, names in handed] == left[1:]


def test_of_a_long_backlog_only_the_beginning_is_read_until_most_of_it_is_over(
    tmp_path: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many messages go out; what is over is forgotten at once."""
    monkeypatch.setattr(recollection_module, "KEPT", 8)
    monkeypatch.setattr(recollection_module, "_ENOUGH", 4)
    readings: list[str] = []
    pending = LanesOutbox.pending

    def counted(outbox: LanesOutbox, channel: str, at_most: int) -> list[Delivery]:
        readings.append(channel)
        return pending(outbox, channel, at_most)

    monkeypatch.setattr(LanesOutbox, "pending", counted)
    with closing(Database(tmp_path)) as database:
        lanes = LanesOutbox(database, lambda *_: False, lambda: None)
        for number in range(20):
            lanes.write(event=beep(60.0 * number), alert=heard(f"{number}"), channels=[PHONE])
        recollection = Recollection(lanes, (PHONE,), lambda *_: None, Memo(descriptor))
        left = []
        for sent in range(21):
            recollection.look({"sent": sent, "store_errors": 0})
            left.append([int(key) for key, _ in remembered(descriptor)])
            if due := lanes.due(PHONE, NOW):
                lanes.sent(due.id, reference=None, revision=0, sent_at=NOW)
    assert all(keys == list(range(sent, sent + len(keys))) for sent, keys in enumerate(left))
    assert all(keys for keys in left[:-1])
    assert left[-1] == []
    assert len(readings) <= 5
