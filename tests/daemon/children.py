"""Children that play a part for the supervisor, each in a real process.

What they do stands in a journal that all of them append to, one line each.
"""

import os
import subprocess
import threading
from multiprocessing.connection import Connection

from beepwatch.clock import SystemClock
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.messages import (
    Alert,
    AlertKind,
    Done,
    Ended,
    Failed,
    Fault,
    FaultKind,
    Finished,
    Heartbeat,
    Listening,
    Noted,
    Poke,
    Quiet,
    Ready,
    Window,
)
from tests.daemon import inquirers
from tests.daemon.parts import LOOK_S, NOON, Part, messages, window

LAST_WORDS = 20


def main(connection: Connection, part: Part) -> None:
    """Play the part until told to finish."""
    link = Link(connection, SystemClock())
    part.say(f"{part.plays} began {os.getpid()}")
    try:
        PLAYS[part.plays](link, part)
    except SupervisorGone:
        part.say(f"{part.plays} was left alone")
        return
    part.say(f"{part.plays} ended")


def _recorder(link: Link, part: Part) -> None:
    link.send(Listening(source="test", rate_hz=16_000, channels=1))
    for sequence in range(part.windows):
        link.send(window(sequence))
    part.say("recorder sent all")
    for _ in messages(link):
        if part.sees("end"):
            link.send(Ended(source="test"))
            return
    part.say("recorder was told to finish")


def _hasty_recorder(link: Link, part: Part) -> None:
    """Gone as soon as its last words lie in the connection."""
    link.send(Listening(source="test", rate_hz=16_000, channels=1))
    for sequence in range(part.windows):
        link.send(window(sequence))
    link.send(Ended(source="test"))


def _faulty_recorder(link: Link, part: Part) -> None:
    for cleared in (False, True):
        for kind in (FaultKind.NO_DEVICE, FaultKind.CLIPPING):
            link.send(Fault(kind=kind, text=f"{kind} {cleared}", since=NOON, cleared=cleared))
    _recorder(link, part)


def _classifier(link: Link, part: Part) -> None:
    link.send(Ready())
    for message in messages(link):
        if isinstance(message, Window | Quiet):
            part.say(f"took {message.sequence}")
            link.send(Done(stream_id=message.stream_id, sequence=message.sequence))
            link.send(Poke())
    part.say("classifier was told to finish")
    link.send(Finished())


def _waiting_classifier(link: Link, part: Part) -> None:
    """Takes windows from the moment that the test says so."""
    while not part.sees("go"):
        link.beat()
        threading.Event().wait(LOOK_S)
    _classifier(link, part)


def _holding_classifier(link: Link, part: Part) -> None:
    """In its first life, keeps window 2 for ever, but lives."""
    link.send(Ready())
    for message in messages(link):
        if isinstance(message, Window | Quiet):
            if message.sequence == 2 and not part.sees("held"):
                (part.directory / "held").touch()
                part.say("holds 2")
                for _ in messages(link):
                    pass
            part.say(f"took {message.sequence}")
            link.send(Done(stream_id=message.stream_id, sequence=message.sequence))


def _hanging_classifier(link: Link, part: Part) -> None:
    """In its first life, says that it is there and nothing more."""
    if part.sees("hung"):
        _classifier(link, part)
        return
    (part.directory / "hung").touch()
    link.send(Ready())
    threading.Event().wait()


def _stuck_classifier(link: Link, _part: Part) -> None:
    """In every life, says that it is there and nothing more."""
    link.send(Ready())
    threading.Event().wait()


def _dying_classifier(link: Link, part: Part) -> None:
    """Dies at once until the test says that it is well."""
    if not part.sees("well"):
        raise RuntimeError("I do not feel well")
    _classifier(link, part)


def _frail_classifier(link: Link, part: Part) -> None:
    """Dies after its first window, and then at once until the test says that it is well."""
    if not part.sees("died"):
        (part.directory / "died").touch()
        link.send(Ready())
        for message in messages(link):
            if isinstance(message, Window | Quiet):
                part.say(f"took {message.sequence}")
                link.send(Done(stream_id=message.stream_id, sequence=message.sequence))
                break
    _dying_classifier(link, part)


def _failing_classifier(link: Link, _part: Part) -> None:
    link.send(Failed(text="there is no model", exit_code=3))


def _babbling_classifier(link: Link, part: Part) -> None:
    """In its first life, sends what is no message, and goes on."""
    if part.sees("babbled"):
        _classifier(link, part)
        return
    (part.directory / "babbled").touch()
    os.write(link.fileno(), b"\x00\x00\x00\x01\xff")
    threading.Event().wait()


def _stammering_recorder(link: Link, _part: Part) -> None:
    """Begins a message of a hundred bytes, and stops in it."""
    os.write(link.fileno(), b"\x00\x00\x00\x64\xff")
    threading.Event().wait()


def _messenger(link: Link, part: Part) -> None:
    link.send(Ready())
    for message in messages(link):
        if isinstance(message, Alert):
            part.say(f"{message.kind}: {message.text}")
            link.send(Noted(dedupe_key=message.dedupe_key))
        elif isinstance(message, Poke):
            part.say("poked")
    part.say("messenger was told to finish")
    link.send(Finished())


def _forgetful_messenger(link: Link, part: Part) -> None:
    """In its first life, takes a letter and keeps it to itself."""
    if part.sees("forgot"):
        _messenger(link, part)
        return
    (part.directory / "forgot").touch()
    link.send(Ready())
    for message in messages(link):
        if isinstance(message, Alert):
            part.say("has a letter")


def _mortal_messenger(link: Link, part: Part) -> None:
    """Dies when it is told to finish, with what it was given last in its hands."""
    link.send(Ready())
    given: list[Alert] = []
    for message in messages(link):
        if isinstance(message, Alert):
            part.say(f"{message.kind}: {message.text}")
            given.append(message)
            link.send(Noted(dedupe_key=given[0].dedupe_key))
    os._exit(1)


def _last_words_classifier(link: Link, part: Part) -> None:
    """Has alerts at its end that it could not write, and is gone as soon as they are sent."""
    link.send(Ready())
    for _ in messages(link):
        pass
    for number in range(LAST_WORDS):
        text = f"last {number}"
        link.send(
            Alert(kind=AlertKind.HEARD, text=text, created_at=NOON, due_at=NOON, dedupe_key=text)
        )
    link.send(Finished())
    os._exit(0)


def _waiting_recorder(link: Link, part: Part) -> None:
    """Lives, and has no microphone until the test gives it one."""
    while not part.sees("microphone"):
        link.beat()
        threading.Event().wait(LOOK_S)
    _recorder(link, part)


def _stubborn_messenger(link: Link, part: Part) -> None:
    """Hears that it is to finish, and does not."""
    _messenger(link, part)
    while True:
        link.send(Heartbeat())
        threading.Event().wait(LOOK_S)


def _deaf(_link: Link, _part: Part) -> None:
    """Listens to nobody."""
    threading.Event().wait()


def _deaf_parent(link: Link, part: Part) -> None:
    """And what it has started goes on for minutes."""
    part.say(f"started {subprocess.Popen(['sleep', '300']).pid}")
    _deaf(link, part)


PLAYS = {
    **inquirers.PLAYS,
    "deaf": _deaf,
    "deaf_parent": _deaf_parent,
    "recorder": _recorder,
    "hasty_recorder": _hasty_recorder,
    "faulty_recorder": _faulty_recorder,
    "stammering_recorder": _stammering_recorder,
    "classifier": _classifier,
    "waiting_classifier": _waiting_classifier,
    "holding_classifier": _holding_classifier,
    "hanging_classifier": _hanging_classifier,
    "stuck_classifier": _stuck_classifier,
    "dying_classifier": _dying_classifier,
    "frail_classifier": _frail_classifier,
    "failing_classifier": _failing_classifier,
    "babbling_classifier": _babbling_classifier,
    "messenger": _messenger,
    "forgetful_messenger": _forgetful_messenger,
    "mortal_messenger": _mortal_messenger,
    "last_words_classifier": _last_words_classifier,
    "waiting_recorder": _waiting_recorder,
    "stubborn_messenger": _stubborn_messenger,
}
