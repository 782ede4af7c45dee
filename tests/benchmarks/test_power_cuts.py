"""What the benchmark of power cuts says of a cut, and that it looks without mending."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from benchmarks.power_cuts import Left, look, unmarked, wrong
from tests.bot_api import BotApi, Posted
from tests.end_to_end.daemon import CHAT_ID
from tests.store.messages_of_a_day import NOON, beep, heard

NOTHING = Left(problems=[], alerts={}, message_of={}, untold=0, unencoded=0, spans=[])
TWO_TOLD = Left(
    problems=[],
    alerts={1: "a", 2: "b"},
    message_of={1: 100, 2: 101},
    untold=0,
    unencoded=0,
    spans=[],
)


@pytest.fixture
def api() -> Iterator[BotApi]:
    """With three messages, of which nobody has marked the last."""
    with BotApi() as one:
        one.messages += [
            Posted(id=number, chat_id=CHAT_ID, kind="text", text="beep", file=None)
            for number in (100, 101, 102)
        ]
        yield one


def left(**other: object) -> Left:
    return Left(**{**vars(TWO_TOLD), **other})


def test_what_was_on_its_way_is_no_fault(api: BotApi) -> None:
    assert wrong(NOTHING, TWO_TOLD, api, 0) == []
    assert unmarked(TWO_TOLD, api, 0) == [102]


def test_a_lost_alert_one_told_anew_and_a_damaged_database_are_faults(api: BotApi) -> None:
    assert wrong(TWO_TOLD, left(alerts={1: "a"}), api, 2) == ["alerts were lost: [(2, 'b')]"]
    anew = left(message_of={1: 100, 2: 102})
    assert wrong(TWO_TOLD, anew, api, 2) == ["told anew: [(2, 101)]"]
    assert wrong(TWO_TOLD, left(problems=["page 7"]), api, 2) == ["page 7"]


def test_more_than_one_message_without_a_mark_is_a_fault(api: BotApi) -> None:
    (found,) = wrong(NOTHING, left(message_of={1: 100}), api, 0)
    assert found == "more without a mark than what was on its way: [101, 102]"
    (found,) = wrong(NOTHING, left(message_of={1: 100, 2: 102}), api, 0)
    assert found == "more without a mark than what was on its way: [101]"


def test_a_database_is_looked_at_as_it_was_left(tmp_path: Path) -> None:
    assert look(tmp_path) == NOTHING
    channels = [f"telegram:{CHAT_ID}"]
    with closing(Database(tmp_path)) as database:
        outbox = Outbox(database)
        outbox.write(event=beep(), alert=heard(), channels=channels)
        sent = outbox.due(channels[0], NOON + timedelta(days=1))
        assert sent is not None
        outbox.sent(sent.id, reference="text:117", revision=1, sent_at=NOON)
        outbox.write(alert=heard("2"), channels=channels)
        wal = (tmp_path / "beepwatch.db-wal").stat()
        found = look(tmp_path)
        assert (tmp_path / "beepwatch.db-wal").stat().st_mtime_ns == wal.st_mtime_ns
    assert found.problems == []
    assert set(found.alerts) == {1, 2}
    assert found.message_of == {1: 117}
    assert found.untold == 1
