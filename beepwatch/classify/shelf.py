"""The taught sounds of a state directory: read, put there, taken away, set back.

    taught/NAME/head.json           what the classifier uses
    taught/NAME/examples/*.wav      what it was made from, to teach it again for another network
    taught/NAME/versions/UTC.json   the heads before, the newest few
    taught/room.wav                 the room's own background
    taught/generation               another file after every change: what a running daemon watches

A sound is there once its `head.json` is, which appears whole or not at all. The supervisor reads
names and digests, so nothing here imports numpy before a head is decoded.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from beepwatch.classify import examples
from beepwatch.classify.bundle import content_of
from beepwatch.errors import DiskFull, ModelError, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from beepwatch.classify.heads import Head

HEAD = "head.json"
EXAMPLES = "examples"
VERSIONS = "versions"
ROOM = "room.wav"
GENERATION = "generation"
KEPT_VERSIONS = 5
MOST_HEAD_BYTES = 100_000
_LOCK = ".lock"
_ASIDE = ".aside-"  # begins the name of what is being taken away
_FRESH = ".fresh"  # ends the name of what is being written
_OWNER_ONLY_DIRECTORY = 0o700
_OWNER_ONLY_FILE = 0o600
_MOST_NAMED = 10


class Shelf:
    """`taught/` of one state directory.

    What asks for a sound raises ModelError if there is none of that name, or if it is damaged;
    what changes something raises StoreError where the disk does not let it.
    """

    def __init__(self, state: Path) -> None:
        self.directory = state / "taught"
        self._state = state

    @property
    def room(self) -> Path:
        """The room's own background, 16 kHz; there or not."""
        return self.directory / ROOM

    def generation(self) -> tuple[int, int] | None:
        """Differs after every change; None before the first."""
        try:
            status = (self.directory / GENERATION).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def digests(self) -> dict[str, str]:
        """Of what is there, usable or not, by name: the SHA-256 of each head, "" if unreadable."""
        return {home.name: _digest(home / HEAD) for home in self._homes()}

    def pulses(self) -> dict[str, int]:
        """How many pulses each sound asks for before it is told, by name; 1 if unreadable."""
        return {home.name: _pulses(home / HEAD) for home in self._homes()}

    def head(self, name: str) -> "Head":
        """The head of a sound, all of it checked."""
        from beepwatch.classify.heads import decode

        path = self._home(name) / HEAD
        try:
            head = decode(content_of(path, MOST_HEAD_BYTES))
        except OSError as error:
            raise ModelError(
                f"{path} cannot be read: {error.strerror}. "
                f"Teach it again, or take it away: beepwatch teach --remove {name}."
            ) from error
        if head.name != name:
            raise ModelError(
                f"{path} is of a sound that is called {head.name}. "
                f"Teach it again, or take it away: beepwatch teach --remove {name}."
            )
        return head

    def taught_at(self, name: str) -> datetime:
        """Since when its head is what it is, UTC."""
        return datetime.fromtimestamp((self._home(name) / HEAD).stat().st_mtime, UTC)

    def examples(self, name: str) -> list[Path]:
        """The recordings that it was made from."""
        return sorted((self._home(name) / EXAMPLES).glob("*.wav"))

    def versions(self, name: str) -> list[Path]:
        """The heads before the one in use, oldest first."""
        kept = (self._home(name) / VERSIONS).glob("*.json")
        return sorted(kept, key=lambda path: path.stem)

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
        if head.name == GENERATION:
            raise ModelError(f"no taught sound can have the name {GENERATION!r}. Give another.")
        with self._changing():
            home = self.directory / head.name
            self._make(home)
            if files is not None:
                self._put_examples(home, files)
            self._keep_version(home, now)
            self._write(home / HEAD, content)

    def put_room(self, pcm: "NDArray[np.int16]") -> None:
        """The room's own background, int16 [samples] at 16 kHz."""
        with self._changing():
            self._write(self.room, examples.encode(pcm))

    def remove(self, name: str) -> None:
        """Take a sound away, with its examples and versions."""
        home = self._home(name)
        with self._changing():
            home.rename(self.directory / f"{_ASIDE}{secrets.token_hex(4)}")

    def rollback(self, name: str) -> "Head":
        """Use the head before the one in use again, and forget the one in use.

        Asked again it goes further back.
        """
        from beepwatch.classify.heads import decode

        versions = self.versions(name)
        if not versions:
            raise ModelError(
                f"the taught sound {name} has no version before the one in use. "
                f"Teach it again, or take it away: beepwatch teach --remove {name}."
            )
        with self._changing():
            head = decode(content_of(versions[-1], MOST_HEAD_BYTES))
            self._write(self.directory / name / HEAD, content_of(versions[-1], MOST_HEAD_BYTES))
            versions[-1].unlink()
        return head

    def _home(self, name: str) -> Path:
        known = {home.name: home for home in self._homes()}
        if name in known:
            return known[name]
        named = ", ".join([*known][:_MOST_NAMED]) or "none yet"
        raise ModelError(
            f"there is no taught sound {name!r} in {self.directory}; there are: {named}. "
            "To teach one: beepwatch teach NAME FILES."
        )

    def _homes(self) -> list[Path]:
        try:
            entries = sorted(self.directory.iterdir())
        except OSError:
            return []
        return [one for one in entries if not one.name.startswith(".") and _has_head(one)]

    # Changes

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time; afterwards running daemons look again, and what was put aside goes."""
        try:
            self._make(self.directory)
            with self._alone():
                yield
                self._write(self.directory / GENERATION, f"{secrets.token_hex(8)}\n".encode())
                for aside in self.directory.glob(f"{_ASIDE}*"):
                    shutil.rmtree(aside, ignore_errors=True)
        except OSError as error:
            no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
            todo = "Free some space." if no_room else "Run this as the user that beepwatch runs as."
            raise (DiskFull if no_room else StoreError)(
                f"cannot change the taught sounds in {self.directory}: {error.strerror}. {todo}"
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self.directory / _LOCK, flags, _OWNER_ONLY_FILE)
        try:
            self._give_to_owner(handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _put_examples(self, home: Path, files: Sequence[bytes]) -> None:
        fresh = home / f"{EXAMPLES}{_FRESH}"
        shutil.rmtree(fresh, ignore_errors=True)
        self._make(fresh)
        try:
            for number, content in enumerate(files, 1):
                self._write(fresh / f"{number:03}.wav", content)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)  # a full disk needs the room
            raise
        before = home / EXAMPLES
        if before.exists():
            before.rename(self.directory / f"{_ASIDE}{secrets.token_hex(4)}")
        fresh.rename(before)

    def _keep_version(self, home: Path, now: datetime) -> None:
        try:
            content = content_of(home / HEAD, MOST_HEAD_BYTES)
        except OSError:
            return  # there is none, or none that anybody could go back to
        self._make(home / VERSIONS)
        kept = self.versions(home.name)
        stem = f"{now:%Y%m%dT%H%M%S.%fZ}"
        if kept and stem <= kept[-1].stem:  # the clock was set back
            stem = f"{kept[-1].stem}+"
        self._write(home / VERSIONS / f"{stem}.json", content)
        for old in self.versions(home.name)[:-KEPT_VERSIONS]:
            old.unlink()

    def _make(self, directory: Path) -> None:
        """The directory, and those above it, for the owner alone."""
        if directory.is_dir():
            return
        self._make(directory.parent)
        directory.mkdir(_OWNER_ONLY_DIRECTORY, exist_ok=True)
        if directory.is_relative_to(self.directory):
            self._give_to_owner(directory)

    def _give_to_owner(self, new: Path | int) -> None:
        """What root makes here for a daemon that is not root, that has to be able to read."""
        if os.geteuid() != 0:
            return
        status = self._state.stat()
        if isinstance(new, int):
            os.fchown(new, status.st_uid, status.st_gid)
        else:
            os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)

    def _write(self, path: Path, content: bytes) -> None:
        """The whole file at once, and on the disk before this returns."""
        fresh = path.with_name(f".{path.name}{_FRESH}")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()  # of a run that was broken off
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(fresh, flags, _OWNER_ONLY_FILE), "wb") as file:
                self._give_to_owner(file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _has_head(home: Path) -> bool:
    try:
        return (home / HEAD).is_file()
    except OSError:  # that may not be read is found, and said, by who wants to
        return True


class _Asked(msgspec.Struct):
    """The one field of a head that a rule is made of; the classifier checks the others."""

    pulses: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1


def _pulses(path: Path) -> int:
    try:
        return msgspec.json.decode(content_of(path, MOST_HEAD_BYTES), type=_Asked).pulses
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 1


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(content_of(path, MOST_HEAD_BYTES)).hexdigest()
    except OSError:
        return ""
