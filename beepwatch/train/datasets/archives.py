"""Archives of recordings, unpacked where nothing outside can be written, and no further than room.

Of what is in an archive only regular files come out, and of these only sound and tables.
"""

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

from beepwatch.errors import BeepwatchError
from beepwatch.validation import shortened

ARCHIVE_SUFFIXES = (*(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),)
_MOST_MEMBERS = 2_000_000
_LEAST_LIMIT_BYTES = 2_000_000_000
_MOST_TIMES = 100  # the archive's own size; sound hardly shrinks to a tenth
_LEFT_FREE_BYTES = 500_000_000
_PIECE_BYTES = 1 << 20

Opening = Callable[[], "IO[bytes] | None"]


class ArchiveError(BeepwatchError):
    """An archive that cannot be unpacked, or should not be."""


def is_archive(path: PurePath) -> bool:
    """By its name."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def unpack(archive: Path, into: Path, is_wanted: Callable[[str], bool]) -> None:
    """Write the wanted regular files of an archive below a folder.

    Raises ArchiveError for one that is damaged, that names a place outside the folder, or that
    holds far more than its size lets expect; what came out until then is there.
    """
    age_ns = archive.stat().st_mtime_ns
    left = limit_bytes(archive.stat().st_size, shutil.disk_usage(into).free)
    try:
        with _opened(archive) as members:
            for number, (name, opening) in enumerate(members):
                if number >= _MOST_MEMBERS:
                    raise ArchiveError(f"{archive} names over {_MOST_MEMBERS:,} files. Unpack it.")
                target = into / _place_of(archive, name)
                if is_wanted(name) and (content := opening()) is not None:
                    with content:
                        left -= _write(archive, content, target, left)
                    os.utime(target, ns=(age_ns, age_ns))  # the same each time it is unpacked
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
        *(NotImplementedError, RuntimeError, OSError, ValueError),
    ) as error:
        raise ArchiveError(
            f"{archive} cannot be unpacked: {shortened(str(error)) or type(error).__name__}. "
            "Unpack it yourself and import the folder."
        ) from error


def limit_bytes(archive_bytes: int, free_bytes: int) -> int:
    """How much may come out of an archive of this size."""
    much = max(_LEAST_LIMIT_BYTES, _MOST_TIMES * archive_bytes)
    return max(0, min(much, free_bytes - _LEFT_FREE_BYTES))


def _place_of(archive: Path, name: str) -> PurePosixPath:
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        raise ArchiveError(
            f"{archive} names {shortened(name)!r}, a place outside of where it is unpacked. "
            "Do not trust it; nothing of it was imported."
        )
    return place


def _opened(archive: Path) -> AbstractContextManager[Iterator[tuple[str, Opening]]]:
    return _Zip(archive) if archive.suffix.lower() == ".zip" else _Tar(archive)


class _Zip:
    def __init__(self, archive: Path) -> None:
        self._file = zipfile.ZipFile(archive)

    def __enter__(self) -> Iterator[tuple[str, Opening]]:
        for info in self._file.infolist():
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                yield info.filename, partial(self._file.open, info)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _Tar:
    def __init__(self, archive: Path) -> None:
        self._file = tarfile.open(archive)  # noqa: SIM115 - closed at the end of the block

    def __enter__(self) -> Iterator[tuple[str, Opening]]:
        files: dict[str, tarfile.TarInfo] = {}
        for info in self._file:
            original: tarfile.TarInfo | None = None
            if info.isreg():
                original = files[info.name] = info
            elif info.islnk():  # a second name of a file that came before it
                original = files.get(info.linkname)
            if original is not None:
                yield info.name, partial(self._file.extractfile, original)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _write(archive: Path, content: IO[bytes], target: Path, left: int) -> int:
    """Bytes written; of two members of one name the first stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    try:
        file = target.open("xb")
    except FileExistsError:
        return 0
    with file:
        while piece := content.read(_PIECE_BYTES):
            written += len(piece)
            if written > left:
                raise ArchiveError(
                    f"{archive} holds far more than its size, or than there is room for "
                    f"({_LEFT_FREE_BYTES // 10**6} MB are left free). Make room, or unpack it "
                    "yourself and import the folder."
                )
            file.write(piece)
    return written
