"""Children that ask each other for something through the supervisor, or answer (`children.py`)."""

import os
import threading

from beepwatch.daemon.link import Link
from beepwatch.messages import (
    Alert,
    AnyMessage,
    Condition,
    Done,
    Ended,
    Finished,
    Heartbeat,
    Inquiry,
    Listen,
    Listening,
    MachineStanding,
    MachineStandings,
    Noted,
    Piece,
    Quiet,
    Ready,
    Taken,
    Watch,
    Window,
)
from tests.daemon.parts import LOOK_S, NOON, Part, messages, window


def _asking_messenger(link: Link, part: Part) -> None:
    """Has a question when the test puts one."""
    link.send(Ready())
    asked = _Asked(part)
    for message in messages(link):
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
    for message in messages(link):
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
    for message in messages(link):
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
    for message in messages(link):
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
    for message in messages(link):
        if isinstance(message, Watch):
            part.say(f"watches for {message.for_s:.0f} s")
        if isinstance(message, Window | Quiet):
            part.say(f"took {message.sequence}")
            link.send(Done(stream_id=message.stream_id, sequence=message.sequence))
    link.send(Finished())


PLAYS = {
    "asking_messenger": _asking_messenger,
    "slow_listener": _slow_listener,
    "dying_listener": _dying_listener,
    "sounding_recorder": _sounding_recorder,
    "watching_classifier": _watching_classifier,
}
