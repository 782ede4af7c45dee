"""dataset features: recordings and a recipe become arrays to learn from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from beepwatch.cli.dataset import dataset_app
from beepwatch.cli.options import (
    Dask,
    complain,
    directory_or_url,
    example,
    named,
    of_extra,
    progress,
    say_links,
    start_logging,
)
from beepwatch.errors import ConfigurationError
from beepwatch.validation import check_can_be_made
from beepwatch.wording import counted

_SAID_EVERY = 10  # of a hundred, where nobody watches a bar

Report = Callable[[str, int, int], None]


@dataset_app.command(
    "features", epilog=example("beepwatch dataset features recipe.toml --data recordings")
)
def dataset_features(
    recipe: Annotated[Path, typer.Argument(help="Which features, TOML: see docs/datasets.md.")],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="DIR|URL",
            help="Recordings: with a dataset.csv, else labelled by their folders.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=named,
            help="The feature store. Default: features/RECIPE in --data.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=0, max=256, help="Processes; 0: this one. Default: one a core."
        ),
    ] = None,
    dask: Dask = None,
    device: Annotated[
        str,
        typer.Option("--device", metavar="cpu|cuda", help="What transforms; a GPU if it is there."),
    ] = "cpu",
) -> int:
    """Features of all recordings, as a recipe says; only what is new or changed is made."""
    features = of_extra("train", "beepwatch.train.features", "making features")
    from beepwatch.daemon.scan import available_cores, quiet_decoders
    from beepwatch.train.datasets.catalogue import NAME

    recordings = directory_or_url(data, "--data")
    if out is None and not isinstance(recordings, Path):
        raise ConfigurationError(f"--data is {recordings}, so say with --out where the store is.")
    store = out or Path(data, "features", recipe.stem)
    check_can_be_made(store)
    if isinstance(recordings, Path) and not (recordings / NAME).exists():  # which lists them
        say_links(recordings)
    start_logging()
    with quiet_decoders(), _reporting() as report:
        outcome = features.extract(
            recipe,
            recordings,
            store,
            workers=available_cores() if workers is None else workers,
            cluster=dask,
            device=device,
            report=report,
            say=complain,
        )
    for problem in outcome.problems:
        complain(problem)
    what = f"{outcome.made} made now" if outcome.written else "nothing had changed"
    if outcome.left_out:
        left_out = counted(outcome.left_out, "recording")
        typer.echo(f"{left_out} left out: quarantine.csv has the names")
    size = counted(outcome.recordings, "recording")
    if augmented := outcome.rows - outcome.recordings:
        size += f" and {counted(augmented, 'augmented version')}"
    typer.echo(
        f"{size} ({what}): {counted(outcome.frames, 'frame')} of "
        f"{counted(outcome.columns, 'column')} in {store}"
    )
    return 1 if outcome.problems else 0


@contextmanager
def _reporting() -> Iterator[Report]:
    """A bar with rate and time left if somebody watches, else a line for every tenth."""
    from rich.console import Console

    from beepwatch.train.display import rated

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _in_lines()
        return
    with rated(console) as bar:
        tasks = {}

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of, unit="files/s")
            bar.update(tasks[what], completed=done)

        yield show


def _in_lines() -> Report:
    told: dict[str, int] = {}

    def say(what: str, done: int, of: int) -> None:
        tenth = 100 * done // of // _SAID_EVERY
        if tenth > told.get(what, 0):
            told[what] = tenth
            progress(f"{what}: {done} of {of}")

    return say
