"""dataset cluster: kinds of faults among abnormal recordings, to be named by a person."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from beepwatch.cli.dataset import dataset_app
from beepwatch.cli.options import complain, example, finite, named, of_extra
from beepwatch.errors import ConfigurationError
from beepwatch.validation import check_can_be_made
from beepwatch.wording import counted

if TYPE_CHECKING:
    from beepwatch.train.kinds.clustering import Clustered
    from beepwatch.train.kinds.relabelling import Relabelled


@dataset_app.command("cluster", epilog=example("beepwatch dataset cluster store --out kinds"))
def dataset_cluster(
    features: Annotated[
        Path,
        typer.Argument(
            metavar="STORE", exists=True, file_okay=False, help="What `dataset features` made."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", parser=named, help="Table, page, pictures.")
    ],
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="N=NAME", help="Name a cluster; may be given often."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="DIR", exists=True, file_okay=False, help="Its recordings, to listen."
        ),
    ] = None,
    relabel: Annotated[
        bool, typer.Option("--relabel", help="Names become labels in the dataset.csv of --data.")
    ] = False,
    clusters: Annotated[
        int | None, typer.Option("--clusters", min=1, max=20, help="How many. [3]")
    ] = None,
    abnormal: Annotated[
        str | None,
        typer.Option("--abnormal", metavar="A,B,…", help="Labels of faults. Default: abnormal."),
    ] = None,
    components: Annotated[
        int | None, typer.Option("--components", min=1, help="How many principal ones are kept.")
    ] = None,
    variance: Annotated[
        float | None,
        typer.Option(
            "--variance",
            min=0.01,
            max=1.0,
            callback=finite,
            help="Or as many as hold this share of it. [0.95]",
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option("--most", min=2, max=20, help="Elbow and silhouettes up to so many. [10]"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Of k-means. [0]")
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", min=0, max=20, help="Clips near and far, of each cluster.")
    ] = 3,
) -> int:
    """Put abnormal recordings together by how they sound, so that a person can name the kinds.

    With names alone nothing is clustered anew. Normal recordings are left alone.
    """
    if components is not None and variance is not None:
        raise ConfigurationError("--components and --variance exclude one another. Give one.")
    if relabel and data is None:
        raise ConfigurationError("--relabel needs the data set: give --data DIR.")
    from beepwatch.train.kinds.naming import names_of

    given, faults = names_of(names or []), _labels(abnormal)
    points = of_extra("train", "beepwatch.train.kinds.points", "clustering")
    points.read_origin(features)  # before the rest is imported, which takes seconds
    check_can_be_made(out)
    clustering = of_extra("train", "beepwatch.train.kinds.clustering", "clustering")
    from beepwatch.train.kinds.partition import Plan
    from beepwatch.train.kinds.record import RECORD

    asked: dict[str, Any] = {
        "clusters": clusters,
        "abnormal": faults,
        "components": components,
        "variance": variance,
        "most": most,
        "seed": seed,
    }
    said = {key: value for key, value in asked.items() if value is not None}
    only_names = (given or relabel) and not said and (out / RECORD).exists()
    done: Clustered = clustering.cluster(
        features,
        out,
        plan=None if only_names else Plan(**said),
        names=given,
        data=data,
        examples=examples,
        relabelling=relabel,
    )
    _say(done, out)
    return 1 if done.problems else 0


def _labels(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    labels = tuple(label.strip() for label in text.split(","))
    if not all(labels):
        raise ConfigurationError(f"--abnormal is {text!r}; name labels with commas between them.")
    return labels


def _say(done: "Clustered", out: Path) -> None:
    from beepwatch.train.kinds.page import summary
    from beepwatch.train.kinds.record import title_of

    for problem in done.problems:
        complain(problem)
    if done.forgotten:
        typer.echo(
            f"the clusters are others than before: {', '.join(done.forgotten)} are forgotten",
            err=True,
        )
    typer.echo(summary(done.kinds))
    clusters = range(1, done.kinds.partition.clusters + 1)
    typer.echo(f"clusters: {', '.join(title_of(done.kinds, cluster) for cluster in clusters)}")
    if done.relabelled is not None:
        _say_relabelled(done.relabelled)
    typer.echo(f"look and listen: {out / 'index.html'}; table: {out / 'clusters.csv'}")


def _say_relabelled(done: "Relabelled") -> None:
    typer.echo(f"{counted(done.changed, 'label')} written to dataset.csv")
    for count, what in (
        (done.kept, "with a label that was given by hand, which stays"),
        (done.unnamed, "in a cluster without a name, and so with the label of before"),
        (done.missing, "not in dataset.csv"),
    ):
        if count:
            typer.echo(f"{counted(count, 'recording')} {what}", err=True)
