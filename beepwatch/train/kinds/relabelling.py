"""Names of clusters become labels of a data set, where nobody has given another by hand."""

from pathlib import Path

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.catalogue import NAME, Catalogue, Relabelling
from beepwatch.train.kinds.record import Kinds


class Relabelled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of labels."""

    changed: int
    kept: int  # that somebody had given by hand
    unnamed: int  # recordings of clusters without a name
    missing: int  # recordings that the table does not list


def relabel(data: Path, kinds: Kinds) -> Relabelled:
    """Write them into `dataset.csv`. Raises ConfigurationError, CatalogueError."""
    if not (data / NAME).is_file():
        raise ConfigurationError(
            f"{data} has no {NAME} to write labels into. Run `beepwatch dataset index {data}`."
        )
    if not kinds.names:
        raise ConfigurationError(
            "--relabel has no names to write. Give some, for example: --name 1=imbalance."
        )
    catalogue = Catalogue(data)
    listed = catalogue.table().rows
    labels = catalogue.labels()
    ours = {*kinds.written, *kinds.plan.abnormal}
    changes = []
    unnamed = kept = missing = 0
    for one, number in zip(kinds.recordings, kinds.partition.numbers, strict=True):
        label, name = labels.get(one.path, ""), kinds.names.get(number, "")
        if one.path not in listed:
            missing += 1
        elif not name:
            unnamed += 1
        elif label != name and label not in {*ours, one.label}:
            kept += 1
        elif label != name:
            changes.append(Relabelling(path=one.path, seen=label, label=name))
    refused = catalogue.relabel(changes)
    return Relabelled(
        changed=len(changes) - len(refused),
        kept=kept + len(refused),
        unnamed=unnamed,
        missing=missing,
    )
