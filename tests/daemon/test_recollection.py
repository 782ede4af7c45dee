"""What the channels see of the outbox, and what is known of it when it cannot be read."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from beepwatch.clock import SystemClock
from beepwatch.daemon.recollection import LanesOutbox, Recollection
from beepwatch.errors import StoreError
from beepwatch.messages import Alert
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


def test_what_cannot_be_marked_is_known_until_it_is(database: Database) -> None:
    lanes = LanesOutbox(database, lambda *_: False, lambda: None)
    first, second = lanes.tellable(PHONE, NOW, 10)
    with closing(Database(database.directory)) as other, other.transaction():
        with pytest.raises(StoreError, match="locked"):
            lanes.sent_together([first], reference="1", sent_at=NOW)
        with pytest.raises(StoreError, match="locked"):
            lanes.refused(second.id, error="no")
        with pytest.raises(StoreError, match="locked"):
            lanes.expired(second.id, error="late")
    assert lanes.unmarked == {first.id, second.id}
    lanes.sent(first.id, reference="1", revision=0, sent_at=NOW)
    assert lanes.unmarked == {second.id}


def test_when_it_cannot_be_read_what_was_known_is_handed_over_but_for_what_is_over(
    tmp_path: Path,
) -> None:
    handed: list[tuple[str, Sequence[str]]] = []

    def tell(alert: Alert, channels: Sequence[str]) -> None:
        assert (alert.id, alert.event_id) == (None, None)
        handed.append((alert.dedupe_key, channels))

    with broken_disk(tmp_path) as disk, closing(Database(disk.path / "state")) as database:
        lanes = LanesOutbox(database, lambda *_: False, lambda: None)
        recollection = Recollection(lanes, (PHONE, OTHER), tell)
        recollection.look({"sent": 0})
        for number, key in enumerate(("over", "on both", "on one")):
            channels = [PHONE] if key == "on one" else [PHONE, OTHER]
            lanes.write(event=beep(3_600.0 * number), alert=heard(key), channels=channels)
        recollection.look({"sent": 0})
        recollection.poke()
        recollection.look({"sent": 0})
        over = [one for name in (PHONE, OTHER) for one in lanes.pending(name, 1)]
        disk.pull()
        with pytest.raises(StoreError):
            lanes.sent_together(over, reference="1", sent_at=NOW)
        recollection.look({"sent": 0})
        assert handed == []
        recollection.look({"sent": 2})
    assert handed == [("on both", [PHONE, OTHER]), ("on one", [PHONE])]
