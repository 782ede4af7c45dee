"""What the places and names of files say in data sets that everybody uses.

Each layout tells, of paths below a root, label, session, device, split and whatever else it knows.
A path that is none of it is left out.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.tables import rows_of, text_of
from beepwatch.validation import shortened

_PATH_COLUMNS = ("path", "file", "filename", "file_name", "name")
_LABEL_COLUMNS = ("label", "category", "class")


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
_INSTRUMENTS = re.compile(r"\s*[a-z]{3}(\s+[a-z]{3})*\s*")  # a text of the test set, all of it


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
        if match := _IRMAS.search(path):
            tags = _TAGS.findall(match["tags"])
            session = f"{match['label']}-{match['song']}"
            found[path] = Described(
                label=match["label"], cells={"session": session, "genre": tags[-1]}
            )
        elif instruments := _instruments_beside(root / path):
            song = re.sub(r"-\d+$", "", PurePosixPath(path).stem)  # "… -8": a part of it
            found[path] = Described(
                label="+".join(instruments), cells={"session": song, "split": "test"}
            )
    return found


def _instruments_beside(recording: Path) -> list[str]:
    """Of a recording of the test set; none where the text beside it is any other."""
    beside = recording.with_suffix(".txt")
    text = text_of(beside) if beside.is_file() else ""
    return text.split() if _INSTRUMENTS.fullmatch(text) else []


def audacity(root: Path, paths: Sequence[str]) -> Descriptions:
    """A label track beside each recording, `NAME.txt`: start, end and label with tabs between."""
    found: Descriptions = {}
    for path in paths:
        track = (root / path).with_suffix(".txt")
        if track.is_file():
            found[path] = Described(label="", parts=tuple(label_track(track)))
    return found


def label_track(file: Path) -> Iterator[Part]:
    """The stretches of an Audacity label file; points have none. Raises LayoutError, TableError."""
    for number, line in enumerate(text_of(file).splitlines(), start=1):
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


class LabelTable:
    """What a CSV says of files, by path or, where that is of one file alone, by name.

    Raises LayoutError for a table without a column of paths or of labels, or that says two things
    of one file; TableError for what is no table.
    """

    def __init__(self, file: Path) -> None:
        rows = list(rows_of(file))
        columns = rows[0].keys() if rows else ()
        path_column = _column(columns, _PATH_COLUMNS)
        label_column = _column(columns, _LABEL_COLUMNS)
        if path_column is None or label_column is None:
            has = (
                f"the columns {shortened(', '.join(columns))}"
                if rows
                else "no row below its header"
            )
            raise LayoutError(
                f"{file} has {has}; one of {', '.join(_PATH_COLUMNS)} and one of "
                f"{', '.join(_LABEL_COLUMNS)} are needed."
            )
        self._file = file
        self._written: dict[str, str] = {}  # by path: the path as the table has it
        self._described: dict[str, Described] = {}
        self._named: set[str] = set()  # that a file was found for
        for row in rows:
            path = spelt(row[path_column])
            others = {k: v for k, v in row.items() if k not in (path_column, label_column)}
            described = Described(label=row[label_column].strip(), cells=others)
            if self._described.setdefault(path, described) != described:
                raise LayoutError(
                    f"{file} names {shortened(row[path_column])!r} twice, and differently: "
                    f"{shortened(self._described[path].label)!r} and "
                    f"{shortened(described.label)!r}. Keep one row for each recording."
                )
            self._written[path] = row[path_column]

    def describe(self, paths: Sequence[str]) -> Descriptions:
        """Of files below one folder. Raises LayoutError if none of them is named."""
        names = Counter(PurePosixPath(path).name for path in paths)
        found: Descriptions = {}
        for path in paths:
            name = PurePosixPath(path).name
            for given in (path, name) if names[name] == 1 else (path,):
                if (described := self._described.get(spelt(given))) is not None:
                    found[path] = described
                    self._named.add(spelt(given))
                    break
        if not found:
            raise LayoutError(
                f"{self._file} names none of the files, "
                f"{shortened(next(iter(self._written.values())))!r} for one. "
                "Give paths as they are below the imported folder."
            )
        return found

    def without_file(self) -> list[str]:
        """What the table names and none of the folders so far had, in its order."""
        return [text for path, text in self._written.items() if path not in self._named]


def _column(columns: Iterable[str], known: Sequence[str]) -> str | None:
    """The first of the known ones that is there, in large or small letters."""
    there = {name.casefold(): name for name in columns}
    return next((there[name] for name in known if name in there), None)


def spelt(path: str) -> str:
    """A path in one spelling: tables come from Windows and macOS, with ./ and without.

    Of the letters only the suffix's are made small: recorders write .WAV, programs .wav.
    """
    place = PurePosixPath(unicodedata.normalize("NFC", path.strip().replace("\\", "/")))
    return place.with_suffix(place.suffix.lower()).as_posix() if place.name else ""


def _beside(
    root: Path, paths: Sequence[str], table: str, column: str, folder: str
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Paths with their rows of a table that lies at its place below the root, or deeper."""
    tables = sorted(root.rglob(table))
    if not tables:
        raise LayoutError(f"{root} has no {table}. Name the folder, or the archive, that holds it.")
    base = tables[0].parent.parent.relative_to(root)
    rows = {spelt(row.get(column, "")): row for row in rows_of(tables[0])}
    if "" in rows:
        raise LayoutError(f"{tables[0]} has a row without {column}. Take the table as it came.")
    for path in paths:
        below = PurePosixPath(path)
        if not below.is_relative_to(base / folder):
            continue
        if (row := rows.get(spelt(below.name))) is not None:
            yield path, row
