"""The classifier's main over its connection, and what it writes when it can and cannot."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import beepwatch.daemon
import beepwatch.daemon.classifier
import beepwatch.daemon.footing
import beepwatch.daemon.messenger
import beepwatch.daemon.writing
from beepwatch.classify.bundle import find_bundle
from beepwatch.clock import SystemClock
from beepwatch.daemon import classifier
from beepwatch.daemon.pipeline import Note
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.daemon.writing import NoteWriter
from beepwatch.errors import StoreError
from beepwatch.messages import (
    Alert,
    AlertKind,
    AnyMessage,
    Clip,
    Done,
    Event,
    Failed,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Heartbeat,
    Poke,
    Quiet,
    Ready,
    Watch,
    Window,
)
from beepwatch.sections import Model, Rule
from beepwatch.store.database import FILE_NAME, Database
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox
from beepwatch.store.wishes import Wishes, absence_key
from tests.daemon.conversation import QUIET_LOGS, Conversation, FullDisk, recording, without_beats
from tests.daemon.loud import START

NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def classifying(directory: Path, bundle: Path | None = None, **more: object) -> Conversation:
    settings = settings_of(directory, bundle, **more)
    return Conversation(lambda connection: classifier.main(connection, settings))


def settings_of(directory: Path, bundle: Path | None = None, **more: object) -> ClassifierSettings:
    return ClassifierSettings(
        bundle=bundle or find_bundle("beep"),
        model=Model(),
        rules=(Rule(label="beep", cooldown_s=5),),
        channels=("console",),
        directory=directory,
        **{  # type: ignore[arg-type]
            "missing_after_s": 0.0,
            "since_s": SystemClock().mono_s(),
            "live": False,
            "logs": QUIET_LOGS,
            **more,
        },
    )


@pytest.fixture
def kitchen() -> list[Window | Quiet]:
    """The first 30 s of the demo's recording."""
    heard = recording().hear()
    return [message for message in heard if isinstance(message, Window | Quiet)][:30]


def test_the_classifier_answers_every_window_and_writes_before_it_pokes(
    tmp_path: Path, kitchen: list[Window | Quiet]
) -> None:
    child = classifying(tmp_path)
    child.hear_until(Ready)
    answers: list[AnyMessage] = []
    for span in kitchen:
        child.say(span)
        answers += child.hear_until(Done)
        if any(isinstance(answer, Poke) for answer in answers):
            break
    database = Database(tmp_path)
    outbox = Outbox(database)
    delivery = outbox.due("console", datetime(2100, 1, 1, tzinfo=UTC))
    assert delivery is not None
    assert delivery.alert.kind is AlertKind.HEARD
    child.say(Finish(within_s=1.0))
    assert any(isinstance(answer, Finished) for answer in child.hear())
    assert [event.final for event in outbox.events_of(delivery.alert.id or 0)] == [True]
    database.close()


def test_the_end_of_the_last_episode_is_written_though_the_database_is_locked_just_then(
    tmp_path: Path, kitchen: list[Window | Quiet], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another program, for longer than SQLite waits."""
    patient = partial(Database, busy_timeout_s=0.1)
    monkeypatch.setattr(beepwatch.daemon.footing, "Database", patient)
    child = classifying(tmp_path)
    child.hear_until(Ready)
    for span in kitchen:
        child.say(span)
        if any(isinstance(answer, Poke) for answer in child.hear_until(Done)):
            break
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        child.say(Finish(within_s=60.0))
        (*_, fault) = child.hear_until(Fault)
    assert isinstance(fault, Fault)
    assert "locked" in fault.text
    assert isinstance(without_beats(child.hear())[-1], Finished)
    with closing(Database(tmp_path)) as database:
        (event,) = Outbox(database).events_of(1)
    assert event.final


def test_a_live_classifier_minds_the_dead_mans_switch_without_any_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    child = classifying(tmp_path, live=True, missing_after_s=0.3)
    child.hear_until(Poke)
    child.close()
    database = Database(tmp_path)
    delivery = Outbox(database).due("console", datetime(2100, 1, 1, tzinfo=UTC))
    assert delivery is not None
    assert delivery.alert.kind is AlertKind.MISSED
    database.close()


def test_a_watch_that_a_chat_wished_for_is_told_of_once_with_its_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    child = classifying(tmp_path, live=True)
    (ready,) = without_beats(child.hear_until(Ready))
    assert isinstance(ready, Ready)
    assert ready.model.startswith("beep ")
    now_s = SystemClock().mono_s()
    child.say(Watch(number=3, since_mono_s=now_s - 9_000, for_s=0))
    child.say(Watch(number=4, since_mono_s=now_s - 9_000, for_s=9_000.1))
    child.hear_until(Poke)
    child.close()
    database = Database(tmp_path)
    (alert,) = [one.alert for one in Outbox(database).tellable("console", NEVER, 9)]
    assert (alert.kind, alert.dedupe_key) == (AlertKind.MISSED, absence_key(4))
    assert alert.text == "nothing heard for 150 min since you asked"
    database.close()


def test_a_watch_from_before_its_life_is_told_of_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    database = Database(tmp_path)
    number = Wishes(database).watch(
        SystemClock().utc() - timedelta(hours=2), 3_600, boot_id=SystemClock().boot_id()
    )
    child = classifying(tmp_path, live=True)
    child.hear_until(Poke)
    child.close()
    (alert,) = [one.alert for one in Outbox(database).tellable("console", NEVER, 9)]
    assert alert.dedupe_key == absence_key(number)
    database.close()


def test_an_absence_that_one_life_has_told_the_next_does_not_tell_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    since_s = SystemClock().mono_s() - 60
    first = classifying(tmp_path, live=True, missing_after_s=30.0, since_s=since_s)
    first.hear_until(Poke)
    first.close()
    second = classifying(tmp_path, live=True, missing_after_s=30.0, since_s=since_s)
    second.hear_until(Ready)
    second.hear_until(Heartbeat)
    second.say(Finish(within_s=1.0))
    assert not [message for message in second.hear() if isinstance(message, Poke)]


def test_a_life_that_makes_room_for_the_next_leaves_open_what_is_open(
    tmp_path: Path, kitchen: list[Window | Quiet]
) -> None:
    """Until the first pulse; the next life hears it again, and the event is one and closed."""
    first = classifying(tmp_path)
    first.hear_until(Ready)
    heard = 0
    told = False
    while not told:
        first.say(kitchen[heard])
        told = any(isinstance(answer, Poke) for answer in first.hear_until(Done))
        heard += 1
    first.say(Finish(within_s=1.0, for_good=False))
    list(first.hear())
    database = Database(tmp_path)
    assert [event.final for event in Memory(database).last_events()] == [False]
    last = classifying(tmp_path)
    last.hear_until(Ready)
    for span in kitchen[max(0, heard - 4) : heard + 7]:
        last.say(span)
        last.hear_until(Done)
    last.say(Finish(within_s=1.0))
    list(last.hear())
    (event,) = Memory(database).last_events()
    assert (event.id, event.final) == (1, True)
    assert event.pulses == 3
    assert Memory(database).open_events() == []
    database.close()


def test_a_new_life_remembers_when_it_was_last_heard_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started two hours ago, heard a minute ago: nothing is missing for an hour."""
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    database = Database(tmp_path)
    now = SystemClock().utc()
    Outbox(database).write(
        event=event(at=now - timedelta(seconds=60), final=True),
        alert=alert(at=now),
        channels=("console",),
    )
    since_s = SystemClock().mono_s() - 7_200
    child = classifying(tmp_path, live=True, missing_after_s=3_600.0, since_s=since_s)
    assert [type(message) for message in without_beats(child.hear_until(Ready))] == [Ready]
    child.hear_until(Heartbeat)
    child.say(Finish(within_s=1.0))
    assert not [message for message in child.hear() if isinstance(message, Poke)]
    database.close()


def test_a_fault_of_the_disk_is_called_over_by_the_next_life_once_it_has_written(
    tmp_path: Path, kitchen: list[Window | Quiet]
) -> None:
    """The life that had told of it is dead, and the disk well again."""
    known = Fault(kind=FaultKind.DISK_FULL, text="the disk is full", since=START)
    child = classifying(tmp_path, faults=(known,))
    child.hear_until(Ready)
    child.say(*kitchen, Finish(within_s=5.0))
    heard = [one for one in child.hear() if isinstance(one, Poke | Fault)]
    assert isinstance(heard[0], Poke)
    (over,) = (one for one in heard if isinstance(one, Fault))
    assert (over.kind, over.cleared, over.since) == (FaultKind.DISK_FULL, True, START)


def test_a_missing_model_is_told_with_its_exit_code(tmp_path: Path) -> None:
    (failed,) = classifying(tmp_path, bundle=tmp_path / "none").hear()
    assert isinstance(failed, Failed)
    assert failed.exit_code == 3


def test_the_classifier_ends_when_nobody_listens(tmp_path: Path) -> None:
    child = classifying(tmp_path)
    child.hear_until(Ready)
    assert child.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FullDisk]:
    database = Database(tmp_path / "state")
    yield FullDisk(database)
    database.close()


def event(*, at: datetime = START, final: bool = False, pulses: int = 1) -> Event:
    return Event(
        label="beep",
        onset=at,
        offset=at + timedelta(seconds=0.4),
        pulses=pulses,
        peak_score=0.9,
        model_id="m",
        final=final,
    )


def alert(*, at: datetime = START, key: str = "heard:1") -> Alert:
    return Alert(kind=AlertKind.HEARD, text="beep", created_at=at, due_at=at, dedupe_key=key)


def note(number: int, *, final: bool, covered: bool = False) -> Note:
    at = START + timedelta(minutes=number)
    return Note(
        event=event(at=at, final=final, pulses=2 if final else 1),
        episode=("beep", at),
        clip=Clip(pcm=bytes(320), rate_hz=16_000, started_at=at),
        alert=None if final else alert(at=at, key=f"heard:{number}"),
        covered=covered,
    )


def test_what_cannot_be_written_is_kept_in_order(disk: FullDisk) -> None:
    """A slow disk takes longer for all of it than a child may be silent."""
    signs: list[None] = []
    writer = NoteWriter(disk, ("console",), alive=lambda: signs.append(None))
    disk.full = True
    for number in (1, 2):
        with pytest.raises(StoreError):
            writer.write([note(number, final=False), note(number, final=True)])
    assert writer.unwritten == 4
    assert signs == []
    disk.full = False
    assert writer.write([])
    assert len(signs) == 4
    assert writer.unwritten == 0
    assert not writer.write([])
    told = [disk.events_of(alert_id) for alert_id in (1, 2)]
    assert [[(one.pulses, one.final) for one in events] for events in told] == [[(2, True)]] * 2


def test_of_too_much_that_cannot_be_written_the_oldest_goes(
    disk: FullDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.writing, "UNWRITTEN_NOTES", 2)
    writer = NoteWriter(disk, ("console",))
    disk.full = True
    with pytest.raises(StoreError):
        writer.write([note(number, final=False) for number in range(4)])
    disk.full = False
    writer.write([])
    onsets = [disk.events_of(alert_id)[0].onset for alert_id in (1, 2)]
    assert onsets == [START + timedelta(minutes=number) for number in (2, 3)]


def test_a_burst_in_the_cooldown_is_told_by_the_alert_before(disk: FullDisk) -> None:
    writer = NoteWriter(disk, ("console",))
    writer.write([note(1, final=False), note(1, final=True)])
    writer.write([note(2, final=True, covered=True), note(3, final=True)])
    assert [one.onset for one in disk.events_of(1)] == [
        START + timedelta(minutes=number) for number in (1, 2)
    ]


def test_a_full_disk_is_a_fault_once_and_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kitchen: list[Window | Quiet]
) -> None:
    monkeypatch.setattr(beepwatch.daemon.footing, "Outbox", FullDisk)
    monkeypatch.setattr(FullDisk, "full", True)
    child = classifying(tmp_path)
    child.hear_until(Ready)
    heard: list[AnyMessage] = []
    for number, span in enumerate(kitchen):
        if number == 28:
            monkeypatch.setattr(FullDisk, "full", False)
        child.say(span)
        heard += child.hear_until(Done)
    child.say(Finish(within_s=1.0))
    heard += child.hear()
    assert [message.cleared for message in heard if isinstance(message, Fault)] == [False, True]
