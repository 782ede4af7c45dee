"""Recordings that are on no disk here: by a URL, through fsspec's file systems.

Whoever works on one fetches it to a file of its own, and deletes that: decoders want files. A
path on a disk goes the same ways and is left as it is; fsspec is imported only for a URL.
"""

import hashlib
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from errno import EDQUOT, ENOENT, ENOSPC
from functools import lru_cache
from importlib import import_module
from os import strerror
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import AUDIO_SUFFIXES, decode
from beepwatch.errors import BeepwatchError, ConfigurationError, UnreadableAudio, install_with
from beepwatch.secrecy import without_secrets

_URL = re.compile(r"([a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# What file systems call that which changes with a file's content, and when it changed.
_TAGS = ("ETag", "etag", "e_tag", "md5Hash", "Content-MD5", "content_md5", "md5", "checksum")
_TIMES = ("LastModified", "last_modified", "updated", "modified", "mtime", "modificationTime")
_CREATED = "created"  # of an object that is never written twice
_SECONDS_UP_TO = 1e11  # larger ones are milliseconds
_WELL_KNOWN = ("http", "https", "s3", "gs", "abfs", "hdfs", "ftp", "sftp", "smb", "webdav", "zip")
NEVER_NS = 1 << 62  # a change that is always too fresh to be trusted


class Remote(msgspec.Struct, frozen=True):
    """A file or directory that fsspec knows by its URL, which may be a chain of them."""

    url: str

    def __str__(self) -> str:
        return without_secrets(self.url)

    def __truediv__(self, name: str) -> "Remote":
        """What lies below; of a chain, within its first link."""
        head, chain, rest = self.url.partition("::")
        if chain and "://" not in head:  # simplecache:: and the like have no path of their own
            return Remote(f"{head}::{(Remote(rest) / name).url}")
        between = "" if head.endswith("/") else "/"
        return Remote(f"{head}{between}{name}{chain}{rest}")

    @property
    def name(self) -> str:
        """Its last part."""
        link = next(one for one in self.url.split("::") if "://" in one)
        return PurePosixPath(link.rstrip("/")).name

    def absolute(self) -> "Remote":
        """It is the same from everywhere."""
        return self

    def exists(self) -> bool:
        """Raises UnreadableAudio where nobody can tell."""
        with _told(self):
            system, path = _system_of(self.url)
            return bool(system.exists(path))

    def is_dir(self) -> bool:
        """Whether anything lies below. Raises UnreadableAudio where nobody can tell."""
        try:
            with _told(self):
                system, path = _system_of(self.url)
                return bool(system.isdir(path))
        except FileNotFoundError:  # of a chain, an outer link
            return False

    def below(self) -> dict[str, "Mark"]:
        """Paths of all files below, with slashes, and how to tell when they are others."""
        with _told(self):
            system, root = _system_of(self.url)
            start = f"/{root.strip('/')}/" if root.strip("/") else "/"
            try:
                found = system.find(root, detail=True)
            except FileNotFoundError:
                raise UnreadableAudio(f"{self} is not there. Check the address.") from None
            return {
                path.removeprefix(start): _mark_of(info)
                for path, info in sorted((f"/{one.lstrip('/')}", i) for one, i in found.items())
                if path.startswith(start)
            }

    def mark(self) -> "Mark":
        """As it is now. Raises FileNotFoundError, UnreadableAudio."""
        with _told(self):
            system, path = _system_of(self.url)
            return _mark_of(system.info(path))

    def fetch(self, file: Path) -> None:
        """Copy it to a file here. Raises OSError, UnreadableAudio."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with _told(self):
            system, path = _system_of(self.url)
            system.get_file(path, str(file))


Location = Path | Remote


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What is another one when a file has another content."""

    size: int
    tag: int  # 0: there is none
    changed_ns: int  # 0: the tag says it; NEVER_NS: nothing does


def location_of(address: str) -> Location:
    """A URL's, or a path on a disk here. Raises ConfigurationError for no name at all, and for a
    URL of a kind that fsspec does not know.
    """
    if not address:
        raise ConfigurationError("'' names no file. Give its path, or . for this directory.")
    if not _URL.match(address):
        return Path(address)
    _check_schemes(address)
    return Remote(address)


def address_of(location: Location) -> str:
    """What `location_of` makes it of."""
    return location.url if isinstance(location, Remote) else str(location)


def recordings_below(directory: Remote) -> list[str]:
    """Paths of the audio files below, sorted; what is hidden is left out."""
    return [
        path
        for path in directory.below()
        if Path(path).suffix.lower() in AUDIO_SUFFIXES
        and not any(part.startswith(".") for part in Path(path).parts)
    ]


@contextmanager
def on_disk(location: Location) -> Iterator[Path]:
    """A file here with the same bytes. Raises OSError, UnreadableAudio.

    A BeepwatchError of who works with it names the location instead.
    """
    if isinstance(location, Path):
        yield location
        return
    with TemporaryDirectory(prefix="beepwatch-") as directory:
        file = Path(directory) / location.name
        location.fetch(file)
        try:
            yield file
        except BeepwatchError as error:
            raise type(error)(str(error).replace(str(file), str(location))) from error


@contextmanager
def mirrored(directory: Location, names: Iterable[str]) -> Iterator[Path]:
    """A directory here with these files of it. Raises OSError, UnreadableAudio."""
    if isinstance(directory, Path):
        yield directory
        return
    with TemporaryDirectory(prefix="beepwatch-") as here:
        for name in names:
            if name.startswith("/") or ".." in PurePosixPath(name).parts:  # it would leave `here`
                raise UnreadableAudio(f"{name} is not below {directory}. Name a file that is.")
            (directory / name).fetch(Path(here) / name)
        yield Path(here)


def sound_of(location: Location, rate_hz: int) -> Generator[NDArray[np.int16], None, None]:
    """As `decode`, of a recording anywhere."""
    try:
        with on_disk(location) as file:
            yield from decode(file, rate_hz)
    except FileNotFoundError as error:
        raise UnreadableAudio(f"{location} does not exist. Check the address.") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableAudio(
            f"{location} cannot be fetched: {reason}. Make room, or try again."
        ) from error


@contextmanager
def _told(remote: Remote) -> Iterator[None]:
    """Every file system has errors of its own; they become one line of ours."""
    try:
        yield
    except BeepwatchError:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(ENOENT, strerror(ENOENT), str(remote)) from error
    except ImportError as error:
        raise ConfigurationError(
            f"{remote} needs a package that is not installed: {_said(error)}."
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise  # that is this machine's
        raise UnreadableAudio(
            f"{remote} cannot be read: {type(error).__name__}: {_said(error)}. "
            "Check the address, and what it asks of who comes there."
        ) from error


def _said(error: BaseException) -> str:
    return without_secrets(" ".join(str(error).split())).rstrip(".")


@lru_cache(4_096)
def _system_of(url: str) -> tuple[Any, str]:
    """The file system of a URL, without a memory of what it listed before, and the path in it."""
    system, path = _fsspec("core", url).url_to_fs(url, use_listings_cache=False)
    return system, str(path)


@lru_cache(64)
def _check_schemes(url: str) -> None:
    registry = _fsspec("registry", url)
    known = {*registry.available_protocols(), *registry.registry}
    for link in url.split("::"):
        scheme, colon, _ = link.partition("://")
        if (colon or scheme.isalpha()) and scheme not in known:
            near = get_close_matches(scheme.lower(), known, n=1)
            told = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(_WELL_KNOWN)}."
            raise ConfigurationError(
                f"{without_secrets(url)}: {scheme} is no kind of address. {told} "
                "What is on a disk here is given by its path."
            )


def _fsspec(part: str, url: str) -> Any:  # noqa: ANN401 - it has no types
    """One of its modules. Raises ConfigurationError where there is none."""
    try:
        return import_module(f"fsspec.{part}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{without_secrets(url)} needs {error.name}, which is not installed. "
            f"{install_with('dask')}"
        ) from error


def _mark_of(info: Mapping[str, Any]) -> Mark:
    size = int(info.get("size") or 0)
    for name in _TAGS:
        if value := info.get(name):
            digest = hashlib.sha256(str(value).encode()).digest()
            return Mark(size=size, tag=int.from_bytes(digest[:7]), changed_ns=0)
    for name in (*_TIMES, _CREATED):
        if (changed_ns := _nanoseconds(info.get(name))) is not None:
            return Mark(size=size, tag=0, changed_ns=changed_ns)
    return Mark(size=size, tag=0, changed_ns=NEVER_NS)


def _nanoseconds(value: object) -> int | None:
    """Since 1970, of the ways in which file systems give a time; None where it is none."""
    if isinstance(value, datetime):
        return round(value.timestamp() * 1e9)
    if isinstance(value, int | float) and value > 0:
        return round(value * (1e9 if value < _SECONDS_UP_TO else 1e6))
    return None
