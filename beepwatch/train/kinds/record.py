"""What a clustering found and how a person named it: `clusters.json`, and `clusters.csv` of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from beepwatch.errors import BeepwatchError, ConfigurationError, DiskFull
from beepwatch.train.datasets.tables import csv_text
from beepwatch.train.kinds.partition import Partition, Plan
from beepwatch.train.kinds.points import Origin
from beepwatch.whole_files import write_whole

RECORD, TABLE = "clusters.json", "clusters.csv"
COLUMNS = ("path", "augmentation", "cluster", "distance", "name")
FORMAT = 1


class UnusableClusters(BeepwatchError):
    """A directory whose clusters cannot be named: there are none, or they are of something else."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One that was put into a cluster, as the store has it."""

    path: str
    label: str
    split: str
    augmentations: tuple[str, ...]  # of its augmented rows


class Kinds(msgspec.Struct, frozen=True, kw_only=True):
    """`clusters.json`."""

    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)] = FORMAT
    plan: Plan
    recipe_sha256: str
    inputs_sha256: str
    columns: tuple[str, ...]  # what `Partition.apart` counts in
    recordings: tuple[Recording, ...]
    partition: Partition
    names: dict[int, str] = {}  # by cluster; not all have one
    written: tuple[str, ...] = ()  # names that have become labels of a data set

    def members(self, cluster: int) -> list[int]:
        """Recordings of a cluster, nearest to its centre first."""
        found = [n for n, number in enumerate(self.partition.numbers) if number == cluster]
        distances = self.partition.distances
        return sorted(found, key=lambda n: (distances[n], self.recordings[n].path))

    def is_of(self, origin: Origin) -> bool:
        """Whether it was made of features of the same recordings and recipe."""
        ours = self.recipe_sha256, self.inputs_sha256
        return ours == (origin.recipe_sha256, origin.inputs_sha256)


def named(kinds: Kinds, names: Mapping[int, str]) -> Kinds:
    """With these names too; "" takes one away. Raises ConfigurationError for a strange number."""
    for number, name in names.items():
        if not 1 <= number <= kinds.partition.clusters:
            raise ConfigurationError(
                f"--name {number}={name}: there is no cluster {number}, "
                f"they are 1 to {kinds.partition.clusters}. Look at index.html."
            )
    together = {number: name for number, name in (kinds.names | dict(names)).items() if name}
    return msgspec.structs.replace(kinds, names=dict(sorted(together.items())))


def title_of(kinds: Kinds, cluster: int) -> str:
    """A cluster's number and name, and how many recordings it has."""
    name = kinds.names.get(cluster, "")
    size = kinds.partition.numbers.count(cluster)
    return f"{cluster} {name} ({size})" if name else f"{cluster} ({size})"


def read_kinds(out: Path) -> Kinds | None:
    """What was found before; None if there is nothing. Raises UnusableClusters."""
    file = out / RECORD
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Kinds)
        _fitting(found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: no JSON, or not of this form
        raise UnusableClusters(
            f"{file} cannot be read: {error}. Move {out} away and cluster anew."
        ) from error
    return found


def _fitting(kinds: Kinds) -> None:
    """Raises ValueError if its parts do not belong together."""
    found, clusters = kinds.partition, range(1, kinds.partition.clusters + 1)
    lengths = {len(kinds.recordings), len(found.numbers), len(found.distances), len(found.places)}
    told = [column for columns in found.apart for column, _ in columns]
    if (
        len(lengths) != 1
        or len(found.apart) != found.clusters
        or not {*found.numbers, *kinds.names} <= {*clusters}
        or not all(0 <= column < len(kinds.columns) for column in told)
    ):
        raise ValueError("its parts do not belong together")


def clips_by_cluster(out: Path) -> list[list[str]]:
    """Paths of the recordings of each cluster, nearest to its centre first.

    Raises UnusableClusters if `out` holds none.
    """
    kinds = read_kinds(out)
    if kinds is None:
        raise UnusableClusters(
            f"{out} holds no clusters. Make some: beepwatch dataset cluster STORE --out {out}."
        )
    clusters = range(1, kinds.partition.clusters + 1)
    return [[kinds.recordings[n].path for n in kinds.members(one)] for one in clusters]


def table_text(kinds: Kinds) -> str:
    """`clusters.csv`: recordings in the store's order, behind each its augmented rows."""
    rows: list[Sequence[object]] = [COLUMNS]
    found = kinds.partition
    for one, number, distance in zip(kinds.recordings, found.numbers, found.distances, strict=True):
        name = kinds.names.get(number, "")
        rows.append((one.path, "", number, f"{distance:.6f}", name))
        rows += ((one.path, each, number, "", name) for each in one.augmentations)
    return csv_text(rows)


def encoded(kinds: Kinds) -> bytes:
    """As `read_kinds` reads it."""
    return msgspec.json.format(msgspec.json.encode(kinds), indent=1) + b"\n"


def put(file: Path, data: bytes) -> None:
    """The file is whole or as it was. Raises DiskFull."""
    try:
        write_whole(file, data)
    except OSError as error:
        raise cannot_write(file.parent, error) from error


def cannot_write(out: Path, error: OSError) -> DiskFull:
    """In words."""
    return DiskFull(f"{out} cannot be written: {error.strerror}. Make room, or name another --out.")
