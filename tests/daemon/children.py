"""Children that play a part for the supervisor, each in a real process.

What they do stands in a journal that all of them append to, one line each.
"""

import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from beepwatch.clock import SystemClock
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.messages import (
    Alert,
    AlertKind,
    AnyMessage,
    Condition,
    Done,
    Ended,
    Failed,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Heartbeat,
    Inquiry,
    Listen,
    Listening,
    MachineStanding,
    MachineStandings,
    Noted,
    Piece,
    Poke,
    Quiet,
    Ready,
    Taken,
    Watch,
    Window,
)

LAST_WORDS = 20
LOOK_S = 0.05  # how often a child looks for what it waits for
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a child plays, and where it writes of it."""

    plays: str
    directory: Path
    windows: int = 0
    faults: tuple[Fault, ...] = ()  # a recorder inherits them

    def say(self, line: str) -> None:
        """Append to the journal; one write is one line, whoever else writes."""
        with (self.directory / "journal").open("ab", buffering=0) as journal:
            journal.write(f"{line}\n".encode())

    def sees(self, name: str) -> bool:
        """Whether the test has put a file of this name there."""
        return (self.directory / name).exists()


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


def window(sequence: int) -> Window | Quiet:
    """A window of 16 kB; every fourth one was dropped by the gate."""
    place = {
        "stream_id": "a",
        "sequence": sequence,
        "first_sample": sequence * 8_000,
        "rate_hz": 16_000,
        "started_at": NOON,
        "started_mono_s": float(sequence),
        "level_dbfs": -30.0,
        "lost_samples": 0,
        "source": "test",
    }
    if sequence % 4 == 3:
        return Quiet(samples=8_000, **place)  # type: ignore[arg-type]
    return Window(pcm=bytes(16_000), **place)  # type: ignore[arg-type]


def _messages(link: Link) -> Iterator[AnyMessage | None]:
    """What comes until Finish, and None in between, with a sign of life each time."""
    while True:
        link.send(Heartbeat(counts={"turns": 1}))
        message = link.receive(LOOK_S)
        if isinstance(message, Finish):
            return
        yield message


def _recorder(link: Link, part: Part) -> None:
    link.send(Listening(source="test", rate_hz=16_000, channels=1))
    for sequence in range(part.windows):
        link.send(window(sequence))
    part.say("recorder sent all")
    for _ in _messages(link):
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
    for message in _messages(link):
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
    for message in _messages(link):
        if isinstance(message, Window | Quiet):
            if message.sequence == 2 and not part.sees("held"):
                (part.directory / "held").touch()
                part.say("holds 2")
                for _ in _messages(link):
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
        for message in _messages(link):
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
    for message in _messages(link):
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
    for message in _messages(link):
        if isinstance(message, Alert):
            part.say("has a letter")


def _mortal_messenger(link: Link, part: Part) -> None:
    """Dies when it is told to finish, with what it was given last in its hands."""
    link.send(Ready())
    given: list[Alert] = []
    for message in _messages(link):
        if isinstance(message, Alert):
            part.say(f"{message.kind}: {message.text}")
            given.append(message)
            link.send(Noted(dedupe_key=given[0].dedupe_key))
    os._exit(1)


def _last_words_classifier(link: Link, part: Part) -> None:
    """Has alerts at its end that it could not write, and is gone as soon as they are sent."""
    link.send(Ready())
    for _ in _messages(link):
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


def _asking_messenger(link: Link, part: Part) -> None:
    """Has a question when the test puts one."""
    link.send(Ready())
    asked = _Asked(part)
    for message in _messages(link):
        asked.look(link, {"ask": Inquiry(number=3)})
        asked.look(link, {"watch": Watch(number=1, since_mono_s=0.0, for_s=9_000)})
        match message:
            case Condition():
                level = f"{message.level_dbfs:.0f} dBFS of {message.source}"
                waiting = f"{message.waiting_windows} waiting"
                part.say(f"condition {waiting}, {level}, model {message.model}")
                part.say(f"machines {[machine.name for machine in message.machines]}")
            case Alert():
                link.send(Noted(dedupe_key=message.dedupe_key))
    link.send(Finished())


class _Asked:
    """What was asked already, by the name of the file that asks for it."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._names: set[str] = set()

    def look(self, link: Link, questions: dict[str, AnyMessage]) -> None:
        for name, question in questions.items():
            if name not in self._names and self._part.sees(name):
                self._names.add(name)
                link.send(question)


def _take_piece(link: Link, part: Part, piece: Piece) -> None:
    part.say(f"got {piece.pcm[0]} of {piece.number}")
    link.send(Taken())
    if piece.last:
        part.say("got all")


def _slow_listener(link: Link, part: Part) -> None:
    """Asks for sound, and takes the first piece only when it is told to go on."""
    link.send(Ready())
    link.send(Listen(number=7, length_s=30))
    for message in _messages(link):
        if isinstance(message, Piece):
            while not part.sees("go on"):
                link.send(Heartbeat())
                threading.Event().wait(LOOK_S)
            _take_piece(link, part, message)
    link.send(Finished())


def _dying_listener(link: Link, part: Part) -> None:
    """Asks for sound, and dies over the first piece; asks again in its next life."""
    link.send(Ready())
    second_life = part.sees("died")
    asked = _Asked(part)
    name = "again" if second_life else "listen"
    for message in _messages(link):
        asked.look(link, {name: Listen(number=7 + second_life, length_s=30)})
        if isinstance(message, Piece) and not second_life:
            (part.directory / "died").touch()
            part.say(f"forgets {message.pcm[0]}")
            os._exit(1)
        if isinstance(message, Piece):
            _take_piece(link, part, message)
    link.send(Finished())


def _sounding_recorder(link: Link, part: Part) -> None:
    """Has 30 s of sound at once for whoever asks for it, a window after every fifth piece."""
    link.send(Listening(source="test", rate_hz=16_000, channels=1))
    sent = 0
    for message in _messages(link):
        if isinstance(message, Listen):
            for second in range(30):
                piece = Piece(
                    number=message.number,
                    pcm=bytes([second]) * 32_000,
                    rate_hz=16_000,
                    started_at=NOON,
                    last=second == 29,
                )
                link.send(piece)
                if second % 5 == 4 and sent < part.windows:
                    link.send(window(sent))
                    sent += 1
        if part.sees("end"):
            link.send(Ended(source="test"))
            return


def _watching_classifier(link: Link, part: Part) -> None:
    link.send(Ready(model="m"))
    link.send(MachineStandings(machines=(MachineStanding(name="fan"),)))
    for message in _messages(link):
        if isinstance(message, Watch):
            part.say(f"watches for {message.for_s:.0f} s")
        if isinstance(message, Window | Quiet):
            part.say(f"took {message.sequence}")
            link.send(Done(stream_id=message.stream_id, sequence=message.sequence))
    link.send(Finished())


def _deaf(_link: Link, _part: Part) -> None:
    """Listens to nobody."""
    threading.Event().wait()


def _deaf_parent(link: Link, part: Part) -> None:
    """And what it has started goes on for minutes."""
    part.say(f"started {subprocess.Popen(['sleep', '300']).pid}")
    _deaf(link, part)


PLAYS = {
    "asking_messenger": _asking_messenger,
    "slow_listener": _slow_listener,
    "dying_listener": _dying_listener,
    "sounding_recorder": _sounding_recorder,
    "watching_classifier": _watching_classifier,
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
