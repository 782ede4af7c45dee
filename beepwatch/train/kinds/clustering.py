"""The body of `beepwatch dataset cluster`: from a feature store to kinds that have names."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.loader import StoredFeatures, UnusableFeatures
from beepwatch.train.datasets.turns import alone_in
from beepwatch.train.kinds.drawing import draw, forget_pictures
from beepwatch.train.kinds.examples import clips_there, examples_of, forget_clips, put_clips
from beepwatch.train.kinds.page import INDEX, page_of
from beepwatch.train.kinds.partition import Plan, partition
from beepwatch.train.kinds.points import (
    column_titles,
    labelled,
    points_of,
    read_origin,
    versions,
)
from beepwatch.train.kinds.record import (
    RECORD,
    TABLE,
    Kinds,
    Recording,
    UnusableClusters,
    cannot_write,
    encoded,
    named,
    put,
    read_kinds,
    table_text,
)
from beepwatch.train.kinds.relabelling import Relabelled, relabel

_TEST = "test"


class Clustered(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did."""

    kinds: Kinds
    problems: tuple[str, ...]  # a line for each recording that is left out or cannot be heard
    forgotten: tuple[str, ...]  # names that no longer fit
    relabelled: Relabelled | None


def cluster(
    features: Path,
    out: Path,
    *,
    plan: Plan | None = None,
    names: Mapping[int, str] | None = None,
    data: Path | None = None,
    examples: int = 3,
    relabelling: bool = False,
) -> Clustered:
    """Put abnormal recordings together and write everything into `out`; without a plan only names.

    `data` is the data set: for clips to listen to and, with `relabelling`, for the names as labels.
    Raises UnusableFeatures, UnusableClusters, ConfigurationError, CatalogueError, DiskFull.
    """
    _ours(out)
    if data is not None and out.resolve().is_relative_to(data.resolve()):
        raise ConfigurationError(
            f"{out} is in the data set {data}, which would take the clips there for more "
            "recordings. Name an --out beside it."
        )
    before = read_kinds(out)
    problems: tuple[str, ...] = ()
    if plan is None:
        kinds = _known(before, features, out)
    else:
        kinds, problems = _clustered(features, plan, before.written if before else ())
    named(kinds, names or {})  # what is wrong with names is said before anything is made
    with alone_in(_made(out)):
        before = read_kinds(out)  # somebody else may have named some since
        forgotten: tuple[str, ...] = ()
        if plan is None:
            kinds = _known(before, features, out)
        else:
            kinds, forgotten = _with_names_of(before, kinds)
        kinds = named(kinds, names or {})
        done = None
        if relabelling:
            if data is None:
                raise ConfigurationError("--relabel needs the data set: give --data DIR.")
            done = relabel(data, kinds)
            written = tuple(sorted({*kinds.written, *kinds.names.values()}))
            kinds = msgspec.structs.replace(kinds, written=written)
        if before is not None and not _alike(before, kinds):
            forget_clips(out)
        unheard = _write(out, kinds, data, examples, anew=plan is not None)
    return Clustered(
        kinds=kinds,
        problems=(*problems, *unheard),
        forgotten=forgotten,
        relabelled=done,
    )


def _made(out: Path) -> Path:
    """Raises DiskFull."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    return out


def _ours(out: Path) -> None:
    """Raises ConfigurationError if something else lies there."""
    try:
        visible = [one for one in out.iterdir() if not one.name.startswith(".")]
        strangers = visible and not (out / RECORD).exists()
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(out, error) from error
    if strangers:
        raise ConfigurationError(
            f"{out} is not empty and holds no {RECORD}, so it is none of ours. Name another --out."
        )


def _known(before: Kinds | None, features: Path, out: Path) -> Kinds:
    if before is None:
        raise UnusableClusters(f"{out} holds no clusters to name. Cluster first, without --name.")
    if not before.is_of(read_origin(features)):
        raise UnusableClusters(
            f"{out} is of other features than {features} has now. Cluster anew, without --name."
        )
    return before


def _clustered(
    features: Path, plan: Plan, written: tuple[str, ...]
) -> tuple[Kinds, tuple[str, ...]]:
    """Labels that are `written` were names of clusters, so they are of abnormal recordings."""
    origin = read_origin(features)
    store = StoredFeatures(features)
    if len(origin.column_names) != store.columns:
        raise UnusableFeatures(
            f"{features} names {len(origin.column_names)} columns and has {store.columns}. "
            "Make the features again."
        )
    found = points_of(store, labelled(store, (*plan.abnormal, *written)))
    cells, rows = store.index.cells, found.rows.tolist()
    shaping = np.asarray([cells["split"][row] != _TEST for row in rows], dtype=np.bool_)
    augmentations = versions(store, found.rows)
    kinds = Kinds(
        plan=plan,
        recipe_sha256=origin.recipe_sha256,
        inputs_sha256=origin.inputs_sha256,
        columns=tuple(column_titles(origin.column_names)),
        recordings=tuple(
            Recording(
                path=cells["path"][row],
                label=cells["label"][row],
                split=cells["split"][row],
                augmentations=tuple(augmentations[cells["path"][row]]),
            )
            for row in rows
        ),
        partition=partition(found.points, shaping, plan),
        written=written,
    )
    return kinds, found.problems


def _with_names_of(before: Kinds | None, kinds: Kinds) -> tuple[Kinds, tuple[str, ...]]:
    """The names that were given, if every recording is where it was; else what is forgotten."""
    if before is None:
        return kinds, ()
    if _alike(before, kinds):
        return msgspec.structs.replace(kinds, names=before.names), ()
    return kinds, tuple(before.names.values())


def _alike(one: Kinds, other: Kinds) -> bool:
    """Whether every recording is in the same cluster."""
    paths = [[recording.path for recording in kinds.recordings] for kinds in (one, other)]
    return paths[0] == paths[1] and one.partition.numbers == other.partition.numbers


def _write(
    out: Path, kinds: Kinds, data: Path | None, count: int, *, anew: bool
) -> tuple[str, ...]:
    """Everything; the record first, since all else can be made of it again."""
    problems: list[str] = []
    chosen = examples_of(kinds, count)
    try:
        if anew:  # who is killed meanwhile and then only gives names gets these new all the same
            forget_pictures(out)
        put(out / RECORD, encoded(kinds))
        put(out / TABLE, table_text(kinds).encode())
        pictures = draw(out, kinds, anew=anew)
        if data is None:
            chosen = clips_there(out, chosen)
        else:
            chosen, problems = put_clips(out, data, kinds, chosen)
        put(out / INDEX, page_of(kinds, chosen, pictures).encode())
    except OSError as error:
        raise cannot_write(out, error) from error
    return tuple(problems)
