"""Each child's main, spoken to over its connection as the supervisor does."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

import msgspec
import pytest

import beepwatch.daemon
import beepwatch.daemon.classifier
import beepwatch.daemon.messenger
from beepwatch.classify.bundle import find_bundle
from beepwatch.clock import ManualClock, SystemClock
from beepwatch.config import Capture, Console, Model, Notify, Rule, Store, Telegram
from beepwatch.daemon import classifier, entry, messenger, recorder
from beepwatch.daemon.child import Child
from beepwatch.daemon.classifier import NoteWriter
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.pipeline import Note
from beepwatch.daemon.settings import ClassifierSettings, MessengerSettings, RecorderSettings
from beepwatch.errors import StoreError
from beepwatch.logs import LogSettings
from beepwatch.messages import (
    Alert,
    AlertKind,
    AnyMessage,
    Clip,
    Done,
    Ended,
    Event,
    Failed,
    Fault,
    Finish,
    Finished,
    Heartbeat,
    Listening,
    Poke,
    Quiet,
    Ready,
    Window,
    decode,
    encode,
)
from beepwatch.secrecy import Secret
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox, Written
from tests.bot_api import BotApi
from tests.daemon.loud import START

RECORDING = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
QUIET_LOGS = LogSettings(level="critical")


class Conversation:
    """A child's main in a thread, and the supervisor's end of its connection."""

    def __init__(self, main: Callable[[Connection], None]) -> None:
        self.ours, theirs = Pipe(duplex=True)
        self._theirs = theirs
        self._thread = threading.Thread(target=self._run, args=(main,))
        self._thread.start()

    def _run(self, main: Callable[[Connection], None]) -> None:
        try:
            main(self._theirs)
        finally:
            self._theirs.close()

    def say(self, *messages: AnyMessage) -> None:
        for message in messages:
            self.ours.send_bytes(encode(message))

    def hear(self) -> Iterator[AnyMessage]:
        """All messages until it hangs up."""
        try:
            while True:
                assert self.ours.poll(45), "it says nothing more"
                yield decode(self.ours.recv_bytes())
        except EOFError:
            self.close()

    def hear_until(self, kind: type) -> list[AnyMessage]:
        heard: list[AnyMessage] = []
        for message in self.hear():
            heard.append(message)
            if isinstance(message, kind):
                break
        return heard

    def close(self) -> None:
        """As when the supervisor dies."""
        self.ours.close()
        self._thread.join(45)
        assert not self._thread.is_alive()


def without_beats(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    return [message for message in messages if not isinstance(message, Heartbeat)]


# Link


def test_a_heartbeat_goes_out_when_the_last_one_is_old_enough() -> None:
    ours, theirs = Pipe()
    clock = ManualClock(START)
    link = Link(theirs, clock)
    for after_s in (0.0, 1.0, 1.0, 0.5):
        clock.advance(after_s)
        link.beat({"turns": 1})
    theirs.close()
    beats = [decode(ours.recv_bytes()) for _ in range(2)]
    with pytest.raises(EOFError):
        ours.recv_bytes()
    assert beats == [Heartbeat(counts={"turns": 1})] * 2
    ours.close()


def test_a_child_whose_supervisor_is_gone_learns_of_it_both_ways() -> None:
    ours, theirs = Pipe()
    ours.close()
    link = Link(theirs, SystemClock())
    with pytest.raises(SupervisorGone):
        link.send(Poke())
    with pytest.raises(SupervisorGone):
        link.receive(0.0)
    theirs.close()


def test_bytes_that_are_no_message_are_the_end_of_the_connection() -> None:
    ours, theirs = Pipe()
    ours.send_bytes(b"\xc1")
    with pytest.raises(SupervisorGone):
        Link(theirs, SystemClock()).receive(1.0)
    ours.close()
    theirs.close()


# Recorder


def recording(source: str = f"file:{RECORDING}", speed: float | str = "max") -> Conversation:
    settings = RecorderSettings(
        capture=Capture(source=source),
        rate_hz=16_000,
        speed=speed,  # type: ignore[arg-type]
        logs=QUIET_LOGS,
    )
    return Conversation(lambda connection: recorder.main(connection, settings))


def test_the_recorder_sends_a_recording_whole_and_its_last_counts() -> None:
    heard = list(recording().hear())
    spans = [message for message in heard if isinstance(message, Window | Quiet)]
    assert [span.sequence for span in spans] == list(range(len(spans)))
    assert spans[-1].first_sample + spans[-1].samples >= 96 * 16_000
    assert isinstance(without_beats(heard)[0], Listening)
    assert isinstance(without_beats(heard)[-1], Ended)
    beat = heard[-1]
    assert isinstance(beat, Heartbeat)
    assert beat.counts["windows"] + beat.counts["quiet_windows"] == len(spans)


def test_the_recorder_stops_when_it_is_told_to() -> None:
    child = recording(speed=1.0)
    child.hear_until(Listening)
    child.say(Finish(within_s=1.0))
    assert not [message for message in child.hear() if isinstance(message, Ended)]


def test_the_recorder_ends_when_nobody_listens() -> None:
    child = recording(speed=1.0)
    child.hear_until(Listening)
    child.close()


def test_a_source_that_is_none_is_told_with_its_exit_code() -> None:
    (failed,) = without_beats(recording(source="gramophone").hear())
    assert isinstance(failed, Failed)
    assert failed.exit_code == 2
    assert "'gramophone'" in failed.text


# Classifier


def classifying(directory: Path, bundle: Path | None = None, **more: object) -> Conversation:
    settings = ClassifierSettings(
        bundle=bundle or find_bundle("beep"),
        model=Model(),
        rules=(Rule(label="beep", cooldown_s=5),),
        channels=("console",),
        directory=directory,
        logs=QUIET_LOGS,
        **{"missing_after_s": 0.0, "since_s": SystemClock().mono_s(), "live": False, **more},  # type: ignore[arg-type]
    )
    return Conversation(lambda connection: classifier.main(connection, settings))


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


def test_a_new_life_remembers_when_it_was_last_heard_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started two hours ago, heard a minute ago: nothing is missing for an hour."""
    monkeypatch.setattr(beepwatch.daemon.classifier, "IDLE_S", 0.05)
    database = Database(tmp_path)
    now = SystemClock().utc()
    Outbox(database).write(
        event=event(at=now - timedelta(seconds=60)), alert=alert(at=now), channels=("console",)
    )
    since_s = SystemClock().mono_s() - 7_200
    child = classifying(tmp_path, live=True, missing_after_s=3_600.0, since_s=since_s)
    assert [type(message) for message in without_beats(child.hear_until(Ready))] == [Ready]
    child.hear_until(Heartbeat)
    child.say(Finish(within_s=1.0))
    assert not [message for message in child.hear() if isinstance(message, Poke)]
    database.close()


def test_a_missing_model_is_told_with_its_exit_code(tmp_path: Path) -> None:
    (failed,) = classifying(tmp_path, bundle=tmp_path / "none").hear()
    assert isinstance(failed, Failed)
    assert failed.exit_code == 3


def test_the_classifier_ends_when_nobody_listens(tmp_path: Path) -> None:
    child = classifying(tmp_path)
    child.hear_until(Ready)
    child.close()


class FullDisk(Outbox):
    """An outbox on a disk that may be full."""

    full = False

    def write(self, **what: object) -> Written:
        if self.full:
            raise StoreError("the disk is full. Free some.")
        return super().write(**what)  # type: ignore[arg-type]


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
    writer = NoteWriter(disk, ("console",))
    disk.full = True
    for number in (1, 2):
        with pytest.raises(StoreError):
            writer.write([note(number, final=False), note(number, final=True)])
    assert writer.unwritten == 4
    disk.full = False
    assert writer.write([])
    assert writer.unwritten == 0
    assert not writer.write([])
    told = [disk.events_of(alert_id) for alert_id in (1, 2)]
    assert [[(one.pulses, one.final) for one in events] for events in told] == [[(2, True)]] * 2


def test_of_too_much_that_cannot_be_written_the_oldest_goes(
    disk: FullDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.classifier, "UNWRITTEN_NOTES", 2)
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
    monkeypatch.setattr(beepwatch.daemon.classifier, "Outbox", FullDisk)
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


# Messenger


def messaging(directory: Path, api: BotApi | None = None) -> Conversation:
    """To the console; with a Bot API server, to a chat there instead."""
    notify, channels = Notify(), ("console",)
    if api is not None:
        telegram = Telegram(chat_ids=(7,), base_url=api.base_url)
        notify, channels = (
            Notify(console=Console(enabled=False), telegram=telegram),
            ("telegram:7",),
        )
    settings = MessengerSettings(
        notify=notify,
        store=Store(directory=str(directory), min_free_mb=0),
        token=Secret(api.token) if api else None,
        channels=channels,
        logs=QUIET_LOGS,
    )
    return Conversation(lambda connection: messenger.main(connection, settings))


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


def test_a_store_that_cannot_be_opened_is_logged_and_the_messenger_exits(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    settings = MessengerSettings(
        notify=Notify(),
        store=Store(directory=str(tmp_path / "state")),
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
    child.close()


def test_a_notice_that_cannot_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beepwatch.daemon.messenger, "Outbox", FullDisk)
    monkeypatch.setattr(beepwatch.daemon.messenger, "STORE_AGAIN_S", 0.05)
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


# What holds for every child


def test_a_child_that_crashes_says_so_in_the_log_and_exits_with_1(
    capfd: pytest.CaptureFixture[str],
) -> None:
    child = Child("recorder", "beepwatch.no_such_child", Store())
    child.start(0.0)
    assert child.sentinel is not None
    assert wait([child.sentinel], 30) == [child.sentinel]
    assert child.bury(1.0) == 1
    written = capfd.readouterr()
    assert "process_crashed" in written.out + written.err


def test_settings_arrive_as_they_were_sent_secrets_included(tmp_path: Path) -> None:
    """In `messenger.main` the type is read off the signature."""
    settings = MessengerSettings(
        notify=Notify(room="laundry"),
        store=Store(directory=str(tmp_path)),
        token=Secret("42:abc"),
        channels=("console",),
        logs=LogSettings(secrets=(Secret("42:abc"),)),
    )
    assignment = msgspec.msgpack.decode(
        entry.encode_assignment("beepwatch.daemon.messenger", settings), type=entry.Assignment
    )
    arrived = entry.decode_settings(assignment.settings, MessengerSettings)
    assert arrived.token is not None
    assert arrived.token.reveal() == "42:abc"
    assert arrived.notify == settings.notify
    assert arrived.logs.secrets[0].reveal() == "42:abc"
    assert arrived.channels == ("console",)


def test_what_cannot_travel_to_a_child_is_refused() -> None:
    with pytest.raises(TypeError, match="object does not travel"):
        entry.encode_assignment("beepwatch.daemon.messenger", object())
