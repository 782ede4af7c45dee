"""What becomes of windows and alerts while the classifier cannot write what it heard."""

from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

import beepwatch.daemon.footing
import beepwatch.daemon.writing
from beepwatch.clock import SystemClock
from beepwatch.daemon.classifier import Classifier
from beepwatch.daemon.link import Link
from beepwatch.daemon.writing import HAND_OVER_S, NoteWriter
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, AnyMessage, Done, Finish, Finished, Quiet, Ready, Window
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox, Written
from tests.daemon.conversation import Conversation, FullDisk, recording
from tests.daemon.test_classifier import classifying, note, settings_of
from tests.store.pending import pending_by_channel

HEARD = 20  # seconds of the demo's recording, with its first beeps


@pytest.fixture(scope="module")
def kitchen() -> list[Window | Quiet]:
    heard = recording().hear()
    return [message for message in heard if isinstance(message, Window | Quiet)][:HEARD]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beepwatch.daemon.footing, "Outbox", FullDisk)
    monkeypatch.setattr(FullDisk, "full", True)


def answers_to(child: Conversation, spans: list[Window | Quiet]) -> list[AnyMessage]:
    child.hear_until(Ready)
    answers: list[AnyMessage] = []
    for span in spans:
        child.say(span)
        answers += child.hear_until(Done)
    return answers


class Reluctant(Outbox):
    """A disk that has no room the first so many times."""

    refuses = 1_000

    def write(self, **what: object) -> Written:
        if self.refuses:
            Reluctant.refuses -= 1
            raise StoreError("the disk is full. Free some.")
        return super().write(**what)  # type: ignore[arg-type]


class Script(Link):
    """The supervisor's part, said window by window; `log` holds what happened, in order."""

    log: ClassVar[list[str]] = []

    def __init__(self, spans: list[Window | Quiet]) -> None:
        self._left = list(spans)

    def receive(self, wait_s: float) -> AnyMessage | None:
        self.log.append("asked")
        return self._left.pop(0) if self._left else Finish(within_s=0.1)

    def send(self, message: AnyMessage) -> None:
        self.log.append(type(message).__name__)

    def beat(self, counts: dict[str, int] | None = None) -> None:
        """Nobody minds."""


class Noted(Outbox):
    """Its writes are in the log."""

    def write(self, **what: object) -> Written:
        Script.log.append("written")
        return super().write(**what)  # type: ignore[arg-type]


def test_a_window_is_done_with_after_what_it_told_of_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kitchen: list[Window | Quiet]
) -> None:
    """Or a life that dies in between would have heard it, and the next one would not."""
    monkeypatch.setattr(beepwatch.daemon.footing, "Outbox", Noted)
    monkeypatch.setattr(Script, "log", [])
    Classifier(Script(kitchen), settings_of(tmp_path), SystemClock()).run()
    told = Script.log.index("written")
    assert Script.log[told - 1 : told + 4] == ["asked", "written", "Poke", "Done", "asked"]


def test_what_told_of_something_unwritten_may_be_needed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kitchen: list[Window | Quiet], full: None
) -> None:
    def rests(child: Conversation) -> list[bool]:
        answers = answers_to(child, kitchen)
        child.say(Finish(within_s=0.1))
        assert any(isinstance(answer, Finished) for answer in child.hear())
        return [answer.at_rest for answer in answers if isinstance(answer, Done)]

    without_room = rests(classifying(tmp_path / "full"))
    monkeypatch.setattr(FullDisk, "full", False)
    with_room = rests(classifying(tmp_path / "empty"))
    first_beep = with_room.index(False)
    assert any(with_room[first_beep:])
    assert without_room == with_room[:first_beep] + [False] * (HEARD - first_beep)


def test_an_alert_that_cannot_be_written_for_too_long_is_handed_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kitchen: list[Window | Quiet], full: None
) -> None:
    monkeypatch.setattr(beepwatch.daemon.writing, "HAND_OVER_S", 0.0)
    child = classifying(tmp_path)
    answers = answers_to(child, kitchen)
    keys = [one.dedupe_key for one in answers if isinstance(one, Alert)]
    assert keys
    assert len(set(keys)) == len(keys)
    assert child.close()


def test_an_alert_that_cannot_be_written_until_the_end_is_handed_over_then(
    tmp_path: Path, kitchen: list[Window | Quiet], full: None
) -> None:
    child = classifying(tmp_path)
    assert not any(isinstance(one, Alert) for one in answers_to(child, kitchen))
    child.say(Finish(within_s=0.1))
    alert, finished = (one for one in child.hear() if isinstance(one, Alert | Finished))
    assert isinstance(alert, Alert)
    assert isinstance(finished, Finished)


def test_at_the_end_it_is_written_at_the_first_try_that_finds_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kitchen: list[Window | Quiet]
) -> None:
    monkeypatch.setattr(beepwatch.daemon.footing, "Outbox", Reluctant)
    monkeypatch.setattr(Reluctant, "refuses", 1_000)
    child = classifying(tmp_path)
    answers_to(child, kitchen)
    Reluctant.refuses = 3
    child.say(Finish(within_s=60.0))
    assert not any(isinstance(one, Alert) for one in child.hear())
    with closing(Database(tmp_path)) as database:
        outbox = Outbox(database)
        assert pending_by_channel(database) == {"console": 1}
        last = outbox.last_event()
    assert last is not None
    assert last.final


def test_what_cannot_be_written_another_time_is_not_handed_over_at_once(tmp_path: Path) -> None:
    with closing(Database(tmp_path)) as database:
        disk = FullDisk(database)
        writer = NoteWriter(disk, ("console",))
        for number, now_s in ((1, 0.0), (2, 3_600.0)):
            disk.full = True
            with pytest.raises(StoreError):
                writer.write([note(number, final=False)])
            assert writer.overdue(now_s) == []
            (handed_over,) = writer.overdue(now_s + HAND_OVER_S)
            assert handed_over.dedupe_key == f"heard:{number}"
            disk.full = False
            assert writer.write([])
