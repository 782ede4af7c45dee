"""What children of a supervisor that play a part need for it (`children.py`)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from beepwatch.daemon.link import Link
from beepwatch.messages import AnyMessage, Fault, Finish, Heartbeat, Quiet, Window

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


def messages(link: Link) -> Iterator[AnyMessage | None]:
    """What comes until Finish, and None in between, with a sign of life each time."""
    while True:
        link.send(Heartbeat(counts={"turns": 1}))
        message = link.receive(LOOK_S)
        if isinstance(message, Finish):
            return
        yield message
