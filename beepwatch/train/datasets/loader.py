"""Blocks of a feature store for training: `context` frames every `step` frames, in any order.

Nothing of `features.npy` is kept: a block is read where it lies, straight into its batch, so that
memory stays the same whatever the size of the set, even under `ulimit -v` (which counts a map of
the whole file). What is kept are some names for each recording and 8 bytes for each block.
"""

import csv
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.errors import BeepwatchError
from beepwatch.train.datasets.crossing import strays
from beepwatch.validation import shortened

Features = NDArray[np.float32]
Numbers = NDArray[np.int64]
Shorter = Literal["repeated", "left_out"]

_KEPT = ("path", "label", "session", "device", "split", "augmentation", "parent")


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What `index.csv` says of each recording, a column at a time."""

    cells: dict[str, list[str]]
    first_frame: Numbers
    frames: Numbers

    def __len__(self) -> int:
        return len(self.frames)


class UnusableFeatures(BeepwatchError):
    """A feature store that cannot be read, or has not what was asked of it."""


class StoredFeatures:
    """`features.npy` and `index.csv` of a directory. A pickled one is opened again where it goes.

    Raises UnusableFeatures if they are not there, damaged, or do not belong together.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._handle = _opened(directory / "features.npy")
        try:
            self._begins_at, self.frames, self.columns = _layout(directory, self._handle)
            self.index = _index(directory / "index.csv", self.frames)
        except BaseException:
            self.close()
            raise

    def __reduce__(self) -> tuple[type["StoredFeatures"], tuple[Path]]:
        """Only where it is: the map of its pages is the operating system's, and all share it."""
        return type(self), (self.directory,)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Nothing can be read after it."""
        handle, self._handle = getattr(self, "_handle", -1), -1
        if handle >= 0:
            os.close(handle)

    def read(self, first_frame: int, into: Features) -> None:
        """Fill `into`, [frames, columns] of contiguous memory, with what begins at a frame."""
        view = into.data.cast("B")
        place = self._begins_at + first_frame * self.columns * into.itemsize
        while len(view) > 0:
            count = os.preadv(self._handle, [view], place)
            if count == 0:
                raise UnusableFeatures(
                    f"{self.directory / 'features.npy'} has become shorter while it was read. "
                    "Make the features again."
                )
            view, place = view[count:], place + count

    def chosen(self, split: str) -> Numbers:
        """Numbers of the rows of a split. Raises UnusableFeatures if there are none."""
        splits = self.index.cells["split"]
        found = [number for number, each in enumerate(splits) if each == split]
        if not found:
            others = shortened(", ".join(map(repr, sorted(set(splits)))))
            raise UnusableFeatures(
                f"{self.directory} has no rows of the split {split!r}; found {others or 'no rows'}."
            )
        return np.asarray(found, dtype=np.int64)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Some blocks, what they are and whence."""

    features: Features  # [blocks, context, columns]
    labels: Numbers  # [blocks], places in the labels of `Blocks`
    rows: Numbers  # [blocks], places in the rows of the store


class Blocks:
    """All blocks of some rows of a store, by number: those of the first row first.

    A recording has a block wherever a whole one fits. One that is shorter than a block is repeated
    from its beginning until it fills one, or left out.
    """

    def __init__(
        self,
        store: StoredFeatures,
        rows: Numbers,
        *,
        context: int,
        step: int,
        labels: Sequence[str] | None = None,
        shorter: Shorter = "repeated",
    ) -> None:
        if context < 1 or step < 1:
            raise UnusableFeatures(
                f"blocks of {context} frames every {step} frames: both must be 1 or more."
            )
        self.store = store
        self.rows = rows
        self.context = context
        self.step = step
        every = store.index.cells["label"]
        own = [every[row] for row in rows.tolist()]
        self.labels = tuple(sorted(set(own)) if labels is None else labels)
        if strangers := sorted(set(own) - set(self.labels)):
            raise UnusableFeatures(
                f"{store.directory} has the label {strangers[0]!r}, which is none of "
                f"{shortened(', '.join(self.labels))}."
            )
        place = {label: number for number, label in enumerate(self.labels)}
        self._label = np.asarray([place[label] for label in own], dtype=np.int64)
        self._frames = store.index.frames[rows]
        self._first = store.index.first_frame[rows]
        self._ends = np.cumsum(blocks_in(self._frames, context, step, shorter))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def counts(self) -> Numbers:
        """How many blocks each label has, [labels]."""
        per_row = np.diff(self._ends, prepend=0)
        return np.bincount(self._label, per_row, len(self.labels)).astype(np.int64)

    def epoch_blocks(self, *, balanced: bool = True) -> int:
        """How many blocks an epoch has: all, rounded up to as many of each label."""
        labels = int(np.count_nonzero(self.counts)) if balanced else 1
        return -(-len(self) // max(labels, 1)) * labels

    def order(self, epoch: int, seed: int, *, balanced: bool = True) -> Numbers:
        """Numbers of an epoch's blocks, shuffled; another order each epoch, the same again.

        An epoch has about as many blocks as there are. Balanced, it has as many of each label:
        of a frequent one a part, each epoch another; those of a rare one come again, each of them
        as often as the others or once more.
        """
        rng = np.random.default_rng([seed, epoch])
        if not balanced:
            return rng.permutation(len(self))
        present = np.flatnonzero(self.counts)
        share = self.epoch_blocks() // max(len(present), 1)
        chosen = [self._drawn(rng, int(label), share) for label in present]
        return rng.permutation(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)

    def batch(self, numbers: Numbers) -> Batch:
        """The blocks of those numbers, read now."""
        rows = np.searchsorted(self._ends, numbers, side="right")
        features = np.empty((len(numbers), self.context, self.store.columns), dtype=np.float32)
        for place, (number, row) in enumerate(zip(numbers.tolist(), rows.tolist(), strict=True)):
            before = int(self._ends[row - 1]) if row else 0
            self._read(row, number - before, features[place])
        return Batch(features=features, labels=self._label[rows], rows=self.rows[rows])

    def batches(
        self, size: int, *, epoch: int = 0, seed: int = 0, balanced: bool = True
    ) -> Iterator[Batch]:
        """An epoch, in its order, in batches of `size`; the last may be smaller."""
        order = self.order(epoch, seed, balanced=balanced)
        for first in range(0, len(order), size):
            yield self.batch(order[first : first + size])

    def in_order(self, size: int) -> Iterator[Batch]:
        """Every block once, recording after recording: for judging what was learnt."""
        for first in range(0, len(self), size):
            yield self.batch(np.arange(first, min(first + size, len(self))))

    def _drawn(self, rng: np.random.Generator, label: int, count: int) -> Numbers:
        """So many blocks of a label, as evenly as can be."""
        per_row = np.where(self._label == label, np.diff(self._ends, prepend=0), 0)
        own = np.repeat(self._ends - np.cumsum(per_row), per_row) + np.arange(per_row.sum())
        whole, rest = divmod(count, len(own))
        return np.concatenate([np.tile(own, whole), rng.permutation(own)[:rest]])

    def _read(self, row: int, block: int, into: Features) -> None:
        frames = int(self._frames[row])
        if frames >= self.context:
            self.store.read(int(self._first[row]) + block * self.step, into)
            return
        self.store.read(int(self._first[row]), into[:frames])
        into[frames:] = np.resize(into[:frames], (self.context - frames, into.shape[1]))


def blocks_in(frames: Numbers, context: int, step: int, shorter: Shorter = "repeated") -> Numbers:
    """How many blocks recordings of so many frames have."""
    whole = np.maximum((frames - context) // step + 1, 0)
    if shorter == "repeated":
        whole = np.where((frames > 0) & (frames < context), 1, whole)
    return np.asarray(whole, dtype=np.int64)


def blocks_of(features: Features, context: int, step: int) -> Features:
    """The blocks of one recording's features, [blocks, context, columns]; of a frame or more."""
    count = int(blocks_in(np.asarray([len(features)]), context, step)[0])
    whole = np.resize(features, (max(len(features), context), features.shape[1]))
    return np.stack([whole[number * step : number * step + context] for number in range(count)])


def _opened(file: Path) -> int:
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UnusableFeatures(
            f"{file} cannot be read: {error.strerror}. Make it with `beepwatch dataset features`."
        ) from error


def _layout(directory: Path, handle: int) -> tuple[int, int, int]:
    """Where the numbers begin, in bytes, and how many frames and columns there are."""
    with os.fdopen(handle, "rb", closefd=False) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            shape, by_columns, kind = (
                read(file) if version == (1, 0) else np.lib.format.read_array_header_2_0(file)
            )
        except (ValueError, OSError) as error:
            raise _damaged(directory, f"no array: {error}") from error
        begins_at = file.tell()
    if len(shape) != 2 or by_columns or kind != np.dtype("<f4"):
        raise _damaged(directory, f"{kind} {list(shape)}, not float32 [frames, columns]")
    if os.fstat(handle).st_size < begins_at + shape[0] * shape[1] * kind.itemsize:
        raise _damaged(directory, "cut short")
    return begins_at, shape[0], shape[1]


def _damaged(directory: Path, what: str) -> UnusableFeatures:
    file = directory / "features.npy"
    return UnusableFeatures(f"{file} is {what}. Make the features again.")


def _index(file: Path, frames: int) -> Index:
    cells: dict[str, list[str]] = {name: [] for name in _KEPT}
    places: list[tuple[int, int]] = []
    try:
        with file.open(newline="", encoding="utf-8") as table:
            reader = csv.DictReader(table, restval="", strict=True)
            missing = {*_KEPT, "first_frame", "frames"} - {*(reader.fieldnames or ())}
            if missing:
                raise ValueError(f"no column {min(missing)!r}")
            for row in reader:
                places.append(_place(row, frames))
                for name in _KEPT:
                    cells[name].append(sys.intern(row[name]))
    except OSError as error:
        raise UnusableFeatures(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise UnusableFeatures(
            f"{file}, row {len(places) + 1}: {error}. Make the features again."
        ) from error
    if astray := strays(cells["path"], cells["parent"], cells["split"]):
        raise UnusableFeatures(
            f"{file}: {shortened(astray[0])!r} is augmented and not in the split of its parent. "
            "Make the features again."
        )
    numbers = np.asarray(places, dtype=np.int64).reshape(-1, 2)
    return Index(cells=cells, first_frame=numbers[:, 0], frames=numbers[:, 1])


def _place(row: Mapping[str, str], frames: int) -> tuple[int, int]:
    """First frame and number of frames. Raises ValueError if they are not in the array."""
    first, count = int(row["first_frame"]), int(row["frames"])
    if first < 0 or count < 0 or first + count > frames:
        raise ValueError(f"{count} frames from {first} on are not among {frames}")
    return first, count
