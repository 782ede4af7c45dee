"""What the supervisor tells is kept until it is in the outbox."""

import os
import signal
from pathlib import Path

from structlog.testing import capture_logs

from beepwatch.clock import ManualClock
from beepwatch.daemon.letters import KEPT, Letters
from beepwatch.messages import AlertKind, Noted
from tests.daemon.children import NOON
from tests.daemon.stage import Stage


class Reader:
    """A messenger that may be away."""

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
