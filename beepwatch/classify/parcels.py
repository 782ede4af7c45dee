"""A taught sound in one file, for a friend: a zip of its head and its examples.

Whoever made the file, nothing of it is believed: names, numbers and sizes are checked before and
while it is read, and what is put on the shelf is written anew.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import msgspec

from beepwatch.classify import examples, heads
from beepwatch.classify.bundle import content_of
from beepwatch.classify.heads import Head
from beepwatch.classify.shelf import EXAMPLES, HEAD, MOST_HEAD_BYTES, Shelf
from beepwatch.errors import ConfigurationError, ModelError, StoreError, UnusableParcel
from beepwatch.validation import shortened

MOST_EXAMPLES = 200
MOST_BYTES = 64_000_000  # of the file, and of what is in it
_ENTRY = b"PK\x01\x02"  # begins each in a zip's directory, whose reading takes 500 bytes for one
_MOST_ENTRIES = 1_000  # more than there may be: it stands in other places by chance
_EXAMPLE = re.compile(rf"{EXAMPLES}/[A-Za-z0-9][A-Za-z0-9._-]{{0,59}}\.wav")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NOT_A_ZIP = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError),
    ValueError,  # something lies before the file's beginning, or a name is no UTF-8
)
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that the same sound is the same file


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds, all of it checked."""

    head: Head
    files: tuple[bytes, ...]  # WAV files of its examples


def export(shelf: Shelf, name: str, file: Path) -> int:
    """Write the sound into a file that was not there before; how many examples went with it.

    Raises ModelError for a sound that is not there or damaged, ConfigurationError for a file that
    is there already or cannot be, StoreError where there is no room for it.
    """
    head = shelf.head(name)
    sounds = [(path.name, _example(path)) for path in shelf.examples(name)]
    try:
        out = file.open("xb")
    except FileExistsError:
        raise ConfigurationError(
            f"{file} is there already. Give another name, or delete it."
        ) from None
    except OSError as error:
        raise ConfigurationError(_not_written(file, error)) from None
    with ExitStack() as unfinished:
        unfinished.callback(file.unlink, missing_ok=True)  # half a file is none
        try:
            with out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as parcel:
                _pack(parcel, HEAD, heads.encode(head))
                for sound_name, content in sounds:
                    _pack(parcel, f"{EXAMPLES}/{sound_name}", content)
        except OSError as error:
            raise StoreError(_not_written(file, error)) from error
        unfinished.pop_all()
    return len(sounds)


def _not_written(file: Path, error: OSError) -> str:
    return f"{file} cannot be written: {error.strerror}. Give another place."


def open_parcel(file: Path) -> Parcel:
    """What `export` has written. Raises UnusableParcel, which names what is wrong with it."""
    try:
        content = content_of(file, MOST_BYTES)
        if content.count(_ENTRY) > _MOST_ENTRIES:
            raise UnusableParcel(f"it holds more than {_MOST_ENTRIES} entries.")
        with zipfile.ZipFile(io.BytesIO(content)) as parcel:
            entries = parcel.infolist()
            _check(entries)
            return Parcel(
                head=heads.decode(_unpack(parcel, HEAD, MOST_HEAD_BYTES)),
                files=tuple(
                    examples.cleaned(_unpack(parcel, entry.filename, examples.MOST_BYTES))
                    for entry in sorted(entries, key=lambda entry: entry.filename)
                    if entry.filename != HEAD
                ),
            )
    except OSError as error:
        raise UnusableParcel(f"cannot read {file}: {error.strerror}. Give another file.") from error
    except ModelError as error:
        raise UnusableParcel(f"{file} cannot be imported: {error}") from error
    except _NOT_A_ZIP as error:
        raise UnusableParcel(
            f"{file} is no exported sound: {shortened(str(error))}. "
            "Make one with: beepwatch teach --export NAME FILE."
        ) from error


def take_in(shelf: Shelf, parcel: Parcel, now: datetime, *, replace: bool) -> None:
    """Put it on the shelf. Raises ConfigurationError if one of its name is there and not to go."""
    check_may_take_in(shelf, parcel.head.name, replace=replace)
    shelf.put_files(parcel.head, now, parcel.files)


def check_may_take_in(shelf: Shelf, name: str, *, replace: bool) -> None:
    """Raises ConfigurationError if there is one of that name and it is not to go."""
    if name in shelf.digests() and not replace:
        raise ConfigurationError(
            f"there is a taught sound {name} already. To replace it, add --force; "
            f"to keep it, export it first: beepwatch teach --export {name} FILE."
        )


def _example(path: Path) -> bytes:
    """Raises ModelError for one that cannot be read."""
    try:
        return examples.cleaned(content_of(path, examples.MOST_BYTES))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}. Take it out of its folder, or teach the "
            "sound again."
        ) from error


def _pack(parcel: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    parcel.writestr(entry, content)


def _check(entries: Sequence[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    strange = [name for name in names if name != HEAD and not _EXAMPLE.fullmatch(name)]
    if strange or len(set(names)) < len(names) or HEAD not in names:
        shown = shortened(repr(strange or names))
        raise UnusableParcel(f"it holds {shown}, expected one {HEAD} and {EXAMPLES}/*.wav.")
    if len(names) - 1 > MOST_EXAMPLES:
        raise UnusableParcel(f"it holds {len(names) - 1} examples, more than {MOST_EXAMPLES}.")
    whole_bytes = sum(entry.file_size for entry in entries)
    if whole_bytes > MOST_BYTES:
        raise UnusableParcel(f"it holds {whole_bytes} bytes, more than {MOST_BYTES}.")
    if any(entry.compress_type not in _PACKED or entry.flag_bits & 1 for entry in entries):
        raise UnusableParcel("it is encrypted, or packed in a way that no export is.")


def _unpack(parcel: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Not more than that, whatever the file says of its size."""
    with parcel.open(name) as entry:
        content = entry.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise UnusableParcel(f"{name} in it has more than {most_bytes} bytes.")
    return content
