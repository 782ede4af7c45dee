"""The taught sounds of a state directory: read, put there, taken away, set back.

    taught/NAME/head.json           what the classifier uses
    taught/NAME/examples/*.wav      what it was made from, to teach it again for another network
    taught/NAME/versions/UTC.json   the heads before, the newest few
    taught/NAME/versions/UTC/*.wav  the examples before, where a head came with others
    taught/room.wav                 the room's own background
    taught/generation               another file after every change: what a running daemon watches

A sound is there once its `head.json` is, which appears whole or not at all. The supervisor reads
names and digests, so nothing here imports numpy before a head is decoded.
"""

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from beepwatch.classify import examples
from beepwatch.classify.bundle import content_of
from beepwatch.classify.cabinet import FRESH, Cabinet, Contents, kept_with
from beepwatch.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from beepwatch.classify.heads import Head

HEAD = "head.json"
EXAMPLES = "examples"
ROOM = "room.wav"
MOST_HEAD_BYTES = 100_000
_SOUNDS = Contents(
    folder="taught",
    file=HEAD,
    most_bytes=MOST_HEAD_BYTES,
    one="taught sound",
    teach="To teach one: beepwatch teach NAME FILES.",
)


class Shelf(Cabinet):
    """`taught/` of one state directory.

    What asks for a sound raises ModelError if there is none of that name, or if it is damaged;
    what changes something raises StoreError where the disk does not let it.
    """

    def __init__(self, state: Path) -> None:
        super().__init__(state, _SOUNDS)

    @property
    def room(self) -> Path:
        """The room's own background, 16 kHz; there or not."""
        return self.directory / ROOM

    def pulses(self) -> dict[str, int]:
        """How many pulses each sound asks for before it is told, by name; 1 if unreadable."""
        return {home.name: _pulses(home / HEAD) for home in self._homes()}

    def head(self, name: str) -> "Head":
        """The head of a sound, all of it checked."""
        from beepwatch.classify.heads import decode

        head = decode(self._content(name))
        if head.name != name:
            raise ModelError(
                f"{self.directory / name / HEAD} is of a sound that is called {head.name}. "
                f"{self._otherwise(name)}"
            )
        return head

    def examples(self, name: str) -> list[Path]:
        """The recordings that it was made from."""
        return sorted((self._home(name) / EXAMPLES).glob("*.wav"))

    def put(
        self, head: "Head", now: datetime, recordings: "Sequence[NDArray[np.int16]] | None" = None
    ) -> None:
        """A new sound, or another head of one that is there, whose head so far becomes a version.

        `recordings` are the examples, int16 [samples] at 16 kHz; without them, those of before
        stay.
        """
        files = None if recordings is None else [examples.encode(pcm) for pcm in recordings]
        self.put_files(head, now, files)

    def put_files(self, head: "Head", now: datetime, files: Sequence[bytes] | None) -> None:
        """The same with examples that are WAV files already."""
        from beepwatch.classify.heads import decode, encode

        content = encode(head)
        decode(content)  # what could not be read again is not written
        self._check_free(head.name)
        with self._changing():
            home = self.directory / head.name
            new = not self._has_file(home)
            version, fresh = None, home / f"{EXAMPLES}{FRESH}"
            try:
                self._make(home)
                if files is not None:
                    self._write_examples(fresh, files)
                version = self._keep_version(home, now)
                self._write(home / HEAD, content)
            except BaseException:  # a full disk needs the room, and who breaks off wants nothing
                shutil.rmtree(home if new else fresh, ignore_errors=True)
                if version is not None:
                    version.unlink(missing_ok=True)
                raise
            if files is not None:
                self._use_examples(home, fresh, version)

    def put_room(self, pcm: "NDArray[np.int16]") -> None:
        """The room's own background, int16 [samples] at 16 kHz."""
        with self._changing():
            self._write(self.room, examples.encode(pcm))

    def rollback(self, name: str) -> "Head":
        """Use the head before the one in use again, and forget the one in use."""
        from beepwatch.classify.heads import decode

        return self._go_back(name, decode)

    def _write_examples(self, fresh: Path, files: Sequence[bytes]) -> None:
        shutil.rmtree(fresh, ignore_errors=True)  # of a run that was broken off
        self._make(fresh)
        for number, content in enumerate(files, 1):
            self._write(fresh / f"{number:03}.wav", content)

    def _use_examples(self, home: Path, fresh: Path, version: Path | None) -> None:
        """Those of before stay with the version that was made from them."""
        before = home / EXAMPLES
        if before.exists():
            before.rename(self._aside() if version is None else kept_with(version))
        fresh.rename(before)

    def _went_back(self, home: Path, version: Path) -> None:
        """Whatever is made of the examples from now on is made of those that its head was."""
        kept = kept_with(version)
        if not kept.is_dir():
            return  # it was made from those that are in use
        examples_now = home / EXAMPLES
        if examples_now.exists():
            examples_now.rename(self._aside())
        kept.rename(examples_now)


class _Asked(msgspec.Struct):
    """The one field of a head that a rule is made of; the classifier checks the others."""

    pulses: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


def _pulses(path: Path) -> int:
    try:
        return msgspec.json.decode(content_of(path, MOST_HEAD_BYTES), type=_Asked).pulses
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1
