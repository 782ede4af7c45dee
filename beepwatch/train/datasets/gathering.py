"""Which recordings an import is about, what each of them is, what its clips are to be called."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from beepwatch.capture.files import AUDIO_SUFFIXES
from beepwatch.errors import ConfigurationError, UnreadableAudio
from beepwatch.train.datasets.archives import ARCHIVE_SUFFIXES, ArchiveError, is_archive, unpack
from beepwatch.train.datasets.cutting import Channel, Cut
from beepwatch.train.datasets.layouts import Described, by_folder, by_table, describe
from beepwatch.train.datasets.walking import files_below

UNLABELLED = "unlabelled"
SUFFIXES = AUDIO_SUFFIXES | {
    *(".3gp", ".ac3", ".aifc", ".ape", ".au", ".avi", ".caf", ".dsf", ".flv", ".gsm", ".m4b"),
    *(".mkv", ".mov", ".mp2", ".mpc", ".mpeg", ".mpg", ".rm", ".snd", ".spx", ".tak", ".ts"),
    *(".tta", ".voc", ".w64", ".wv"),
}
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
    problems: tuple[str, ...]  # sources that give nothing


def gather(sources: Sequence[Path], out: Path, place: Path, manner: Manner) -> Gathered:
    """All recordings of all sources, each with names of its own, in a fixed order.

    What lies below `out` already is none of them. Archives are unpacked below `place`. A source
    without any is a problem. Raises ConfigurationError, and UnreadableAudio if it is all of them.
    """
    jobs: list[Job] = []
    problems: list[str] = []
    left_out = 0
    taken: set[tuple[str, str]] = set()
    names: dict[str, int] = {}
    empty: list[Path] = []
    for number, source in enumerate(sources):
        name = source.resolve().name or "recordings"
        names[name] = names.get(name, 0) + 1
        name = name if names[name] == 1 else f"{name}-{names[name]}"
        try:
            root, paths, closed = _opened(source, out, place / f"unpacked-{number}")
        except ArchiveError as error:
            problems.append(str(error))
            continue
        problems += closed
        if not paths:
            empty += [] if closed else [source]
            continue
        described = _described(source, root, paths, manner)
        left_out += len(paths) - len(described)
        for path in paths:
            if path not in described:
                continue
            one = described[path]
            alone = source.is_file() and not is_archive(source)
            text = _as_text(name if alone else f"{name}/{path}")
            stem = _stem(_as_text(path), one.label)
            if (one.label, stem) in taken:
                stem = f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
            taken.add((one.label, stem))
            file = root / path
            origin = (source if is_archive(source) else file).resolve()
            jobs.append(Job(file=file, source=text, stem=stem, described=one, origin=origin))
    if empty and len(empty) == len(sources):
        raise UnreadableAudio(_nothing_in(", ".join(map(str, empty))))
    problems += (_nothing_in(str(source)) for source in empty)
    return Gathered(jobs=tuple(jobs), left_out=left_out, problems=tuple(problems))


def _nothing_in(sources: str) -> str:
    return f"there is no recording in {sources}. Name another folder or file."


def _as_text(name: str) -> str:
    """A name that is no UTF-8, as it can stand in a table."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _opened(source: Path, out: Path, unpacked: Path) -> tuple[Path, list[str], list[str]]:
    """A folder, the paths of recordings below it, and a line for each folder that is closed.

    Raises ConfigurationError, ArchiveError.
    """
    if source.is_dir():
        return source, *_recordings_below(source, out)
    check_is_there(source)
    if not is_archive(source):
        return source.parent, [source.name], []
    unpacked /= _without_suffix(source.name)  # layouts read names of folders
    unpacked.mkdir(parents=True)
    wanted = SUFFIXES | _TABLE_SUFFIXES
    unpack(source, unpacked, lambda name: PurePosixPath(name).suffix.lower() in wanted)
    return unpacked, *_recordings_below(unpacked, None)


def check_is_there(source: Path) -> None:
    """Raises ConfigurationError."""
    if source.is_dir() or source.is_file():
        return
    if address := _ADDRESS.match(str(source)):
        raise ConfigurationError(
            f"{address[1]}://{address[2]} is an address, and import takes what is on a disk "
            "here. Fetch it first; check, features and scan take addresses."
        )
    raise ConfigurationError(f"{source} does not exist. Check the path.")


def _without_suffix(name: str) -> str:
    suffix = next(each for each in ARCHIVE_SUFFIXES if name.lower().endswith(each))
    return name[: -len(suffix)] or "archive"


def _recordings_below(root: Path, but: Path | None) -> tuple[list[str], list[str]]:
    resolved, left_out = root.resolve(), but.resolve() if but is not None else None
    if resolved == left_out:
        raise ConfigurationError(
            f"{root} is the data set itself. `beepwatch dataset index {root}` lists what is in it."
        )
    closed: list[str] = []
    found = files_below(
        root,
        lambda _folder, problem: closed.append(problem),
        lambda file: file.suffix.lower() in SUFFIXES,
    )
    below = (file.relative_to(root) for file in found)
    paths = (path for path in below if left_out not in (resolved / path).parents)
    return sorted(path.as_posix() for path in paths if (root / path).is_file()), closed


def _described(
    source: Path, root: Path, paths: Sequence[str], manner: Manner
) -> Mapping[str, Described]:
    if manner.layout:
        return describe(manner.layout, root, paths)
    if manner.table is not None:
        return by_table(manner.table, paths)
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
