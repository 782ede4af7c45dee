"""`beepwatch dataset index`: `dataset.csv` from what the files are and where they lie.

What is measured is measured again when a file has changed; what somebody has filled in stays.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from beepwatch.train.datasets.catalogue import (
    Catalogue,
    Table,
    check_text,
    clips_below,
    no_recordings,
    seconds_cell,
)
from beepwatch.train.datasets.inspecting import Inspection
from beepwatch.train.datasets.layouts import describe
from beepwatch.train.datasets.splitting import (
    FOLD,
    GROUPED_BY,
    Dealt,
    check_columns,
    deal,
    folds,
    held_out,
    lacking_labels,
)
from beepwatch.train.datasets.surveying import Journal, Unseen, survey

MEASURED = (*("sha256", "duration_s", "rate_hz", "channels", "bits", "peak_dbfs", "clipped"),)
Cells = dict[str, str]


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """How an index divides what it lists."""

    shares: Mapping[str, float] | None = None  # None: splits are left as they are
    by: tuple[str, ...] = GROUPED_BY
    seed: int = 0
    left_out: str = ""  # the column of which each value is a fold
    held_out: str = ""  # the one value of it that is to be tested on


class Indexed(msgspec.Struct, frozen=True, kw_only=True):
    """What an index lists."""

    listed: int
    added: int
    missing: tuple[str, ...]  # rows whose file is not there; they are kept
    problems: tuple[str, ...]  # lines about files that are not listed
    dealt: Dealt | None = None
    lacking: Mapping[str, tuple[str, ...]] = {}  # by split: labels that others have and it has not


def index(
    directory: Path,
    division: Division,
    *,
    known: Callable[[Sequence[str]], Iterable[Cells]] | None = None,
    constants: Mapping[str, str] | None = None,
    workers: int = 1,
    cluster: str | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Indexed:
    """Bring the table of a data set up to date with its files.

    `known` says what a layout or a person knows of clips by their paths, `constants` what is true
    of all that have nothing else. Raises CatalogueError, SplitError, SpreadError,
    ConfigurationError, and UnreadableAudio where there is nothing to list.
    """
    check_text(constants or {})
    rows: list[Cells] = []
    problems: list[str] = []
    paths = clips_below(directory, lambda _folder, problem: problems.append(problem))
    catalogue = Catalogue(directory)
    before = catalogue.table()  # one that is none is said before an hour's work
    if not paths and not before.rows:
        raise no_recordings(directory, problems)
    described = known(paths) if known is not None else map(_by_folder, paths)
    knowledge = {cells["path"]: cells for cells in described}
    with Journal(directory) as journal:
        for one in survey(
            directory,
            paths,
            journal,
            workers=workers,
            cluster=cluster,
            report=lambda done: report(done, len(paths)),
        ):
            problem = one.problem
            if isinstance(one, Unseen) or problem:
                problems.append(problem)
            else:
                rows.append(measured_cells(one))
    dealt: list[Dealt] = []

    def change(table: Table) -> Table:
        revised = _revised(table, rows, knowledge, constants or {})
        divided, one = _divided(revised, division)
        dealt.extend([one] if one else [])
        return divided

    after = catalogue.revise(change)
    there = set(paths)
    return Indexed(
        listed=len(after.rows),
        added=len(after.rows.keys() - before.rows.keys()),
        missing=tuple(path for path in after.rows if path not in there),
        problems=tuple(problems),
        dealt=dealt[0] if dealt else None,
        lacking=lacking_labels(after.rows.values()),
    )


def measured_cells(inspection: Inspection) -> Cells:
    """The cells of a row that are measured."""
    media = inspection.media
    peak = inspection.peak_dbfs
    return {
        "path": inspection.path,
        "sha256": inspection.sha256,
        "duration_s": seconds_cell(inspection.duration_s),
        "rate_hz": str(media.rate_hz) if media else "",
        "channels": str(media.channels) if media else "",
        "bits": str(media.bits) if media and media.bits else "",
        "peak_dbfs": "-inf" if peak is None else f"{peak:.2f}",
        "clipped": str(inspection.clipped),
    }


def _by_folder(path: str) -> Cells:
    """A clip's label is the name of the folder that it lies in."""
    return {"path": path, "label": PurePosixPath(path).parent.name}


def cells_of_layout(layout: str, directory: Path, paths: Sequence[str]) -> Iterator[Cells]:
    """What a layout says of files where they lie. Raises LayoutError."""
    for path, described in describe(layout, directory, paths).items():
        yield {**described.cells, "path": path, "label": described.label}


def _revised(
    table: Table,
    measured: Sequence[Cells],
    knowledge: Mapping[str, Cells],
    constants: Mapping[str, str],
) -> Table:
    """With all measured cells, and of the others those that were empty; new rows sorted in."""
    extra = (name for cells in knowledge.values() for name in cells)
    columns = tuple(dict.fromkeys([*table.columns, *MEASURED, *extra, *constants]))
    rows = {path: dict.fromkeys(columns, "") | row for path, row in table.rows.items()}
    for cells in measured:
        path = cells["path"]
        row = rows.setdefault(path, dict.fromkeys(columns, ""))
        row |= cells
        for name, cell in {**constants, **knowledge.get(path, {})}.items():
            row[name] = row[name] or cell
    new = sorted(rows.keys() - table.rows.keys())
    return Table(columns=columns, rows={path: rows[path] for path in (*table.rows, *new)})


def _divided(table: Table, division: Division) -> tuple[Table, Dealt | None]:
    rows = list(table.rows.values())
    dealt: Dealt | None = None
    if division.left_out and division.held_out:
        column, cells = "split", held_out(rows, division.left_out, division.held_out)
    elif division.left_out:
        column, cells = FOLD, folds(rows, division.left_out)
    elif division.shares is not None:
        check_columns(division.by, table.columns)
        dealt = deal(rows, division.shares, by=division.by, seed=division.seed)
        column, cells = "split", dealt.splits
    else:
        return table, None
    columns = tuple(dict.fromkeys([*table.columns, column]))
    blank = dict.fromkeys(columns, "")
    changed = {
        path: blank | row | ({column: cells[path]} if path in cells else {})
        for path, row in table.rows.items()
    }
    return Table(columns=columns, rows=changed), dealt
