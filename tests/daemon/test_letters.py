"""What the supervisor tells is kept until it is in the outbox."""

import os
import signal
import socket
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import beepwatch.daemon.child
import beepwatch.daemon.supervisor
from beepwatch.clock import ManualClock
from beepwatch.daemon.child import Child
from beepwatch.daemon.letters import KEPT, Letters
from beepwatch.messages import Alert, AlertKind, Noted, decode
from tests.daemon.children import LAST_WORDS
from tests.daemon.parts import NOON
from tests.daemon.stage import Stage


class Reader:
    """A messenger that may be away."""

    has_room = True

    def __init__(self) -> None:
        self.here = True
        self.read: list[str] = []

    def send(self, alert: object) -> bool:
        if self.here:
            self.read.append(alert.dedupe_key)  # type: ignore[attr-defined] # letters are alerts
        return self.here


def test_an_unanswered_letter_goes_out_again_and_an_answered_one_does_not() -> None:
    letters, reader = Letters(ManualClock(NOON)), Reader()
    for text in ("a", "b"):
        letters.write(AlertKind.FAULT, text)
    letters.post(reader)  # type: ignore[arg-type] # it only sends
    sent = [letters.all_sent]
    first, second = reader.read
    letters.noted(Noted(dedupe_key=first))
    reader.here = False
    letters.take_back()
    letters.post(reader)  # type: ignore[arg-type]
    sent.append(letters.all_sent)
    letters.write(AlertKind.FAULT, "c")
    reader.here = True
    letters.post(reader)  # type: ignore[arg-type]
    assert sent == [True, False]
    assert [key[-2:] for key in reader.read] == [":a", ":b", ":b", ":c"]
    assert reader.read[2] == second


def test_of_too_many_letters_the_oldest_are_lost_and_each_is_said() -> None:
    letters, reader = Letters(ManualClock(NOON)), Reader()
    letters.write(AlertKind.FAULT, "sent and not answered")
    letters.post(reader)  # type: ignore[arg-type]
    reader.here = False
    for number in range(KEPT + 1):
        letters.write(AlertKind.FAULT, str(number))
    with capture_logs() as logs:
        letters.take_back()
        letters.write(AlertKind.FAULT, "last")
    assert [line["text"] for line in logs] == ["sent and not answered", "1"]
    assert {line["event"] for line in logs} == {"letter_dropped"}
    reader.here = True
    letters.post(reader)  # type: ignore[arg-type]
    assert len(reader.read) == 1 + KEPT


def test_a_messenger_that_is_only_starting_gets_as_many_letters_as_it_has_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or nothing would be carried meanwhile, and in the end it would be hung up on."""
    monkeypatch.setattr(beepwatch.daemon.child, "MESSAGE_WITHIN_S", 1)
    ours, theirs = socket.socketpair()
    beepwatch.daemon.child._limit_waits(ours)
    messenger = Child("messenger", "not started", None)
    messenger.connection = Connection(ours.detach())
    letters, read = Letters(ManualClock(NOON)), []
    for number in range(KEPT):
        letters.write(AlertKind.FAULT, f"{number}")
    with closing(Connection(theirs.detach())) as end, closing(messenger.connection):
        while not letters.all_sent:
            letters.post(messenger)
            assert messenger.connection is not None
            while end.poll(0):
                letter = decode(end.recv_bytes())
                assert isinstance(letter, Alert)
                read.append(letter.text)
    assert read == [str(number) for number in range(KEPT)]


def test_a_letter_that_can_be_sent_only_once_is_said() -> None:
    """As to a messenger without a store, whose network is away too."""
    letters, reader = Letters(ManualClock(NOON)), Reader()
    with capture_logs() as logs:
        for number in range(KEPT + 2):
            letters.write(AlertKind.FAULT, str(number))
            letters.post(reader)  # type: ignore[arg-type]
    assert [(line["event"], line["text"]) for line in logs] == [
        ("letter_forgotten", "0"),
        ("letter_forgotten", "1"),
    ]
    letters.take_back()
    letters.post(reader)  # type: ignore[arg-type]
    assert len(reader.read) == KEPT + 2 + KEPT


def test_a_letter_that_a_killed_messenger_had_in_its_hands_is_not_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.play(
        lambda: stage.wait_for("has a letter"),
        lambda: os.kill(stage.pid("forgetful_messenger"), signal.SIGKILL),
        lambda: stage.wait_for("started: "),
        stage.signal,
        messenger="forgetful_messenger",
        notices=True,
    )
    assert stage.count("started: beepwatch is listening to test") == 1


def test_what_the_classifier_says_last_reaches_the_messenger_before_its_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.play(
        lambda: stage.wait_for("last_words_classifier began"),
        lambda: stage.wait_for("messenger began"),
        stage.signal,
        classifier="last_words_classifier",
    )
    told = [line for line in stage.journal if line.startswith("heard: ")]
    assert told == [f"heard: last {number}" for number in range(LAST_WORDS)]


def test_what_a_messenger_that_dies_at_the_end_had_in_its_hands_is_left_over(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    stage.play(
        lambda: stage.wait_for("started: "),
        stage.signal,
        messenger="mortal_messenger",
        notices=True,
    )
    assert stage.count("stopped: ") == 1
    assert stage.supervisor is not None
    assert [alert.text for alert in stage.supervisor.untold] == ["beepwatch has stopped listening"]


def test_what_comes_while_there_is_no_messenger_at_the_end_is_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died so often that its next life would begin after the end."""
    monkeypatch.setattr(beepwatch.daemon.child, "FIRST_BACKOFF_S", 3_600.0)
    monkeypatch.setattr(beepwatch.daemon.child, "LONGEST_BACKOFF_S", 3_600.0)
    monkeypatch.setattr(beepwatch.daemon.child, "KILLED_BACKOFF_S", 3_600.0)
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.2)
    stage = Stage(tmp_path)
    lives = iter((1, 2))

    def kill() -> None:
        os.kill(stage.pid("messenger", next(lives)), signal.SIGKILL)

    stage.play(
        lambda: stage.wait_for("started: "),
        kill,
        lambda: stage.wait_for("messenger began", times=2),
        kill,
        stage.signal,
        notices=True,
    )
    assert stage.count("stopped: ") == 0
    assert stage.supervisor is not None
    assert [alert.text for alert in stage.supervisor.untold] == ["beepwatch has stopped listening"]
