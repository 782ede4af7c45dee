"""Verbs about data sets: label."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    bundle_of,
    complain,
    example,
    load_settings,
    of_extra,
    say_links,
    start_logging,
)
from beepwatch.errors import ConfigurationError, UnreadableAudio
from beepwatch.wording import counted

if TYPE_CHECKING:
    from beepwatch.train.datasets.impressions import Impression

dataset_app = typer.Typer(
    help="Turn recordings into training data.",
    no_args_is_help=True,
    epilog=example("beepwatch dataset label recordings"),
)
app.add_typer(dataset_app, name="dataset")

_LABELS = "beep,spin,wash,human"


@dataset_app.command("label", epilog=example("beepwatch dataset label recordings"))
def dataset_label(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Clips, in any folders."),
    ],
    labels: Annotated[
        str, typer.Option("--labels", metavar="A,B,…", help="In the order of keys 1 to 9.")
    ] = _LABELS,
    clusters: Annotated[
        Path | None,
        typer.Option(
            "--clusters",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Group by group what `dataset cluster --out DIR` put together, and nothing else.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="What groups them. Default: model.bundle."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where the page is served; anyone there can label.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any.")] = 8766,
    config: ConfigFile = None,
) -> int:
    """A page to label clips with eyes, ears and keyboard; every label is saved at once."""
    labelling = of_extra("web", "beepwatch.web.labelling", "the labelling page")
    from beepwatch.train.datasets.catalogue import Catalogue
    from beepwatch.web.guard import Guard
    from beepwatch.web.serving import address_of, listen, serve

    names = _names(labels)
    settings = load_settings(config).config
    start_logging()
    catalogue = Catalogue(directory)
    others = sorted(set(catalogue.labels().values()) - set(names))
    groups = None
    if clusters is not None:
        record = of_extra("train", "beepwatch.train.kinds.record", "naming clusters")
        groups = record.clips_by_cluster(clusters)
    with listen(host, port) as listening:  # first, as it takes no time
        heard, failed = _heard(directory, bundle_of(model, settings), groups)
        clips = labelling.Clips(directory, [*names, *others], heard, groups)

        def say_where() -> None:
            typer.echo(
                f"{counted(len(heard), 'clip')} in {counted(len(clips.groups), 'group')}: "
                f"{address_of(listening)}"
            )
            if not _is_loopback(listening.getsockname()[0]):
                typer.echo("Anyone who reaches this address can listen and label.", err=True)
            typer.echo("^C ends; every label is saved as it is given.", err=True)

        serve(
            lambda ending: Guard(labelling.application(clips, catalogue, ending), [host]),
            listening,
            say_where,
        )
    return 1 if failed else 0


def _names(text: str) -> list[str]:
    from beepwatch.web.labelling import LONGEST_LABEL, MOST_LABELS

    names = [name.strip() for name in text.split(",")]
    unfit = [n for n in names if not n or len(n) > LONGEST_LABEL or not n.isprintable()]
    if unfit or len(set(names)) < len(names) or len(names) > MOST_LABELS:
        raise ConfigurationError(
            f"--labels is {text!r}; give one to nine different names with commas between them."
        )
    return names


def _heard(
    directory: Path, bundle: Path, groups: list[list[str]] | None
) -> "tuple[list[Impression], bool]":
    """What can be heard, of these groups if not of all, and whether more cannot, which is told."""
    from rich.console import Console
    from rich.progress import Progress

    from beepwatch.classify.bundle import load_bundle
    from beepwatch.classify.engines import open_engine
    from beepwatch.daemon.scan import available_cores, quiet_decoders
    from beepwatch.train.datasets.catalogue import clips_below
    from beepwatch.train.datasets.impressions import Impression, hear

    closed: list[str] = []
    if groups is None:
        say_links(directory)
    paths = (
        clips_below(directory, lambda _folder, problem: closed.append(problem))
        if groups is None
        else [path for group in groups for path in group]
    )
    if not paths:
        raise UnreadableAudio(
            " ".join(closed)
            or f"{directory} holds no audio files. "
            "Record some with `beepwatch record`, or name another directory."
        )
    engine = open_engine(load_bundle(bundle))
    console = Console(stderr=True)
    with quiet_decoders(), Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("listening", total=len(paths))
        answers = list(
            hear(
                directory,
                paths,
                engine,
                workers=available_cores(),
                report=lambda done: bar.update(task, completed=done),
            )
        )
    heard = [one for one in answers if isinstance(one, Impression)]
    problems = closed + [one.problem for one in answers if not isinstance(one, Impression)]
    if not heard:
        raise UnreadableAudio(problems[0])
    for problem in problems:
        complain(problem)
    return heard, bool(problems)


def _is_loopback(address: str) -> bool:
    from ipaddress import ip_address

    return ip_address(address).is_loopback
