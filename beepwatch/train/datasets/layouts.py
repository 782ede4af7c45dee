"""What the places and names of files say in data sets that everybody uses.

Each layout tells, of paths below a root, label, session, device, split and whatever else it knows.
A path that is none of it is left out.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.validation import shortened

_PATH_COLUMNS = ("path", "file", "filename", "file_name", "name")
_LABEL_COLUMNS = ("label", "category", "class")
_LONGEST_TABLE_BYTES = 200_000_000


class LayoutError(ConfigurationError):
    """Files that do not lie as it was said."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled stretch of a recording."""

    start_s: float
    end_s: float
    label: str


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a layout says of one file."""

    label: str
    cells: dict[str, str] = {}  # by column of dataset.csv, further ones among them
    parts: tuple[Part, ...] | None = None  # None: the whole file is one


Descriptions = dict[str, Described]  # by path below the root
_MIMII = re.compile(r"(?:^|/)(?P<machine>[^/]+)/(?P<id>id_\d+)/(?P<label>normal|abnormal)/[^/]+$")
_SNR = re.compile(r"(?<![\d.])(-?\d+)_?dB(?![a-z])", re.IGNORECASE)
_SECTION = re.compile(
    r"(?:^|/)(?P<machine>[^/]+)/(?P<folder>[^/]*(?:train|test)[^/]*)/"
    r"section_(?P<id>\d+)_(?P<domain>source|target)_(?P<split>train|test)_"
    r"(?P<label>normal|anomaly)_(?P<number>\d+)(?:_(?P<attributes>[^/]*))?\.\w+$"
)
_MACHINE_ID = re.compile(
    r"(?:^|/)(?P<machine>[^/]+)/(?P<split>train|test)/"
    r"(?P<label>normal|anomaly)_(?P<id>id_\d+)_(?P<number>\d+)\.\w+$"
)
_UNTOLD = re.compile(
    r"(?:^|/)(?P<machine>[^/]+)/(?P<split>test)/(?P<id>section_\d+|id_\d+)_(?P<number>\d+)\.\w+$"
)
_IRMAS = re.compile(
    r"(?:^|/)(?P<label>[a-z]{3})/(?P<tags>(?:[^/]*?\[[^/\]]*\])+)(?P<song>\d+)__\d+"
)
_TAGS = re.compile(r"\[([^\]]*)\]")


def by_folder(root: Path, paths: Sequence[str]) -> Descriptions:
    """The folder that holds a file is its label."""
    del root
    return {path: Described(label=PurePosixPath(path).parent.name) for path in paths}


def mimii(root: Path, paths: Sequence[str]) -> Descriptions:
    """`fan/id_00/normal/00000000.wav`, below a folder that may name the signal-to-noise ratio."""
    found: Descriptions = {}
    for path in paths:
        whole = f"{root.resolve().name}/{path}"  # who names the machine's own folder may
        if match := _MIMII.search(whole):
            ratios = _SNR.findall(whole)
            found[path] = Described(
                label=match["label"],
                cells={
                    "device": f"{match['machine']}_{match['id']}",
                    "machine": match["machine"],
                    "snr_db": ratios[-1] if ratios else "",
                },
            )
    return found


def dcase2(root: Path, paths: Sequence[str]) -> Descriptions:
    """`fan/train/section_00_source_train_normal_0000_….wav`; 2020: `fan/test/anomaly_id_00_….wav`.

    The files of the evaluation sets that have no label get none.
    """
    found: Descriptions = {}
    for path in paths:
        whole = f"{root.resolve().name}/{path}"
        match = _SECTION.search(whole) or _MACHINE_ID.search(whole) or _UNTOLD.search(whole)
        if match is None:
            continue
        named = {name: text or "" for name, text in match.groupdict().items()}
        number = named["id"].removeprefix("section_")
        device = number if number.startswith("id_") else f"section_{number}"
        found[path] = Described(
            label={"anomaly": "abnormal"}.get(named.get("label", ""), named.get("label", "")),
            cells={
                "device": f"{named['machine']}_{device}",
                "split": named["split"],
                "machine": named["machine"],
                "domain": named.get("domain", ""),
                "attributes": named.get("attributes", ""),
            },
        )
    return found


def esc50(root: Path, paths: Sequence[str]) -> Descriptions:
    """`audio/1-100032-A-0.wav` and `meta/esc50.csv`; clips of one recording are one session."""
    rows = _beside(root, paths, "meta/esc50.csv", "filename", "audio")
    return {
        path: Described(
            label=row.get("category", ""),
            cells={
                "session": row.get("src_file", ""),
                "fold": row.get("fold", ""),
                "esc10": row.get("esc10", "").lower(),
            },
        )
        for path, row in rows
    }


def urbansound8k(root: Path, paths: Sequence[str]) -> Descriptions:
    """`audio/fold1/101415-3-0-2.wav` and `metadata/UrbanSound8K.csv`; an fsID is one session."""
    rows = _beside(root, paths, "metadata/UrbanSound8K.csv", "slice_file_name", "audio")
    return {
        path: Described(
            label=row.get("class", ""),
            cells={
                "session": row.get("fsID", ""),
                "fold": row.get("fold", ""),
                "salience": row.get("salience", ""),
            },
        )
        for path, row in rows
    }


def irmas(root: Path, paths: Sequence[str]) -> Descriptions:
    """`cel/[cel][cla]0001__1.wav`, by instrument; the test set has a text of them beside each."""
    found: Descriptions = {}
    for path in paths:
        beside = (root / path).with_suffix(".txt")
        if match := _IRMAS.search(path):
            tags = _TAGS.findall(match["tags"])
            session = f"{match['label']}-{match['song']}"
            found[path] = Described(
                label=match["label"], cells={"session": session, "genre": tags[-1]}
            )
        elif beside.is_file():
            instruments = _text(beside).split()
            song = re.sub(r"-\d+$", "", PurePosixPath(path).stem)  # "… -8": a part of it
            found[path] = Described(
                label="+".join(instruments), cells={"session": song, "split": "test"}
            )
    return found


def audacity(root: Path, paths: Sequence[str]) -> Descriptions:
    """A label track beside each recording, `NAME.txt`: start, end and label with tabs between."""
    found: Descriptions = {}
    for path in paths:
        track = (root / path).with_suffix(".txt")
        if track.is_file():
            found[path] = Described(label="", parts=tuple(label_track(track)))
    return found


def label_track(file: Path) -> Iterator[Part]:
    """The stretches of an Audacity label file; points have none. Raises LayoutError."""
    for number, line in enumerate(_text(file).splitlines(), start=1):
        cells = line.split("\t")
        if not line.strip() or cells[0] == "\\":  # the second line of a label: its frequencies
            continue
        try:
            start_s, end_s = (float(cell.replace(",", ".")) for cell in cells[:2])
        except ValueError:
            start_s, end_s = -1.0, -1.0
        if not 0 <= start_s <= end_s < float("inf"):
            raise LayoutError(
                f"{file}: line {number} is {shortened(line)!r}; expected start, end and label "
                "with tabs between. Export the labels from Audacity again."
            )
        if end_s > start_s:
            label = cells[2].strip() if len(cells) > 2 else ""
            yield Part(start_s=start_s, end_s=end_s, label=label)


LAYOUTS: Mapping[str, Callable[[Path, Sequence[str]], Descriptions]] = {
    "mimii": mimii,
    "dcase2": dcase2,
    "esc50": esc50,
    "urbansound8k": urbansound8k,
    "irmas": irmas,
    "audacity": audacity,
}


def describe(layout: str, root: Path, paths: Sequence[str]) -> Descriptions:
    """What a layout says of paths below a root. Raises LayoutError if nothing is of it."""
    if layout not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise LayoutError(f"--layout is {layout!r}; known: {known}.")
    found = LAYOUTS[layout](root, paths)
    if not found:
        expected = (LAYOUTS[layout].__doc__ or "").split(";")[0].split("\n")[0].rstrip(". ")
        raise LayoutError(
            f"nothing below {root} lies as in {layout}: {expected}. "
            "Name the folder above that, or leave --layout out."
        )
    return found


def by_table(table: Path, paths: Sequence[str]) -> Descriptions:
    """What a CSV says of files, by path or, where that is of one file alone, by name.

    Raises LayoutError for a table without a column of paths or of labels, or of other files.
    """
    rows = list(_rows(table))
    columns = rows[0].keys() if rows else ()
    path_column = next((name for name in _PATH_COLUMNS if name in columns), None)
    label_column = next((name for name in _LABEL_COLUMNS if name in columns), None)
    if path_column is None or label_column is None:
        has = f"the columns {shortened(', '.join(columns))}" if rows else "no row below its header"
        raise LayoutError(
            f"{table} has {has}; "
            f"one of {', '.join(_PATH_COLUMNS)} and one of {', '.join(_LABEL_COLUMNS)} are needed."
        )
    by_path = {row[path_column]: row for row in rows}
    names = defaultdict(list)
    for path in paths:
        names[PurePosixPath(path).name].append(path)
    found: Descriptions = {}
    for path in paths:
        name = PurePosixPath(path).name
        row = by_path.get(path) or (by_path.get(name) if len(names[name]) == 1 else None)
        if row is not None:
            others = {k: v for k, v in row.items() if k not in (path_column, label_column)}
            found[path] = Described(label=row[label_column], cells=others)
    if not found:
        raise LayoutError(
            f"{table} names none of the files, {shortened(next(iter(by_path)))!r} for one. "
            "Give paths as they are below the imported folder."
        )
    return found


def _beside(
    root: Path, paths: Sequence[str], table: str, column: str, folder: str
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Paths with their rows of a table that lies at its place below the root, or deeper."""
    tables = sorted(root.rglob(table))
    if not tables:
        raise LayoutError(f"{root} has no {table}. Name the folder, or the archive, that holds it.")
    base = tables[0].parent.parent.relative_to(root)
    rows = {row.get(column, ""): row for row in _rows(tables[0])}
    for path in paths:
        below = PurePosixPath(path)
        if below.is_relative_to(base / folder) and (row := rows.get(below.name)) is not None:
            yield path, row


def _rows(table: Path) -> Iterator[dict[str, str]]:
    """Raises LayoutError for what is no table."""
    try:
        for row in csv.DictReader(_text(table).splitlines(), strict=True):
            yield {name: cell or "" for name, cell in row.items() if isinstance(name, str)}
    except csv.Error as error:
        raise LayoutError(f"{table} is no table: {error}. Mend it.") from error


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LONGEST_TABLE_BYTES:
            raise LayoutError(f"{file} is too long for a table. Leave it out.")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LayoutError(f"{file} is no text: byte {error.start} is no UTF-8. Mend it.") from error
    except OSError as error:
        raise LayoutError(f"{file} cannot be read: {error.strerror}.") from error
