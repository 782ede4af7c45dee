"""The learned machines of a state directory: read, put there, taken away, set back.

    machines/NAME/normal.json         how it sounds when it is well (`condition.py`)
    machines/NAME/faults.json         which fault it has when it is not (`faults.py`), if learned
    machines/NAME/versions/UTC.json   what was learned before, the newest few
    machines/generation               another file after every change: what a running daemon watches

A machine is there once its `normal.json` is, which appears whole or not at all. Nothing here
imports numpy before a normal is decoded.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from beepwatch.classify.bundle import content_of
from beepwatch.classify.cabinet import Cabinet, Contents
from beepwatch.errors import ModelError

if TYPE_CHECKING:
    from beepwatch.classify.condition import Normal
    from beepwatch.classify.faults import Faults

NORMAL, FAULTS = "normal.json", "faults.json"
_MACHINES = Contents(
    folder="machines",
    file=NORMAL,
    most_bytes=4_000_000,
    one="learned machine",
    teach="To teach one: beepwatch teach NAME --normal FILES.",
)
_LEARN_FAULTS = "Learn them again: beepwatch teach NAME --faults DIR."


class Machines(Cabinet):
    """`machines/` of one state directory.

    What asks for a machine raises ModelError if there is none of that name, or if it is damaged;
    what changes something raises StoreError where the disk does not let it.
    """

    def __init__(self, state: Path) -> None:
        super().__init__(state, _MACHINES)

    def normal(self, name: str) -> "Normal":
        """How a machine sounds when it is well, all of it checked."""
        from beepwatch.classify.condition import decode

        content = self._content(name)
        try:
            normal = decode(content)
        except ModelError as error:
            raise ModelError(f"{self.directory / name / NORMAL}: {error}") from error
        if normal.name != name:
            raise ModelError(
                f"{self.directory / name / NORMAL} is of a machine that is called {normal.name}. "
                f"{self._otherwise(name)}"
            )
        return normal

    def put(self, normal: "Normal", now: datetime) -> None:
        """A new machine, or one learned anew, whose normal so far becomes a version."""
        from beepwatch.classify.condition import decode, encode

        content = encode(normal)
        decode(content)  # what could not be read again is not written
        self._check_free(normal.name)
        with self._changing():
            home = self.directory / normal.name
            self._make(home)
            self._keep_version(home, now)
            self._write(home / NORMAL, content)

    def rollback(self, name: str) -> "Normal":
        """Use the normal before the one in use again, and forget the one in use."""
        from beepwatch.classify.condition import decode

        return self._go_back(name, decode)

    def faults(self, name: str) -> "Faults | None":
        """What tells its faults apart, all of it checked; None if they were not learned."""
        from beepwatch.classify.faults import MOST_BYTES, decode

        path = self._home(name) / FAULTS
        try:
            content = content_of(path, MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}. {_LEARN_FAULTS}") from error
        try:
            faults = decode(content)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if faults.name != name:
            raise ModelError(
                f"{path} is of a machine that is called {faults.name}. {_LEARN_FAULTS}"
            )
        return faults

    def put_faults(self, faults: "Faults") -> None:
        """Of a machine that is known, in the place of those that it had."""
        from beepwatch.classify.faults import decode, encode

        content = encode(faults)
        decode(content)  # what could not be read again is not written
        home = self._home(faults.name)
        with self._changing():
            self._write(home / FAULTS, content)
