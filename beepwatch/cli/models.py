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
    named,
    of_extra,
    progress,
    start_logging,
)
from beepwatch.errors import ConfigurationError
from beepwatch.validation import check_can_be_made


@app.command(epilog=example("beepwatch train models/beep/recipe.toml --data DIR --out mymodel"))
def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe of a model, TOML.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data with a manifest.csv.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="STORE",
            help="Or what `dataset features` made: a classifier of recordings, its recipe "
            "as in docs/datasets.md.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", parser=named, help="Default: beside the recipe."),
    ] = None,
    runs: Annotated[
        Path,
        typer.Option("--runs", metavar="DIR", parser=named, help="Where checkpoints are kept."),
    ] = Path("runs"),
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=0, max=256, help="Processes composing clips. Default: one a core."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, max=256, help="For a step. Default: half the cores."),
    ] = None,
) -> int:
    """Train a model from its recipe; after an interruption the same command goes on."""
    from rich.console import Console

    if features is not None:
        if data is not None:
            raise ConfigurationError("found both --data and --features; give one of them.")
        return _train_classifier(recipe, features, out or recipe.with_suffix(""), threads)
    if data is None:
        raise ConfigurationError(
            "there is nothing to learn from: give --data DIR, or --features STORE for a classifier."
        )
    _check_data(data, recipe)
    check_can_be_made(out or recipe.parent)
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


def _check_data(data: Path, recipe: Path | None = None) -> None:
    """What a wrong path leads to is said before torch is imported, which takes seconds."""
    from beepwatch.train.recipe import read_recipe

    if recipe is not None:
        read_recipe(recipe)
    of_extra("train", "beepwatch.train.dataset").read_manifest(data)


def _train_classifier(recipe: Path, features: Path, out: Path, threads: int | None) -> int:
    """It is small: an interrupted one keeps the best weights so far, and begins anew."""
    from rich.console import Console

    from beepwatch.train.recipe import recipe_values

    recipe_values(recipe)  # and the store, before torch is imported, which takes seconds
    of_extra("train", "beepwatch.train.datasets.loader").StoredFeatures(features).close()
    check_can_be_made(out)
    classifier = of_extra("train", "beepwatch.train.classifier")
    judged_apart = of_extra("train", "beepwatch.train.judged_apart")
    from beepwatch.train.composing import torch_threads
    from beepwatch.train.display import display_on
    from beepwatch.train.training import default_threads

    start_logging()
    judged_apart.check(recipe, features)
    with display_on(Console(stderr=True)) as display, torch_threads(threads or default_threads()):
        judged = classifier.train(recipe, features, out, display)
        apart = judged_apart.judge_apart(recipe, features, out, display)
    typer.echo(judged.table())
    typer.echo(f"{judged.accuracy:.1%} of the held-out recordings, epoch {judged.epoch}, in {out}")
    if apart is not None:
        typer.echo("\n".join(apart.lines()))
    return 0


@app.command(epilog=example("beepwatch evaluate --data recordings --split dev"))
def evaluate(
    data: Data,
    split: Annotated[str, typer.Option("--split", help="dev or test.")] = "dev",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            parser=named,
            help="Compare with everything, and write report, curve and worst errors there.",
        ),
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Measure a model on recordings: recall and false alarms, side by side with simple rules."""
    from beepwatch.classify.bundle import find_bundle

    model = load_settings(config).config.model
    start_logging()
    bundle = find_bundle(model.bundle)
    _check_data(data)
    evaluation = of_extra("train", "beepwatch.train.evaluation", "judging a model")
    if out is None:
        found = evaluation.evaluate(bundle, data, split, report=progress)
    else:
        gallery = of_extra("train", "beepwatch.train.judging.gallery", "judging a model")
        found = gallery.evaluate_into(out, bundle, data, split, report=progress)
    typer.echo(found.table())
    return 0
