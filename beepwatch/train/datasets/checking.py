"""`beepwatch dataset check`: what a data set holds and what is wrong with it. Deletes nothing."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from beepwatch.train.datasets.catalogue import NAME, clips_below, no_recordings, table_of
from beepwatch.train.datasets.containers import expected_containers
from beepwatch.train.datasets.fingerprints import Fingerprint, Sketches, alike
from beepwatch.train.datasets.inspecting import Inspection, is_mislabelled
from beepwatch.train.datasets.remote import Location, Remote, recordings_below
from beepwatch.train.datasets.splitting import GROUPED_BY, check_columns
from beepwatch.train.datasets.surveying import Journal, Unseen, survey
from beepwatch.train.datasets.tables import csv_text
from beepwatch.whole_files import write_whole
from beepwatch.wording import printable

QUARANTINE = "quarantine.csv"
_COLUMNS = ("path", "reason", "detail")
QUARANTINE_BEGINS = ",".join(_COLUMNS).encode()
SILENT_DBFS = -70.0  # of the loudest 50 ms
CLIPPED_SHARE = 1e-4  # of the samples: 1.6 in a second at 16 kHz
_LAST = ("test", "dev", "validation", "train")  # of a pair, who is in the former stays


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that is wrong with one file."""

    path: str
    reason: str
    detail: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many recordings, and how long together, have each value of a property."""

    files: int
    seconds: float
    labels: dict[str, tuple[int, float]]
    rates_hz: dict[str, tuple[int, float]]
    channels: dict[str, tuple[int, float]]
    bits: dict[str, tuple[int, float]]
    durations: dict[str, tuple[int, float]]
    formats: dict[str, tuple[int, float]]
    splits: dict[str, tuple[int, float]]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """All that a check tells."""

    counts: Counts
    findings: tuple[Finding, ...]


_DURATIONS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0)


class _Tally:
    """Counts and seconds by property and value."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, list[float]]] = defaultdict(dict)

    def add(self, seconds: float, **values: str) -> None:
        for name, value in values.items():
            cell = self._sums[name].setdefault(value, [0, 0.0])
            cell[0] += 1
            cell[1] += seconds

    def of(self, name: str) -> dict[str, tuple[int, float]]:
        """Most first; durations and other numbers by size."""
        cells = {
            value: (int(count), round(seconds, 3))
            for value, (count, seconds) in self._sums[name].items()
        }
        if name == "duration":
            return dict(sorted(cells.items(), key=lambda cell: _duration_rank(cell[0])))
        return dict(sorted(cells.items(), key=lambda cell: (-cell[1][0], cell[0])))


def _duration_class(seconds: float) -> str:
    for limit in _DURATIONS_S:
        if seconds < limit:
            return f"under {limit:g} s"
    return f"{_DURATIONS_S[-1]:g} s and more"


def _duration_rank(text: str) -> float:
    return float("inf") if text.endswith("more") else float(text.split()[1])


def check(
    directory: Location,
    *,
    by: Sequence[str] = GROUPED_BY,
    workers: int = 1,
    cluster: str | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Checked:
    """Look at every recording of a data set.

    Raises CatalogueError, SplitError, SpreadError, UnreadableAudio.

    Findings are sorted by path. Leaks are looked for among the splits of `dataset.csv`, where there
    is one.
    """
    closed: dict[Path, str] = {}  # what is told of folders that cannot be looked into
    paths = (
        recordings_below(directory)
        if isinstance(directory, Remote)
        else clips_below(directory, closed.__setitem__)
    )
    table = table_of(directory)
    rows = table.rows
    if rows:
        check_columns(by, table.columns)
    if not paths and not rows:
        raise no_recordings(directory, [*closed.values()])
    tally = _Tally()
    findings = [
        Finding(
            path=printable(folder.relative_to(str(directory)).as_posix()),
            reason="corrupt",
            detail=problem,
        )
        for folder, problem in closed.items()
    ]
    sounding: list[tuple[str, str]] = []  # path and digest of what can be compared
    sketches = Sketches()
    with Journal(directory) as journal:
        for one in survey(
            directory,
            paths,
            journal,
            workers=workers,
            cluster=cluster,
            report=lambda done: report(done, len(paths)),
        ):
            if isinstance(one, Unseen):
                findings.append(Finding(path=one.path, reason="corrupt", detail=one.problem))
                continue
            row = rows.get(one.path, {})
            _count(tally, one, row)
            findings += file_findings(one)
            findings += _changed(one, row)
            if one.fingerprint:
                fingerprint = Fingerprint.from_text(one.fingerprint)
                sketches.add(fingerprint)
                sounding.append((one.path, one.sha256))
        alike_ones = _pairs(sounding, sketches, _Loader(journal, sounding), rows)
        pairs = [pair for pair in alike_ones if not _are_channels(pair, rows)]
    findings += duplicate_findings(pairs)
    findings += leak_findings(rows, pairs, by)
    findings += [
        Finding(path=path, reason="missing", detail=f"is in {NAME}, and not there")
        for path in rows.keys() - set(paths)
    ]
    return Checked(counts=_counts(tally, len(paths)), findings=tuple(sorted(findings)))


class _Loader:
    """Fingerprints by number: from the journal, the last few in memory."""

    _KEPT = 4_096

    def __init__(self, journal: Journal, sounding: Sequence[tuple[str, str]]) -> None:
        self._journal = journal
        self._sounding = sounding
        self._held: dict[int, Fingerprint] = {}

    def __call__(self, number: int) -> Fingerprint:
        if number not in self._held:
            if len(self._held) >= self._KEPT:
                self._held.pop(next(iter(self._held)))
            path = self._sounding[number][0]
            self._held[number] = Fingerprint.from_text(self._journal.find(path).fingerprint)
        return self._held[number]


def file_findings(one: Inspection) -> Iterator[Finding]:
    """What is wrong with a file by itself."""

    def found(reason: str, detail: str) -> Finding:
        return Finding(path=one.path, reason=reason, detail=detail)

    if is_mislabelled(one):
        expected = " or ".join(expected_containers(Path(one.path)))
        yield found("mislabelled", f"is named as {expected}, and its bytes are {one.container}")
    if one.samples == 0:
        empty = one.size_bytes == 0 or "single sample" in one.problem
        yield found("empty" if empty else "corrupt", one.problem)
        return
    if one.problem or one.lacks:
        yield found("truncated", one.problem or one.lacks)
    if one.loudest_dbfs is None or one.loudest_dbfs < SILENT_DBFS:
        level = "digital silence" if one.loudest_dbfs is None else f"{one.loudest_dbfs:.1f} dBFS"
        yield found("silent", f"the loudest 50 ms: {level}")
    if one.clipped >= max(1.0, CLIPPED_SHARE * one.samples):
        share = 100 * one.clipped / one.samples
        yield found("clipped", f"{one.clipped:,} samples in flat tops, {share:.2f} %")


def _changed(one: Inspection, row: Mapping[str, str]) -> Iterator[Finding]:
    if row.get("sha256") and row["sha256"] != one.sha256:
        yield Finding(
            path=one.path, reason="changed", detail=f"is not the file that {NAME} lists (sha256)"
        )


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two recordings of the same sound."""

    first: str  # who stays: in the split that matters more, or first by path
    second: str
    errors: float | None  # share of the fingerprint's bits; None: the same bytes


def _pairs(
    sounding: Sequence[tuple[str, str]],
    sketches: Sketches,
    load: _Loader,
    rows: Mapping[str, Mapping[str, str]],
) -> Iterator[Pair]:
    def seniority(path: str) -> tuple[bool, tuple[int, str], str]:
        split = rows.get(path, {}).get("split", "")
        return not split, _rank(split), path

    same: dict[str, list[str]] = defaultdict(list)
    for path, digest in sounding:
        same[digest].append(path)
    for paths in same.values():
        first, *copies = sorted(paths, key=seniority)
        for copy in copies:
            yield Pair(first=first, second=copy, errors=None)
    for one, other, errors in alike(sketches, load):
        if sounding[one][1] != sounding[other][1]:
            first, second = sorted((sounding[one][0], sounding[other][0]), key=seniority)
            yield Pair(first=first, second=second, errors=errors)


def _are_channels(pair: Pair, rows: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether two clips are channels of one recording, which sound alike as they should."""
    one, other = rows.get(pair.first, {}), rows.get(pair.second, {})
    channels = one.get("channel", ""), other.get("channel", "")
    same = all(one.get(name, "") == other.get(name, "") for name in ("session", "start_s"))
    return bool(one.get("session")) and same and all(channels) and channels[0] != channels[1]


def duplicate_findings(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """The second one of each pair, named once, and by the same bytes if there are such."""
    told: set[str] = set()
    for pair in sorted(pairs, key=lambda pair: (pair.errors is not None, pair.second, pair.first)):
        if pair.second in told:
            continue
        told.add(pair.second)
        if pair.errors is None:
            yield Finding(
                path=pair.second, reason="duplicate", detail=f"the same bytes as {pair.first}"
            )
        else:
            yield Finding(
                path=pair.second,
                reason="near-duplicate",
                detail=f"sounds as {pair.first} does; {100 * pair.errors:.0f} % of bits differ",
            )


def leak_findings(
    rows: Mapping[str, Mapping[str, str]], pairs: Sequence[Pair], by: Sequence[str]
) -> Iterator[Finding]:
    """What is in one split and belongs together with something in another.

    What is tested on stays; what was trained on with it is named.
    """
    split_of = {path: row["split"] for path, row in rows.items() if row.get("split")}
    told: set[str] = set()
    for column in by:
        members: dict[str, list[str]] = defaultdict(list)
        for path in split_of:
            if value := rows[path].get(column, ""):
                members[value].append(path)
        for value, paths in sorted(members.items()):
            yield from _leaks(paths, split_of, f"the {column} {value}", told)
    for pair in pairs:
        if pair.first in split_of and pair.second in split_of:
            both = [pair.first, pair.second]
            yield from _leaks(both, split_of, "the same sound", told)


def _leaks(
    paths: Sequence[str], split_of: Mapping[str, str], what: str, told: set[str]
) -> Iterator[Finding]:
    splits = sorted({split_of[path] for path in paths}, key=_rank)
    if len(splits) < 2:
        return
    stays = next(path for path in sorted(paths) if split_of[path] == splits[0])
    for path in paths:
        if split_of[path] != splits[0] and path not in told:
            told.add(path)
            detail = f"in {split_of[path]}: {what} is in {splits[0]} too, as {stays}"
            yield Finding(path=path, reason="leak", detail=detail)


def _rank(split: str) -> tuple[int, str]:
    return (_LAST.index(split) if split in _LAST else len(_LAST), split)


def _count(tally: _Tally, one: Inspection, row: Mapping[str, str]) -> None:
    media = one.media
    if media is None:
        return
    tally.add(
        one.duration_s,
        all="all",
        label=row.get("label") or Path(one.path).parent.name or "-",
        rate=str(media.rate_hz),
        channels=str(media.channels),
        bits=str(media.bits) if media.bits else "none (lossy)",
        duration=_duration_class(one.duration_s),
        format=f"{one.container}, {media.codec}",
        split=row.get("split") or "-",
    )


def _counts(tally: _Tally, files: int) -> Counts:
    return Counts(
        files=files,
        seconds=tally.of("all").get("all", (0, 0.0))[1],
        labels=tally.of("label"),
        rates_hz=tally.of("rate"),
        channels=tally.of("channels"),
        bits=tally.of("bits"),
        durations=tally.of("duration"),
        formats=tally.of("format"),
        splits=tally.of("split"),
    )


def write_quarantine(file: Path, findings: Sequence[Finding]) -> None:
    """Put the list in the file's place at once: path, reason, detail. Raises OSError."""
    text = csv_text([_COLUMNS, *((one.path, one.reason, one.detail) for one in findings)])
    write_whole(file, text.encode())


def quarantined(file: Path) -> set[str]:
    """Paths that a list names; none if there is no list.

    Raises OSError, and KeyError, ValueError or csv.Error for what is no such list.
    """
    if not file.is_file():
        return set()
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return {row["path"] for row in csv.DictReader(opened)}


def reasons(findings: Sequence[Finding]) -> dict[str, int]:
    """How many files there are with each reason, most first."""
    return dict(Counter(one.reason for one in findings).most_common())
