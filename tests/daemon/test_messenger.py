"""The messenger's main, spoken to over its connection as the supervisor does."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from multiprocessing import Pipe
from pathlib import Path

import pytest

import beepwatch.daemon
import beepwatch.daemon.chores
import beepwatch.daemon.classifier
import beepwatch.daemon.messenger
import beepwatch.daemon.storeless
import beepwatch.daemon.unwritten
import beepwatch.notify.dispatcher
from beepwatch.clock import SystemClock
from beepwatch.daemon import messenger
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.daemon.storeless import Storeless
from beepwatch.messages import (
    Alert,
    AlertKind,
    Condition,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Heartbeat,
    Inquiry,
    Noted,
    Poke,
    Ready,
    Verdict,
)
from beepwatch.sections import Notify, Store
from beepwatch.store.corrections import Corrections
from beepwatch.store.database import Database
from beepwatch.store.library import Library, Tidied
from beepwatch.store.outbox import Outbox
from tests.bot_api import BLOCKED, BotApi
from tests.daemon.conversation import QUIET_LOGS, FullDisk, messaging, without_beats
from tests.daemon.stage import PATIENCE_S
from tests.notify.laundry import SHORT_WAITS, notice
from tests.store.messages_of_a_day import beep, sound
from tests.store.pending import pending_by_channel


def test_the_messenger_writes_notices_and_tells_them_and_finishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = messaging(tmp_path)
    child.hear_until(Ready)
    now = SystemClock().utc()
    notice = Alert(
        kind=AlertKind.STARTED, text="it listens", created_at=now, due_at=now, dedupe_key="s"
    )
    child.say(notice, notice, Poke(), Finish(within_s=20.0), Finish(within_s=20.0))
    heard = list(child.hear())
    assert isinstance(heard[-1], Finished)
    assert capsys.readouterr().out.count("it listens") == 1


def test_the_messenger_tells_a_chat(tmp_path: Path) -> None:
    with BotApi() as api:
        child = messaging(tmp_path, api)
        child.hear_until(Ready)
        now = SystemClock().utc()
        child.say(
            Alert(kind=AlertKind.STARTED, text="hear", created_at=now, due_at=now, dedupe_key="s")
        )
        posted = api.wait_for_message()
        child.say(Finish(within_s=20.0))
        assert [type(message) for message in child.hear()][-1] is Finished
    assert posted.chat_id == 7
    assert "hear" in posted.text


def test_a_chat_that_is_shut_is_told_to_the_other_chat_and_to_the_supervisor(
    tmp_path: Path,
) -> None:
    with BotApi() as api:
        api.shut(7, BLOCKED)
        child = messaging(tmp_path, api, chat_ids=(7, 8))
        child.hear_until(Ready)
        now = SystemClock().utc()
        child.say(
            Alert(kind=AlertKind.STARTED, text="hear", created_at=now, due_at=now, dedupe_key="s")
        )
        (*_, fault) = child.hear_until(Fault)
        posted = [api.wait_for_message(count, PATIENCE_S) for count in (1, 2)]
        child.say(Finish(within_s=20.0))
        assert [type(message) for message in child.hear()][-1] is Finished
    assert [one.chat_id for one in posted] == [8, 8]
    assert "hear" in posted[0].text
    assert "chat 7 does not let the bot write" in posted[1].text
    assert isinstance(fault, Fault)
    assert fault.text in posted[1].text


def test_a_chat_that_is_shut_another_time_is_told_of_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.notify.dispatcher, "Waits", lambda: SHORT_WAITS)
    with BotApi() as api:
        child = messaging(tmp_path, api, chat_ids=(7, 8))
        child.hear_until(Ready)
        for key in ("first", "second"):
            api.shut(7, BLOCKED)
            child.say(notice(key, SystemClock().utc()))
            for cleared in (False, True):
                (*_, fault) = child.hear_until(Fault)
                assert isinstance(fault, Fault)
                assert fault.cleared is cleared
                api.shut(7, None)
        child.say(Finish(within_s=20.0))
        assert [type(message) for message in child.hear()][-1] is Finished
        texts = [one.text for one in api.messages if one.chat_id == 8]
    assert sum("does not let the bot write" in text for text in texts) == 2


def test_the_messengers_chat_is_answered_and_no_other(tmp_path: Path) -> None:
    with BotApi() as api:
        api.write_to_bot(666, "/status")
        api.write_to_bot(7, "/status")
        child = messaging(tmp_path, api)
        (*_, asked) = child.hear_until(Inquiry)
        assert isinstance(asked, Inquiry)
        child.say(Condition(number=asked.number, up_s=60.0))
        posted = api.wait_for_message(1, PATIENCE_S)
        api.wait_for("getUpdates", 2, PATIENCE_S)  # so the first one is dealt with
        child.say(Finish(within_s=20.0))
        (*_, counts, finished) = child.hear()
    assert isinstance(finished, Finished)
    assert isinstance(counts, Heartbeat)
    assert (counts.counts["answered"], counts.counts["strangers"]) == (1, 1)
    assert posted.chat_id == 7
    assert "nothing heard yet\nno alerts still to be told" in posted.text
    assert len(api.messages) == 1


def test_without_a_store_what_comes_is_told_from_memory_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is gone when the messenger has died: told once, and when it is there again."""
    monkeypatch.setattr(beepwatch.daemon.unwritten, "TELL_ANYWAY_S", 0.1)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.storeless, "TRY_FIRST_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.storeless, "TRY_AGAIN_S", 0.5)
    state = tmp_path / "state"
    state.write_text("a file")
    with BotApi() as api:
        child = messaging(state, api)
        child.hear_until(Ready)
        now = SystemClock().utc()
        child.say(
            Alert(kind=AlertKind.HEARD, text="beep", created_at=now, due_at=now, dedupe_key="b")
        )
        heard = child.hear_until(Noted)
        state.unlink()
        heard += child.hear()
        (posted,) = api.messages
        child = messaging(state, api)  # as the supervisor starts it again
        child.hear_until(Ready)
        child.say(Finish(within_s=20.0))
        assert [type(message) for message in child.hear()][-1] is Finished
    assert posted.text.startswith("beep (told without the store, which cannot be written; it may")
    assert [type(one) for one in without_beats(heard)][-1] is Finished
    faults = [one for one in heard if isinstance(one, Fault)]
    assert [one.cleared for one in faults] == [False, True]
    assert str(state) in faults[0].text


def test_a_bug_in_opening_the_store_is_not_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.storeless, "TRY_FIRST_S", 0.05)
    monkeypatch.setattr(beepwatch.daemon.chores, "AGAIN_FIRST_S", 0.05)
    state = tmp_path / "state"
    state.write_text("a file")
    really, tried = Storeless._open, iter([True])

    def with_a_bug(self: Storeless) -> bool:
        if next(tried, False):
            state.unlink()
            raise ValueError("a bug")
        return really(self)

    monkeypatch.setattr(Storeless, "_open", with_a_bug)
    child = messaging(state)
    child.hear_until(Ready)
    assert [type(message) for message in child.hear()][-1] is Finished


def test_without_a_store_the_messenger_ends_when_it_is_told_to_and_when_nobody_listens(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").write_text("a file")
    child = messaging(tmp_path / "state")
    child.hear_until(Ready)
    child.say(Poke(), Finish(within_s=5.0))
    assert [type(message) for message in child.hear()][-1] is Finished
    child = messaging(tmp_path / "state")
    child.hear_until(Ready)
    assert child.close()


def test_that_there_was_no_store_is_called_over_by_the_life_that_has_one(tmp_path: Path) -> None:
    """The one that had told of it was killed."""
    since = SystemClock().utc()
    known = Fault(kind=FaultKind.DISK_FULL, text="it cannot be used", since=since)
    child = messaging(tmp_path, faults=(known,))
    (*_, over) = child.hear_until(Fault)
    assert isinstance(over, Fault)
    assert (over.cleared, over.since) == (True, since)
    assert child.close()


def test_a_clip_that_the_disk_refuses_to_look_at_does_not_end_the_tidying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or clips would fill the disk from then on."""
    monkeypatch.setattr(beepwatch.daemon.messenger, "LOOK_FOR_ROOM_S", 0.05)
    database = Database(tmp_path)
    written = Outbox(database).write(event=beep(), clip=sound())
    assert written.event_id is not None
    clip = Library(database).keep(written.event_id, 1, b"mp3", ".mp3")
    database.close()
    day, aside = clip.parent, tmp_path / "aside"
    day.rename(aside)
    day.write_text("a file where the clip's folder was: ENOTDIR, as a bad sector is EIO")
    tidied: list[None] = []
    tidy = Library.tidy

    def counted(library: Library, now: datetime, **limits: float) -> Tidied:
        tidied.append(None)
        return tidy(library, now, **limits)

    monkeypatch.setattr(Library, "tidy", counted)
    child = messaging(tmp_path)
    try:
        child.hear_until(Ready)
        wait_until(lambda: len(tidied) > 1)
        day.unlink()
        aside.rename(day)
        wait_until(lambda: not clip.exists())
    finally:
        assert child.close()


def test_a_judged_clip_that_cannot_be_kept_apart_does_not_end_the_tidying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk that has no hard links it needs the room that only tidying makes."""
    monkeypatch.setattr(beepwatch.daemon.messenger, "LOOK_FOR_ROOM_S", 0.05)
    with closing(Database(tmp_path)) as database:
        written = Outbox(database).write(event=beep(final=True), clip=sound())
        assert written.event_id is not None
        clip = Library(database).keep(written.event_id, 1, b"mp3", ".mp3")
        Corrections(database).judge(written.event_id, Verdict.WRONG, 7, beep().onset)
    (tmp_path / "feedback").write_text("a file where the folder should be")
    child = messaging(tmp_path)
    try:
        wait_until(lambda: not clip.exists())
    finally:
        assert child.close()


def test_a_bug_in_one_chore_holds_up_no_other_and_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or clips, or what waits for a channel that is gone, would fill the disk from then on."""
    monkeypatch.setattr(beepwatch.daemon.messenger, "LOOK_FOR_ROOM_S", 0.05)
    asked: list[str] = []

    def fail(what: str) -> Callable[..., None]:
        def failing(*_: object, **__: object) -> None:
            asked.append(what)
            raise ValueError(f"a bug in {what}")

        return failing

    monkeypatch.setattr(Corrections, "keep_clips", fail("keep_clips"))
    monkeypatch.setattr(Library, "tidy", fail("tidy"))
    now = SystemClock().utc()
    with closing(Database(tmp_path)) as database:
        outbox = Outbox(database)
        outbox.write(alert=notice("old", now - timedelta(days=31)), channels=["telegram:9"])
        child = messaging(tmp_path)
        try:
            child.hear_until(Ready)
            wait_until(lambda: not pending_by_channel(database))
            wait_until(lambda: min(map(asked.count, ("keep_clips", "tidy"))) > 1)
            child.say(notice("new", now), Finish(within_s=20.0))
            (*_, counts, finished) = child.hear()
        finally:
            assert child.close()
    assert isinstance(finished, Finished)
    assert isinstance(counts, Heartbeat)
    assert counts.counts["chore_bugs"] >= 3  # the fourth may be on its way
    assert "beepwatch is listening" in capsys.readouterr().out


def wait_until(true: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_s
        threading.Event().wait(0.02)


def test_what_waits_for_a_chat_that_is_gone_waits_a_month_for_its_return(tmp_path: Path) -> None:
    now = SystemClock().utc()
    with closing(Database(tmp_path)) as database:
        outbox = Outbox(database)
        for key, days in (("old", 31), ("young", 29)):
            outbox.write(alert=notice(key, now - timedelta(days=days)), channels=["telegram:9"])
        child = messaging(tmp_path)
        child.hear_until(Ready)
        give_up_s = time.monotonic() + PATIENCE_S
        while pending_by_channel(database) == {"telegram:9": 2}:
            assert time.monotonic() < give_up_s
            threading.Event().wait(0.02)
        (waiting,) = outbox.pending("telegram:9", 9)
        child.say(Finish(within_s=20.0))
        assert [type(message) for message in child.hear()][-1] is Finished
    assert waiting.alert.dedupe_key == "young"


def test_a_damaged_store_ends_the_messenger(tmp_path: Path) -> None:
    """The next start of the daemon puts it aside; no life of a child could."""
    (tmp_path / "beepwatch.db").write_text("no database, and long enough to be none" * 50)
    settings = MessengerSettings(
        notify=Notify(),
        store=Store(directory=str(tmp_path)),
        token=None,
        channels=("console",),
        logs=QUIET_LOGS,
    )
    ours, theirs = Pipe()
    with pytest.raises(SystemExit) as caught:
        messenger.main(theirs, settings)
    assert caught.value.code == 1
    ours.close()
    theirs.close()


def test_the_messenger_ends_when_nobody_listens(tmp_path: Path) -> None:
    child = messaging(tmp_path)
    child.hear_until(Ready)
    assert child.close()


def test_a_notice_that_cannot_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beepwatch.daemon.messenger, "Outbox", FullDisk)
    monkeypatch.setattr(beepwatch.daemon.unwritten, "STORE_AGAIN_S", 0.05)
    monkeypatch.setattr(FullDisk, "full", True)
    child = messaging(tmp_path)
    child.hear_until(Ready)
    now = SystemClock().utc()
    for text in ("first", "second"):
        child.say(
            Alert(kind=AlertKind.FAULT, text=text, created_at=now, due_at=now, dedupe_key=text)
        )
    threading.Event().wait(0.3)
    monkeypatch.setattr(FullDisk, "full", False)
    printed = ""
    for _ in range(400):
        printed += capsys.readouterr().out
        if "second" in printed:
            break
        threading.Event().wait(0.05)
    child.say(Finish(within_s=5.0))
    assert [type(message) for message in child.hear()][-1] is Finished
    assert 0 <= printed.index("first") < printed.index("second")
