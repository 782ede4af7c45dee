"""Alerts that the store does not take are told without it, and not again when it takes them."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

import beepwatch.daemon.messenger
import beepwatch.daemon.unwritten
from beepwatch.clock import SystemClock
from beepwatch.daemon.unwritten import WITHOUT_STORE, Unwritten
from beepwatch.messages import Alert, AlertKind, Event, Finish, Finished, Noted, Poke, Ready
from beepwatch.notify.channels import ConsoleChannel, Outgoing
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.bot_api import BLOCKED, BotApi
from tests.daemon.conversation import Conversation, FullDisk, messaging
from tests.daemon.stage import PATIENCE_S
from tests.store.pending import pending_by_channel

NOW = SystemClock().utc()
BEEP = Alert(kind=AlertKind.HEARD, text="beep", created_at=NOW, due_at=NOW, dedupe_key="heard:1")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[BotApi]:
    """A phone; the store of whoever talks to it takes nothing, until it is given room."""
    monkeypatch.setattr(beepwatch.daemon.messenger, "Outbox", FullDisk)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 0.2)
    monkeypatch.setattr(FullDisk, "full", True)
    with BotApi() as running:
        yield running


def finish(child: Conversation) -> None:
    child.say(Finish(within_s=20.0))
    assert [type(message) for message in child.hear()][-1] is Finished


def deliveries(directory: Path) -> list[tuple[int, str, str]]:
    """Chat, state and reference of each."""
    with closing(Database(directory)) as database, database.reading() as sql:
        rows = sql.execute("SELECT channel, state, reference FROM deliveries ORDER BY id")
        return [(int(row[0].split(":")[1]), row[1], row[2]) for row in rows]


def wait_until_written(directory: Path) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not deliveries(directory):
        assert time.monotonic() < give_up_s, "it is not written"
        threading.Event().wait(0.02)


def event() -> Event:
    return Event(
        label="beep",
        onset=NOW,
        offset=NOW + timedelta(seconds=2),
        pulses=3,
        peak_score=0.9,
        model_id="m",
        final=True,
    )


def test_it_is_told_with_a_word_of_why_and_marked_as_sent_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: BotApi
) -> None:
    child = messaging(tmp_path, api)
    child.hear_until(Ready)
    child.say(BEEP, BEEP)
    posted = api.wait_for_message(1, PATIENCE_S)
    child.hear_until(Noted)
    monkeypatch.setattr(FullDisk, "full", False)
    wait_until_written(tmp_path)
    finish(child)
    assert f"beep ({WITHOUT_STORE})" in posted.text
    ((chat_id, state, reference),) = deliveries(tmp_path)
    assert (chat_id, state) == (7, "sent")
    assert str(posted.id) in reference
    assert len(api.messages) == 1


def test_the_classifier_may_write_it_first_and_the_message_then_says_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: BotApi
) -> None:
    """It writes the alert with its event, and pokes: the same message is edited, none is new."""
    child = messaging(tmp_path, api)
    child.hear_until(Ready)
    child.say(BEEP)
    api.wait_for_message(1, PATIENCE_S)
    child.hear_until(Noted)
    with closing(Database(tmp_path)) as database:
        Outbox(database).write(event=event(), alert=BEEP, channels=("telegram:7",))
    monkeypatch.setattr(FullDisk, "full", False)
    child.say(Poke())
    api.wait_until(lambda: "3 pulses" in api.messages[0].text, "the edit", PATIENCE_S)
    finish(child)
    assert len(api.messages) == 1
    assert [state for _, state, _ in deliveries(tmp_path)] == ["sent"]


def test_a_chat_that_takes_nothing_keeps_it_from_no_other_and_has_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: BotApi
) -> None:
    api.shut(7, BLOCKED)
    child = messaging(tmp_path, api, chat_ids=(7, 8))
    child.hear_until(Ready)
    child.say(BEEP)
    assert api.wait_for_message(1, PATIENCE_S).chat_id == 8
    api.shut(7, None)
    monkeypatch.setattr(FullDisk, "full", False)
    assert api.wait_for_message(2, PATIENCE_S).chat_id == 7
    wait_until_written(tmp_path)
    finish(child)
    assert len(api.messages) == 2
    assert {state for _, state, _ in deliveries(tmp_path)} == {"sent"}


def test_what_waits_for_the_morning_is_not_told_at_night(tmp_path: Path, api: BotApi) -> None:
    later = Alert(
        kind=AlertKind.HEARD,
        text="beep",
        created_at=NOW,
        due_at=NOW + timedelta(hours=8),
        dedupe_key="heard:2",
    )
    child = messaging(tmp_path, api)
    child.hear_until(Ready)
    child.say(later, BEEP)
    assert api.wait_for_message(1, PATIENCE_S).text.startswith("beep (told")
    finish(child)
    assert len(api.messages) == 1


def test_at_the_end_what_has_not_waited_for_long_is_told_too(
    tmp_path: Path, api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no later for it."""
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 3_600.0)
    child = messaging(tmp_path, api)
    child.hear_until(Ready)
    child.say(BEEP)
    finish(child)
    assert [message.text.startswith("beep (told") for message in api.messages] == [True]


class Dawdling(ConsoleChannel):
    """Takes longer over the first message than over the others."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._pauses_s = iter((0.5,))

    async def send(self, message: Outgoing) -> None:
        await asyncio.sleep(next(self._pauses_s, 0.0))
        self.told.append(message.alert.dedupe_key)


def holding(
    keys: Sequence[str], database: Database, channel: Dawdling, noted: Callable[[str], None]
) -> Unwritten:
    """A beep for each key, which a full disk does not take."""
    unwritten = Unwritten(
        FullDisk(database),
        [channel],
        clock=SystemClock(),
        room="",
        zone=None,
        noted=noted,
        written=lambda: None,
    )
    for key in keys:
        unwritten.write(msgspec.structs.replace(BEEP, dedupe_key=key), [channel.name])
    return unwritten


@pytest.mark.asyncio
@pytest.mark.usefixtures("api")
async def test_none_overtakes_another_on_its_way_to_a_channel(tmp_path: Path) -> None:
    channel = Dawdling()
    noted: asyncio.Queue[str] = asyncio.Queue()
    keys = ["heard:1", "heard:2", "heard:3"]
    with closing(Database(tmp_path)) as database:
        _kept = holding(keys, database, channel, noted.put_nowait)  # as its task is
        async with asyncio.timeout(PATIENCE_S):
            assert {await noted.get() for _ in keys} == set(keys)
    assert channel.told == keys


class Hanging(Dawdling):
    """Takes the message when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_take = asyncio.Event(), asyncio.Event()

    async def send(self, message: Outgoing) -> None:
        self.asked.set()
        await self.may_take.wait()


@pytest.mark.asyncio
@pytest.mark.usefixtures("api")
async def test_what_is_on_its_way_when_there_is_room_is_not_written_as_still_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel would be sent it a second time."""
    channel = Hanging()
    with closing(Database(tmp_path)) as database:
        outbox = Outbox(database)
        unwritten = holding(["heard:1"], database, channel, lambda _key: None)
        async with asyncio.timeout(PATIENCE_S):
            await channel.asked.wait()
            monkeypatch.setattr(FullDisk, "full", False)
            unwritten.write_all()
            assert pending_by_channel(database) == {}
            assert unwritten.has_in_hand("heard:1", channel.name)
            channel.may_take.set()
            while outbox.alert(1) is None:
                await asyncio.sleep(0.01)
        assert pending_by_channel(database) == {}


@pytest.mark.asyncio
@pytest.mark.usefixtures("api")
async def test_what_waits_is_written_a_moment_at_a_time_and_not_told_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand notes on a slow disk would keep the channels waiting for minutes."""
    monkeypatch.setattr(beepwatch.daemon.unwritten, "AT_ONCE_S", 0.0)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 0.0)
    channel = Dawdling()
    noted: list[str] = []
    keys = ["heard:1", "heard:2", "heard:3"]
    with closing(Database(tmp_path)) as database:
        unwritten = holding(keys, database, channel, noted.append)
        monkeypatch.setattr(FullDisk, "full", False)
        assert [(unwritten.write_all(), len(noted))] == [(True, 1)]
        async with asyncio.timeout(PATIENCE_S):
            while noted != keys:
                await asyncio.sleep(0.01)
        assert pending_by_channel(database) == {channel.name: 3}
    assert channel.told == []
