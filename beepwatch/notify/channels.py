"""What a channel is, what travels over it, how it says no; and the console, the simplest one."""

import asyncio
from datetime import tzinfo
from pathlib import Path
from typing import Protocol, TextIO

import msgspec

from beepwatch.messages import Alert, Event
from beepwatch.notify.captions import console_line

_LINES_REMEMBERED = 100


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """An encoded clip."""

    content: bytes
    suffix: str  # ".mp3", or ".wav" when mp3 could not be made
    path: Path | None = None  # where it is kept; None when the disk would not take it
    duration_s: float | None = None


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """Something to choose under a message; `data` comes back with the tap."""

    text: str
    data: str  # at most 64 bytes


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it is told: the words, what they were made of, and the sound."""

    text: str
    alert: Alert
    events: tuple[Event, ...] = ()  # by onset; several for a burst
    sound: Sound | None = None
    buttons: tuple[tuple[Button, ...], ...] = ()  # by rows
    picture: bytes | None = None  # PNG, of what the sound is like


class NotSent(Exception):
    """The channel did not take a message; the text says why, and holds no secret."""


class Unreachable(NotSent):
    """Nobody said no: the network, or a server in trouble. Worth trying again.

    `in_doubt`: it may have been taken although no answer came; the next try may double it.
    """

    def __init__(self, text: str, *, in_doubt: bool = False) -> None:
        super().__init__(text)
        self.in_doubt = in_doubt


class Moved(Unreachable):
    """The chat has another number now, to which the next try goes: the text says what to do."""


class RetryAfter(NotSent):
    """The server asks for a pause."""

    def __init__(self, after_s: float) -> None:
        super().__init__(f"the server asks to wait for {after_s:g} s")
        self.after_s = after_s


class Shut(NotSent):
    """Nothing is taken here until a person has mended it: the text says what to do."""


class Refused(NotSent):
    """This message will never be taken: the text names what was refused and what to do."""


class CannotEdit(NotSent):
    """The message that was sent can no longer be changed."""


class Channel(Protocol):
    """One way to one recipient. Methods raise NotSent's kinds, and nothing else, and end in time:
    whatever hangs is given up after a limit of the channel's own.
    """

    @property
    def name(self) -> str:
        """As deliveries name it: "console", "telegram:123456"."""
        ...

    @property
    def can_edit(self) -> bool:
        """Whether what was sent can be brought up to date."""
        ...

    @property
    def digest_characters(self) -> int:
        """The longest text of one message that lists many late alerts; 0 when each is told on its
        own here however many there are.
        """
        ...

    async def open(self) -> None:
        """Prepare for sending; does not touch the network."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...

    async def send(self, message: Outgoing) -> str | None:
        """Send once; returns what the channel calls the message, for `edit`."""
        ...

    async def edit(self, reference: str | None, message: Outgoing) -> None:
        """Bring a sent message up to date."""
        ...


class ConsoleChannel:
    """Alerts as lines of text; an edited one is written again, with its final numbers."""

    name = "console"
    can_edit = True
    digest_characters = 0  # an alert is one line of a list anyway

    def __init__(self, stream: TextIO, zone: tzinfo | None = None) -> None:
        self._stream = stream
        self._zone = zone
        self._lines: dict[int | None, str] = {}  # the last ones, by alert

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """The stream belongs to the process."""

    async def send(self, message: Outgoing) -> str | None:
        """Write the line. Raises Refused when nobody reads any more."""
        await self._say(message.alert.id, self._line(message))
        return None

    async def edit(self, reference: str | None, message: Outgoing) -> None:
        """Write the line again, unless it says the same."""
        line = self._line(message)
        if line != self._lines.get(message.alert.id):
            await self._say(message.alert.id, line)

    def _line(self, message: Outgoing) -> str:
        path = message.sound.path if message.sound else None
        return console_line(message.alert, message.events, path, self._zone)

    async def _say(self, alert_id: int | None, line: str) -> None:
        try:
            # In a thread: a terminal that was stopped with ^S must not stop the other channels.
            await asyncio.to_thread(self._write, line)
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise Refused(f"standard output cannot be written: {error}") from error
        self._lines[alert_id] = line
        if len(self._lines) > _LINES_REMEMBERED:
            del self._lines[next(iter(self._lines))]

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
