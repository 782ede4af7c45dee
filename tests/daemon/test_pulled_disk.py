"""A disk that answers everything with EIO while children of the daemon have their store on it."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import beepwatch.daemon.classifier
import beepwatch.daemon.footing
import beepwatch.daemon.unwritten
import beepwatch.daemon.writing
from beepwatch.classify.shelf import Shelf
from beepwatch.clock import SystemClock
from beepwatch.daemon.memo import Memo, open_memo
from beepwatch.daemon.messenger import Messenger
from beepwatch.daemon.recollection import LanesOutbox
from beepwatch.daemon.unwritten import WITHOUT_STORE
from beepwatch.daemon.watching import MachinesThere, ShelfWatch
from beepwatch.messages import (
    Alert,
    AlertKind,
    Delivery,
    Done,
    Fault,
    Finish,
    Finished,
    Poke,
    Quiet,
    Ready,
    Window,
)
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from tests.bot_api import BAD_GATEWAY, BotApi
from tests.classify.pitched import pitched
from tests.daemon.conversation import Conversation, messaging, recording
from tests.daemon.stage import PATIENCE_S
from tests.daemon.test_classifier import classifying
from tests.small_disk import BrokenDisk, broken_disk

NOW = SystemClock().utc()
BEEP = Alert(kind=AlertKind.HEARD, text="beep", created_at=NOW, due_at=NOW, dedupe_key="heard:1")
BOOP = msgspec.structs.replace(BEEP, text="boop", dedupe_key="heard:2")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BrokenDisk]:
    with broken_disk(tmp_path) as one:
        Database(one.path / "state").close()
        yield one


@pytest.fixture
def state(disk: BrokenDisk) -> Path:
    return disk.path / "state"


@pytest.fixture
def kitchen() -> list[Window | Quiet]:
    """The first 30 s of the demo's recording."""
    heard = recording().hear()
    return [message for message in heard if isinstance(message, Window | Quiet)][:30]


def pending(state: Path) -> list[str]:
    with closing(Database(state)) as database:
        return [one.alert.dedupe_key for one in Outbox(database).pending("telegram:7", 100)]


def wait_until(true: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        threading.Event().wait(0.05)


def finish(child: Conversation) -> None:
    child.say(Finish(within_s=20.0))
    assert [type(message) for message in child.hear()][-1] is Finished


def test_what_waits_for_the_network_is_told_though_it_cannot_be_read_any_more(
    disk: BrokenDisk, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not again when the disk is there again."""
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 0.2)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "STORE_AGAIN_S", 0.05)
    read = threading.Event()

    def pending_now(outbox: LanesOutbox, channel: str, at_most: int) -> list[Delivery]:
        found = read_now(outbox, channel, at_most)
        if len(found) == 2:
            read.set()
        return found

    read_now = LanesOutbox.pending
    monkeypatch.setattr(LanesOutbox, "pending", pending_now)
    with BotApi() as api, closing(messaging(state, api)) as child:
        api.always("sendMessage", BAD_GATEWAY)
        child.hear_until(Ready)
        child.say(BEEP, BOOP)
        assert read.wait(PATIENCE_S)
        disk.pull()
        api.always("sendMessage", None)
        api.wait_for_message(2, PATIENCE_S)
        disk.put_back()
        wait_until(lambda: not pending(state), "nothing to be pending")
        finish(child)
    told = [one.text for one in api.messages]
    assert sorted(text[:4] for text in told) == ["beep", "boop"]
    assert any(WITHOUT_STORE in text for text in told)


@pytest.fixture
def descriptor() -> Iterator[int]:
    one = open_memo()
    yield one
    os.close(one)


def test_what_a_life_knew_to_be_untold_the_next_tells_though_nobody_can_read_it_any_more(
    disk: BrokenDisk, state: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the messenger dies after its disk; and not a third life once more."""
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 0.2)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "STORE_AGAIN_S", 0.05)
    with BotApi() as api:
        api.always("sendMessage", BAD_GATEWAY)
        child = messaging(state, api, memo=descriptor)
        child.hear_until(Ready)
        child.say(BEEP, BOOP)
        wait_until(lambda: len(Memo(descriptor).untold) == 2, "a memo of both")
        disk.pull()
        assert child.close()
        api.always("sendMessage", None)
        with closing(messaging(state, api, memo=descriptor)) as child:
            api.wait_for_message(2, PATIENCE_S)
            wait_until(lambda: not Memo(descriptor).untold, "a memo of neither")
        with closing(messaging(state, api, memo=descriptor)) as child:
            child.hear_until(Ready)
            finish(child)
    assert sorted(one.text[:4] for one in api.messages) == ["beep", "boop"]
    assert all(WITHOUT_STORE in one.text for one in api.messages)


def test_what_was_just_written_the_next_life_would_tell(
    disk: BrokenDisk, state: Path, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the messenger hears of it; not with its next heartbeat, since the disk may go."""
    monkeypatch.setattr(Messenger, "_beat", lambda self: self._link.beat())
    with BotApi() as api, closing(messaging(state, api, memo=descriptor)) as child:
        api.always("sendMessage", BAD_GATEWAY)
        child.hear_until(Ready)
        with closing(Database(state)) as database:
            Outbox(database).write(alert=BEEP, channels=["telegram:7"])
        child.say(Poke())
        wait_until(lambda: len(Memo(descriptor).untold) == 1, "a memo of it")


@pytest.mark.parametrize("before", [True, False])
def test_what_has_just_come_is_told_at_the_end_since_there_is_no_later(
    before: bool, disk: BrokenDisk, state: Path
) -> None:
    """The messenger had its store before the disk was pulled, or never."""
    if not before:
        disk.pull()
    with BotApi() as api, closing(messaging(state, api)) as child:
        child.hear_until(Ready)
        if before:
            disk.pull()
        child.say(BEEP)
        finish(child)
    assert [WITHOUT_STORE in one.text for one in api.messages] == [True]


def test_a_classifier_that_cannot_have_its_store_hears_and_hands_over_until_it_can(
    disk: BrokenDisk, state: Path, kitchen: list[Window | Quiet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next life hears again what is not written."""
    monkeypatch.setattr(beepwatch.daemon.writing, "HAND_OVER_S", 0.0)
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.footing, "TRY_AGAIN_S", 0.05)
    disk.pull()
    child = classifying(state)
    first = child.hear_until(Ready)
    child.say(*kitchen)
    first += child.hear_until(Alert)
    disk.put_back()
    first += child.hear()
    assert isinstance(first[-1], Finished)
    assert [one.cleared for one in first if isinstance(one, Fault)] == [False, True]
    assert not any(one.at_rest for one in first if isinstance(one, Done) and one.sequence > 20)
    child = classifying(state)
    child.hear_until(Ready)
    child.say(*kitchen)
    child.hear_until(Poke)
    finish(child)
    handed = next(one.dedupe_key for one in first if isinstance(one, Alert))
    with closing(Database(state)) as database:
        written = Outbox(database).pending("console", 100)
    assert handed in [one.alert.dedupe_key for one in written]


def test_what_was_taught_is_not_taken_for_taken_away(disk: BrokenDisk, state: Path) -> None:
    Shelf(state).put(pitched("panel", 4_870.0), NOW)
    watch, there = ShelfWatch(Shelf(state)), MachinesThere(state)
    disk.pull()
    assert not watch.changed(10.0)
    assert not there.look(10.0)
    disk.put_back()
    assert not watch.changed(20.0)
    Shelf(state).remove("panel")
    assert watch.changed(30.0)


def test_where_the_disk_was_mounted_an_empty_directory_may_be_left(tmp_path: Path) -> None:
    state = tmp_path / "state"
    Shelf(state).put(pitched("panel", 4_870.0), NOW)
    watch = ShelfWatch(Shelf(state))
    state.rename(tmp_path / "pulled")
    state.mkdir()
    assert not watch.changed(10.0)
    state.rmdir()
    assert not watch.changed(20.0)
    (tmp_path / "pulled").rename(state)
    assert not watch.changed(30.0)
