"""Verbs about the recordings of a data set: import, index, check."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beepwatch.cli.dataset import dataset_app
from beepwatch.cli.dataset_files import (
    check_may_be_written,
    say_other_formats,
    unwritten_files,
)
from beepwatch.cli.options import (
    Dask,
    complain,
    directory_or_url,
    example,
    finite,
    named,
    of_extra,
    say_links,
)
from beepwatch.errors import ConfigurationError, UnreadableAudio, install_with
from beepwatch.validation import shortened
from beepwatch.wording import counted

if TYPE_CHECKING:
    from beepwatch.train.datasets.importing import Imported
    from beepwatch.train.datasets.indexing import Division, Indexed

DataSet = Annotated[
    Path,
    typer.Argument(metavar="DIR", exists=True, file_okay=False, help="The data set."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, max=256, help="Processes. Default: one for each core."),
]
By = Annotated[
    str,
    typer.Option(
        "--by", metavar="A,B,…", help="Columns of dataset.csv; who shares a value stays together."
    ),
]
_BY = "session,device"
_PNG_BEGINS = b"\x89PNG"
_OTHER_SPLITS = "Groups may be too few: record more, or try --by with other columns."


@dataset_app.command(
    "import", epilog=example("beepwatch dataset import phone.zip --out recordings")
)
def dataset_import(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SRC…", help="Recordings, folders, archives.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", parser=named, help="The data set.")],
    channel: Annotated[
        str, typer.Option("--channel", metavar="keep|split|mix|N", help="What becomes of channels.")
    ] = "keep",
    cut_ms: Annotated[
        int, typer.Option("--cut-ms", min=0, help="Cut into pieces of so many ms. 0: do not.")
    ] = 0,
    keep_rest: Annotated[
        bool, typer.Option("--keep-rest", help="Keep the shorter piece at the end, too.")
    ] = False,
    cut_silence: Annotated[bool, typer.Option("--cut-silence", help="Cut at silences.")] = False,
    silence_dbfs: Annotated[
        float,
        typer.Option(
            "--silence-dbfs", min=-120.0, max=0.0, callback=finite, help="What is below is silence."
        ),
    ] = -50.0,
    silence_ms: Annotated[
        int, typer.Option("--silence-ms", min=10, help="Shorter silences do not cut.")
    ] = 500,
    layout: Annotated[
        str,
        typer.Option(
            "--layout", metavar="NAME", help="mimii, dcase2, esc50, urbansound8k, irmas, audacity."
        ),
    ] = "",
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", exists=True, dir_okay=False, help="path, label, …"),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="Of everything imported.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Of what names none.")] = "",
    workers: Workers = None,
) -> int:
    """Bring recordings into a data set, in folders by label; nothing is ever written over.

    The label is the name of the folder that holds a recording, unless a table, a layout or
    --label says another.
    """
    importing = of_extra("scan", "beepwatch.train.datasets.importing", "importing")
    gathering = of_extra("scan", "beepwatch.train.datasets.gathering", "importing")
    cutting = of_extra("scan", "beepwatch.train.datasets.cutting", "importing")

    ways = [bool(layout), labels is not None, bool(label)]
    if sum(ways) > 1 or (cut_ms and cut_silence):
        raise ConfigurationError(
            "--layout, --labels and --label exclude one another, and so do --cut-ms and "
            "--cut-silence. Give one of them."
        )
    if layout == "audacity" and (cut_ms or cut_silence):
        raise ConfigurationError(
            "--layout audacity cuts at the labels, so leave --cut-ms and --cut-silence out."
        )
    manner = gathering.Manner(
        cut=cutting.Cut(
            length_ms=cut_ms,
            keep_rest=keep_rest,
            at_silence=cut_silence,
            silence_dbfs=silence_dbfs,
            silence_ms=silence_ms,
        ),
        channel=_channel(channel),
        layout=layout,
        table=labels,
        label=label,
        licence=licence,
    )
    for source in sources:
        say_links(source, gathering.SUFFIXES, within=False)
    with _quietly(), _counting("importing") as report:
        imported: Imported = importing.import_recordings(
            sources, out, manner, workers=_workers(workers), report=report
        )
    for problem in imported.problems:
        complain(problem)
    if not imported.recordings and not imported.problems:
        found = ", ".join(map(str, sources))
        raise UnreadableAudio(f"there is no recording in {found}. Name another folder or file.")
    typer.echo(
        f"{counted(imported.recordings, 'recording')}, {counted(imported.clips, 'clip')} in {out}, "
        f"{imported.new} new"
    )
    _say_what_was_left_out(imported)
    return 1 if imported.problems else 0


def _say_what_was_left_out(imported: "Imported") -> None:
    if imported.left_out_s:
        typer.echo(f"{imported.left_out_s:.1f} s of rests and silences were left out", err=True)
    if imported.left_out:
        left_out = counted(imported.left_out, "recording")
        typer.echo(f"left out, not in the layout or the table: {left_out}", err=True)
    if imported.without_file:
        rows = counted(len(imported.without_file), "recording")
        one = shortened(imported.without_file[0])
        typer.echo(f"in the table, and in none of the sources: {rows}, {one!r} for one", err=True)
    if imported.archives:
        what, one = counted(len(imported.archives), "archive"), shortened(imported.archives[0])
        typer.echo(
            f"not opened, name them as sources: {what} in a source, {one!r} for one", err=True
        )


def _channel(text: str) -> str | int:
    if text in ("keep", "split", "mix"):
        return text
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise ConfigurationError(
            f"--channel is {text!r}; give keep, split, mix, or a number from 1."
        )
    return int(text)


@dataset_app.command("index", epilog=example("beepwatch dataset index recordings --split 80/10/10"))
def dataset_index(
    directory: DataSet,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="A/B/C", help="Shares of train, dev and test, or train=70,test=30."
        ),
    ] = None,
    by: By = _BY,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another one, other splits.")] = 0,
    leave_one_out: Annotated[
        str | None,
        typer.Option(
            "--leave-one-out",
            metavar="COLUMN[=VALUE]",
            help="A fold for each device, say; with a value, that one is the test split.",
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option("--layout", metavar="NAME", help="As of import, for what stays in place."),
    ] = "",
    licence: Annotated[str, typer.Option("--licence", help="Of clips that name none.")] = "",
    source: Annotated[str, typer.Option("--source", help="Of clips that name none.")] = "",
    workers: Workers = None,
    dask: Dask = None,
) -> int:
    """List the recordings of a data set in its dataset.csv, and divide them by whole groups."""
    from beepwatch.train.datasets.indexing import cells_of_layout, index

    division = _division(split, by, seed, leave_one_out)
    say_links(directory)
    say_other_formats(directory)
    with _quietly(), _counting("looking") as report:
        indexed = index(
            directory,
            division,
            known=partial(cells_of_layout, layout, directory) if layout else None,
            constants={k: v for k, v in (("licence", licence), ("source", source)) if v},
            workers=_workers(workers),
            cluster=dask,
            report=report,
        )
    for problem in indexed.problems:
        complain(problem)
    for path in indexed.missing:
        complain(f"{path} is listed, and not there. Its row is kept.")
    _say(indexed, directory, division)
    return 1 if indexed.problems or indexed.missing else 0


def _division(split: str | None, by: str, seed: int, leave_one_out: str | None) -> "Division":
    from beepwatch.train.datasets.indexing import Division
    from beepwatch.train.datasets.splitting import shares_of

    if split is not None and leave_one_out is not None:
        raise ConfigurationError("--split and --leave-one-out exclude one another. Give one.")
    column, given, value = (leave_one_out or "").partition("=")
    if leave_one_out is not None and (not column or (given and not value)):
        raise ConfigurationError(
            f"--leave-one-out is {leave_one_out!r}; name a column of dataset.csv, such as device, "
            "or a column and a value, such as device=fan."
        )
    return Division(
        shares=shares_of(split) if split is not None else None,
        by=_columns(by),
        seed=seed,
        left_out=column,
        held_out=value,
    )


def _columns(text: str) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in text.split(","))
    if not all(columns):
        raise ConfigurationError(f"--by is {text!r}; name columns with commas between: {_BY}.")
    return columns


def _say(indexed: "Indexed", directory: Path, division: "Division") -> None:
    listed = counted(indexed.listed, "recording")
    typer.echo(f"{listed} in {directory / 'dataset.csv'}, {indexed.added} new")
    if indexed.lacking:
        lacks = "; ".join(
            f"{split} has no {', '.join(ls)}" for split, ls in indexed.lacking.items()
        )
        complain(f"{shortened(lacks)}, and others have. {_OTHER_SPLITS}")
    if indexed.dealt is None:
        return
    typer.echo(
        f"{len(indexed.dealt.splits)} of them divided, in {counted(indexed.dealt.groups, 'group')}"
    )
    if indexed.dealt.alone:
        typer.echo(
            f"{counted(indexed.dealt.alone, 'recording')} without {' and '.join(division.by)}: "
            "each is a group of its own.",
            err=True,
        )


@dataset_app.command("check", epilog=example("beepwatch dataset check recordings"))
def dataset_check(
    data: Annotated[str, typer.Argument(metavar="DIR", help="The data set, or its URL.")],
    by: By = _BY,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            "--quarantine", metavar="FILE", help="The list of bad files. [DIR/quarantine.csv]"
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="The counts as a PNG. [DIR/check.png]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
    workers: Workers = None,
    dask: Dask = None,
) -> int:
    """Tell what a data set holds and find what is wrong with it; nothing is deleted.

    The exit code is 1 if something was found.
    """
    from beepwatch.train.datasets import showing
    from beepwatch.train.datasets.checking import (
        QUARANTINE,
        QUARANTINE_BEGINS,
        check,
        write_quarantine,
    )

    directory = directory_or_url(data, "DIR")
    beside = directory if isinstance(directory, Path) else Path()  # else in the current directory
    listed, drawn = quarantine or beside / QUARANTINE, picture or beside / "check.png"
    if listed.absolute() == drawn.absolute():
        raise ConfigurationError(f"--quarantine and --picture are both {listed}. Name two files.")
    check_may_be_written(listed, "--quarantine", "list of bad files", QUARANTINE_BEGINS)
    check_may_be_written(drawn, "--picture", "picture", _PNG_BEGINS)
    if picture is not None:
        of_extra("train", "matplotlib.figure", "the picture")
    say_links(directory)
    say_other_formats(directory)
    with _quietly(), _counting("checking") as report:
        checked = check(
            directory,
            by=_columns(by),
            workers=_workers(workers),
            cluster=dask,
            report=report,
        )
    unwritten = unwritten_files(
        listed, "--quarantine", lambda: write_quarantine(listed, checked.findings)
    )
    missing = ""
    try:
        unwritten |= unwritten_files(drawn, "--picture", lambda: showing.draw(drawn, checked))
    except ModuleNotFoundError as error:
        missing = f"the picture needs {error.name}, which is not installed. {install_with('train')}"
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(checked).decode())
    else:
        from rich.console import Console

        showing.show(Console(highlight=False), checked)
        bad = f"bad files: {listed}" if checked.findings else "nothing wrong was found"
        said = [bad] if not checked.findings or listed not in unwritten else []
        said += [] if missing or drawn in unwritten else [f"picture: {drawn}"]
        typer.echo("; ".join(said))
    for problem in (*unwritten.values(), *filter(None, [missing])):
        complain(problem)
    return 1 if checked.findings or unwritten else 0


def _workers(given: int | None) -> int:
    from beepwatch.daemon.scan import available_cores

    return given or available_cores()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what decoders write to standard error, in this process and those it starts."""
    from beepwatch.daemon.scan import quiet_decoders

    with quiet_decoders():
        yield


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left on a terminal; is told how many are done, and of how many."""
    from rich.console import Console

    from beepwatch.train.display import rated

    with rated(Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None, unit="files/s")
        yield lambda done, of: progress.update(task, completed=done, total=of)
