"""Which recordings an import is about, what each of them is, what its clips are to be called."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from beepwatch.capture.files import AUDIO_SUFFIXES
from beepwatch.errors import ConfigurationError, UnreadableAudio
from beepwatch.train.datasets.archives import ARCHIVE_SUFFIXES, ArchiveError, is_archive, unpack
from beepwatch.train.datasets.containers import FOR_IMPORT
from beepwatch.train.datasets.cutting import Channel, Cut
from beepwatch.train.datasets.layouts import Described, LabelTable, by_folder, describe
from beepwatch.train.datasets.walking import files_below
from beepwatch.validation import shortened
from beepwatch.wording import counted

UNLABELLED = "unlabelled"
SUFFIXES = AUDIO_SUFFIXES | FOR_IMPORT
_TABLE_SUFFIXES = frozenset({".csv", ".txt"})
_FORBIDDEN = set('/\\:*?"<>|\0')
_LONGEST_STEM = 120
_LONGEST_NAME_BYTES = 255  # of a folder, on every file system
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)  # as a Path leaves it


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How recordings are brought in."""

    cut: Cut = Cut()
    channel: Channel = "keep"
    layout: str = ""
    table: Path | None = None  # of labels
    label: str = ""  # of all of them
    licence: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One recording that is to be brought in."""

    file: Path
    source: str  # what it is called in the table
    stem: str  # of the clips' names
    described: Described
    origin: Path  # the file as it was given, or the archive that it comes from


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to bring in."""

    jobs: tuple[Job, ...]
    left_out: int  # recordings of which the layout or the table says nothing
    without_file: tuple[str, ...]  # what the table names and no source has
    archives: tuple[str, ...]  # that lie in a source, and are not opened
    problems: tuple[str, ...]  # sources that give nothing


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in one source."""

    root: Path  # a folder
    paths: tuple[str, ...]  # of recordings, below it
    archives: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()  # folders that are closed


def gather(sources: Sequence[Path], out: Path, place: Path, manner: Manner) -> Gathered:
    """All recordings of all sources, each with names of its own, in a fixed order.

    What lies below `out` already is none of them. Archives are unpacked below `place`. A source
    without any is a problem. Raises ConfigurationError, and UnreadableAudio if it is all of them.
    """
    jobs: list[Job] = []
    problems: list[str] = []
    archives: list[str] = []
    left_out = 0
    taken: set[tuple[str, str]] = set()
    names: dict[str, int] = {}
    empty: list[Path] = []
    table = LabelTable(manner.table) if manner.table is not None else None
    sources = _each_once(sources)
    for number, source in enumerate(sources):
        name = source.resolve().name or "recordings"
        names[name] = names.get(name, 0) + 1
        name = name if names[name] == 1 else f"{name}-{names[name]}"
        try:
            found = _opened(source, out, place / f"unpacked-{number}")
        except ArchiveError as error:
            problems.append(str(error))
            continue
        problems += found.problems
        archives += (_as_text(f"{name}/{path}") for path in found.archives)
        if not found.paths:
            empty += [] if found.problems else [source]
            continue
        described = _described(source, found, manner, table)
        left_out += len(found.paths) - len(described)
        for path in found.paths:
            if path not in described:
                continue
            one = described[path]
            alone = source.is_file() and not is_archive(source)
            text = _as_text(name if alone else f"{name}/{path}")
            stem = _stem(_as_text(path), one.label)
            if (folder_of(one.label), stem) in taken:
                stem = f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            taken.add((folder_of(one.label), stem))
            file = found.root / path
            origin = (source if is_archive(source) else file).resolve()
            jobs.append(Job(file=file, source=text, stem=stem, described=one, origin=origin))
    if empty and len(empty) == len(sources):
        raise UnreadableAudio(_nothing_in(", ".join(map(str, empty)), archives))
    problems += (_nothing_in(str(source), ()) for source in empty)
    return Gathered(
        jobs=tuple(jobs),
        left_out=left_out,
        without_file=tuple(table.without_file()) if table is not None else (),
        archives=tuple(archives),
        problems=tuple(problems),
    )


def _each_once(sources: Sequence[Path]) -> list[Path]:
    """Without those that were named before, and those that lie in a folder which is named too."""
    places = {source.resolve(): source for source in reversed(sources)}
    return [
        source
        for place, source in reversed(places.items())
        if is_archive(source)
        or not any(_brings(folder, place) for folder in places.keys() & {*place.parents})
    ]


def _brings(folder: Path, place: Path) -> bool:
    """Whether the recordings below a folder are those of a place in it, too."""
    return not any(part.startswith(".") for part in place.relative_to(folder).parts)


def _nothing_in(sources: str, archives: Sequence[str]) -> str:
    if archives:
        what = counted(len(archives), "archive")
        todo = f"Name what is in it as sources: {what}, {shortened(archives[0])!r} for one"
    else:
        todo = "Name another folder or file"
    return f"there is no recording in {sources}. {todo}."


def _as_text(name: str) -> str:
    """A name that is no UTF-8, as it can stand in a table."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _opened(source: Path, out: Path, unpacked: Path) -> _Found:
    """Raises ConfigurationError, ArchiveError."""
    if source.is_dir():
        return _found_below(source, out)
    check_is_there(source)
    if not is_archive(source):
        return _Found(root=source.parent, paths=(source.name,))
    unpacked /= _without_suffix(source.name)  # layouts read names of folders
    unpacked.mkdir(parents=True)
    wanted = SUFFIXES | _TABLE_SUFFIXES
    within: list[str] = []

    def is_wanted(name: str) -> bool:
        place = PurePosixPath(name)
        if is_archive(place):
            within.append(name)
        return place.suffix.lower() in wanted

    unpack(source, unpacked, is_wanted)
    found = _found_below(unpacked, None)
    return msgspec.structs.replace(found, archives=tuple(sorted(within)))


def check_is_there(source: Path) -> None:
    """Raises ConfigurationError."""
    if source.is_dir() or source.is_file():
        return
    if address := _ADDRESS.match(str(source)):
        raise ConfigurationError(
            f"{address[1]}://{address[2]} is an address, and import takes what is on a disk "
            "here. Fetch it first; check, features and scan take addresses."
        )
    if source.exists():
        raise ConfigurationError(
            f"{source} is no file but a pipe or a device. Name a recording, a folder or an archive."
        )
    raise ConfigurationError(f"{source} does not exist. Check the path.")


def _without_suffix(name: str) -> str:
    suffix = next(each for each in ARCHIVE_SUFFIXES if name.lower().endswith(each))
    return name[: -len(suffix)] or "archive"


def _found_below(root: Path, but: Path | None) -> _Found:
    """Raises ConfigurationError for what is the data set itself."""
    resolved, left_out = root.resolve(), but.resolve() if but is not None else None
    if left_out is not None and resolved.is_relative_to(left_out):
        what = "the data set itself" if resolved == left_out else f"a part of the data set {but}"
        raise ConfigurationError(
            f"{root} is {what}. `beepwatch dataset index {but}` lists what is in it."
        )
    problems: list[str] = []
    files = files_below(
        root,
        lambda _folder, problem: problems.append(problem),
        lambda file: file.suffix.lower() in SUFFIXES or is_archive(file),
    )
    paths: list[str] = []
    archives: list[str] = []
    for file in files:
        below = file.relative_to(root)
        if left_out not in (resolved / below).parents and file.is_file():
            (archives if is_archive(file) else paths).append(below.as_posix())
    return _Found(
        root=root,
        paths=tuple(sorted(paths)),
        archives=tuple(sorted(archives)),
        problems=tuple(problems),
    )


def _described(
    source: Path, found: _Found, manner: Manner, table: LabelTable | None
) -> Mapping[str, Described]:
    root, paths = found.root, found.paths
    if manner.layout:
        return describe(manner.layout, root, paths)
    if table is not None:
        return table.describe(paths)
    if manner.label:
        return {path: Described(label=manner.label) for path in paths}
    if root != source and not is_archive(source):  # a file by itself says nothing
        return {path: Described(label="") for path in paths}
    return {
        path: Described(label=_as_text(one.label or _of_root(source)))
        for path, one in by_folder(root, paths).items()
    }


def _of_root(source: Path) -> str:
    return "" if is_archive(source) else source.resolve().name


def _stem(path: str, label: str) -> str:
    """The way to a file as one name, the label's folder left out."""
    place = PurePosixPath(path)
    parts = [part for part in place.parent.parts if part != label] + [place.stem]
    name = "_".join(parts).replace(".", "_")  # dots are for numbers of pieces
    clean = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in name)
    if len(clean.encode()) > _LONGEST_STEM:
        digest = hashlib.sha256(clean.encode()).hexdigest()[:8]
        clean = f"{clean.encode()[-_LONGEST_STEM:].decode(errors='ignore')}-{digest}"
    return clean.lstrip("-") or "clip"


def folder_of(label: str) -> str:
    """The name of a label's folder: one that is not hidden, and leads nowhere else."""
    clean = "".join("_" if c in _FORBIDDEN or not c.isprintable() else c for c in label)
    short = clean.strip(". ")[:_LONGEST_STEM]
    return short.encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore") or UNLABELLED
