"""Learned things of a state directory, by name: there whole or not at all, each with a past.

    FOLDER/NAME/FILE                what is used
    FOLDER/NAME/versions/UTC.json   what was used before, the newest few
    FOLDER/NAME/versions/UTC/       and what was made with it, where that was replaced
    FOLDER/generation               another file after every change: what a running daemon watches

The supervisor reads names and digests, so nothing here imports numpy.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from beepwatch.classify.bundle import content_of
from beepwatch.errors import ConfigurationError, DiskFull, ModelError, NotTaught, StoreError
from beepwatch.whole_files import PRIVATE, Owner, write_whole

VERSIONS = "versions"
GENERATION = "generation"
KEPT_VERSIONS = 5
FRESH = ".fresh"  # ends the name of a directory that is being written
_LOCK = ".lock"
_ASIDE = ".aside-"  # begins the name of what is being taken away
_OWNER_ONLY_DIRECTORY = 0o700
_MOST_NAMED = 10

Thing = TypeVar("Thing")


def kept_with(version: Path) -> Path:
    """The folder of what belongs to a version beside its file; there or not."""
    return version.with_suffix("")


class Contents(NamedTuple):
    """What a cabinet is for, and how its things are spoken of."""

    folder: str
    file: str
    most_bytes: int  # of that file
    one: str  # such as "taught sound"
    teach: str  # how a new one is made: a sentence


class Cabinet:
    """A folder of one state directory.

    What asks for a thing raises ModelError if there is none of that name, or if it is damaged;
    what changes something raises StoreError where the disk does not let it.
    """

    def __init__(self, state: Path, contents: Contents) -> None:
        self.directory = state / contents.folder
        self._state = state
        self._contents = contents

    def generation(self) -> tuple[int, int] | None:
        """Differs after every change; None before the first."""
        try:
            status = (self.directory / GENERATION).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def digests(self) -> dict[str, str]:
        """Of what is there, usable or not, by name: the SHA-256 of its file, "" if unreadable."""
        return {home.name: self._digest(home) for home in self._homes()}

    def taught_at(self, name: str) -> datetime:
        """Since when it is what it is, UTC; if its file cannot be looked at, by its folder."""
        home = self._home(name)
        for path in (self._file(home), home):
            with contextlib.suppress(OSError):
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
        raise ModelError(f"{home} cannot be looked at. {self._otherwise(name)}")

    def versions(self, name: str) -> list[Path]:
        """The files before the one in use, oldest first."""
        kept = (self._home(name) / VERSIONS).glob("*.json")
        return sorted(kept, key=lambda path: path.stem)

    def remove(self, name: str) -> None:
        """Take a thing away, with all that was kept of it."""
        home = self._home(name)
        with self._changing():
            aside = self._aside()
            home.rename(aside)
            # At once: on a full disk there is room for nothing until it is gone.
            shutil.rmtree(aside, ignore_errors=True)

    def check_not_here(self, name: str) -> None:
        """Raises ConfigurationError for a name that something in here has."""
        if name in self.digests():
            raise ConfigurationError(
                f"{name!r} is the name of a {self._contents.one}. Give another name, "
                f"or take that away: beepwatch teach --remove {name}."
            )

    def check_can_take(self, name: str) -> None:
        """Raises ConfigurationError or StoreError if nothing of that name could be put here."""
        self._check_free(name)
        with self._worded():
            self._make(self.directory)
            with self._alone():
                pass

    # For those who know what is in the files

    def _content(self, name: str) -> bytes:
        path = self._file(self._home(name))
        try:
            return content_of(path, self._contents.most_bytes)
        except OSError as error:
            raise ModelError(
                f"{path} cannot be read: {error.strerror}. {self._otherwise(name)}"
            ) from error

    def _go_back(self, name: str, decode: Callable[[bytes], Thing]) -> Thing:
        """Use the file before the one in use again, if it can be read, and forget the one in use.

        Asked again it goes further back.
        """
        versions = self.versions(name)
        if not versions:
            raise NotTaught(
                f"the {self._contents.one} {name} has no version before the one in use. "
                f"{self._otherwise(name)}"
            )
        with self._changing():
            content = content_of(versions[-1], self._contents.most_bytes)
            found = decode(content)
            self._write(self._file(self.directory / name), content)
            self._went_back(self.directory / name, versions[-1])
            versions[-1].unlink()
        return found

    def _went_back(self, home: Path, version: Path) -> None:
        """The version's file is in use again: so is what else was kept with it."""

    def _check_free(self, name: str) -> None:
        if name == GENERATION:
            raise ConfigurationError(
                f"no {self._contents.one} can have the name {GENERATION!r}. Give another."
            )

    def _otherwise(self, name: str) -> str:
        return f"Teach it again, or take it away: beepwatch teach --remove {name}."

    def _file(self, home: Path) -> Path:
        return home / self._contents.file

    def _home(self, name: str) -> Path:
        known = {home.name: home for home in self._homes()}
        if name in known:
            return known[name]
        named = ", ".join([*known][:_MOST_NAMED]) or "none yet"
        raise NotTaught(
            f"there is no {self._contents.one} {name!r} in {self.directory}; there are: {named}. "
            f"{self._contents.teach}"
        )

    def _homes(self) -> list[Path]:
        try:
            entries = sorted(self.directory.iterdir())
        except OSError:
            return []
        return [one for one in entries if not one.name.startswith(".") and self._has_file(one)]

    def _has_file(self, home: Path) -> bool:
        try:
            return self._file(home).is_file()
        except OSError:  # that may not be read is found, and said, by who wants to
            return True

    def _digest(self, home: Path) -> str:
        try:
            content = content_of(self._file(home), self._contents.most_bytes)
        except OSError:
            return ""
        return hashlib.sha256(content).hexdigest()

    # Changes

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time; afterwards running daemons look again, and what was put aside goes."""
        with self._worded():
            self._make(self.directory)
            with self._alone():
                yield
                self._write(self.directory / GENERATION, f"{secrets.token_hex(8)}\n".encode())
                for aside in self.directory.glob(f"{_ASIDE}*"):
                    shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
            todo = "Run this as the user that beepwatch runs as."
            if no_room:
                todo = "Free some space."
            elif error.errno == errno.EROFS:
                todo = "The disk may be failing: look at `dmesg`, restart the machine."
            raise (DiskFull if no_room else StoreError)(
                f"cannot change the {self._contents.one}s in {self.directory}: {error.strerror}. "
                f"{todo}"
            ) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self.directory / _LOCK, flags, PRIVATE)
        try:
            self._give_to_owner(handle)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _aside(self) -> Path:
        """A name under which a directory goes when the change is done."""
        return self.directory / f"{_ASIDE}{secrets.token_hex(4)}"

    def _keep_version(self, home: Path, now: datetime) -> Path | None:
        """The file in use becomes a version; None if there is none that anybody could go back to.

        The oldest goes, with what is kept with it, when there are too many.
        """
        try:
            content = content_of(self._file(home), self._contents.most_bytes)
        except OSError:
            return None
        self._make(home / VERSIONS)
        kept = self.versions(home.name)
        stem = f"{now:%Y%m%dT%H%M%S.%fZ}"
        if kept and stem <= kept[-1].stem:  # the clock was set back
            stem = f"{kept[-1].stem}+"
        version = home / VERSIONS / f"{stem}.json"
        self._write(version, content)
        for old in self.versions(home.name)[:-KEPT_VERSIONS]:
            old.unlink()
            shutil.rmtree(kept_with(old), ignore_errors=True)
        return version

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
        owner = self._owner()
        if owner is None:
            return
        if isinstance(new, int):
            os.fchown(new, *owner)
        else:
            os.chown(new, *owner, follow_symlinks=False)

    def _owner(self) -> Owner | None:
        """Whose what is made here has to be, where whoever makes it is root; else his own."""
        if os.geteuid() != 0:
            return None
        status = self._state.stat()
        return Owner(status.st_uid, status.st_gid)

    def _write(self, path: Path, content: bytes) -> None:
        """The whole file at once, and on the disk before this returns."""
        write_whole(path, content, mode=PRIVATE, owner=self._owner())
