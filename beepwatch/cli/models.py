"""Verbs about models: train, evaluate."""

from pathlib import Path
from typing import Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    Data,
    example,
    load_settings,
    of_extra,
    progress,
    start_logging,
)


@app.command(epilog=example("beepwatch train models/beep/recipe.toml --data recordings"))
def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe of a model, TOML.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: beside the recipe.")
    ] = None,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Where checkpoints are kept.")
    ] = Path("runs"),
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes composing clips. Default: one a core."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="For a step. Default: half the cores.")
    ] = None,
) -> int:
    """Train a model from its recipe; after an interruption the same command goes on."""
    from rich.console import Console

    training = of_extra("train", "beepwatch.train.training")
    from beepwatch.daemon.scan import available_cores
    from beepwatch.train.display import display_on

    start_logging()
    with display_on(Console(stderr=True)) as display:
        training.train(
            recipe,
            data,
            out or recipe.parent,
            runs=runs,
            workers=available_cores() if workers is None else workers,
            threads=threads,
            display=display,
        )
    return 0


@app.command(epilog=example("beepwatch evaluate --data recordings --split dev"))
def evaluate(
    data: Data,
    split: Annotated[str, typer.Option("--split", help="dev or test.")] = "dev",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Compare with everything, and write report, curve and worst errors there."
        ),
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Measure a model on recordings: recall and false alarms, side by side with simple rules."""
    from beepwatch.classify.bundle import find_bundle

    model = load_settings(config).config.model
    start_logging()
    evaluation = of_extra("train", "beepwatch.train.evaluation")
    bundle = find_bundle(model.bundle)
    if out is None:
        found = evaluation.evaluate(bundle, data, split, report=progress)
    else:
        gallery = of_extra("train", "beepwatch.train.gallery")
        found = gallery.evaluate_into(out, bundle, data, split, report=progress)
    typer.echo(found.table())
    return 0
