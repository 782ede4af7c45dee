"""What comes after the transform: deltas, normalisation, masks; in memory that does not grow."""

import os
from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.train.featuring.banks import slopes
from beepwatch.train.featuring.recipe import (
    DeltasRecipe,
    FeatureRecipe,
    NormalisationRecipe,
    needed,
)
from beepwatch.train.featuring.spectra import Floats, column_names, places
from beepwatch.wording import counted

_ROWS_AT_ONCE = 8_192  # of a second pass
_FLOAT_BYTES = 4


class TooShort(BeepwatchError):
    """A recording that has not the frames that its recipe needs."""


def with_deltas(rows: Iterable[Floats], recipe: FeatureRecipe) -> Iterator[Floats]:
    """The rows with their derivatives beside them. Raises TooShort."""
    if recipe.deltas is None:
        yield from rows
        return
    found = places(recipe)
    picked = np.concatenate([np.r_[found[name]] for name in recipe.deltas.of])
    stage = _Deltas(recipe.deltas, picked)
    for block in rows:
        if len(changed := stage.push(block)):
            yield changed
    if len(changed := stage.finish()):
        yield changed


class _Deltas:
    """Derivatives of a stream of rows; they come half a width later."""

    def __init__(self, deltas: DeltasRecipe, picked: NDArray[np.intp]) -> None:
        width = deltas.width_frames
        self._width, self._half = width, width // 2
        self._fitted = deltas.edges == "fitted"
        self._picked = picked
        self._weights = [
            slopes(width, order).astype(np.float32) for order in range(1, deltas.orders + 1)
        ]
        self._waiting: Floats | None = None  # rows whose derivatives are still to come
        self._pending = np.empty((0, len(picked)), dtype=np.float32)
        self._last: Floats | None = None  # derivatives, [1, columns]

    def push(self, block: Floats) -> Floats:
        """Rows [frames, columns] with derivatives, as far as they can be told."""
        picked = block[:, self._picked]
        if self._waiting is None:
            self._waiting = block[:0]
            if not self._fitted:
                picked = np.concatenate([np.repeat(picked[:1], self._half, axis=0), picked])
        self._waiting = np.concatenate([self._waiting, block])
        self._pending = np.concatenate([self._pending, picked])
        found = self._derivatives()
        # A derivative as high as its polynomial's degree is the same all along it.
        if self._fitted and self._last is None and len(found):
            found = np.concatenate([np.repeat(found[:1], self._half, axis=0), found])
        return self._joined(found)

    def finish(self) -> Floats:
        """What was left."""
        if self._waiting is None:
            return np.empty((0, 0), dtype=np.float32)
        if not self._fitted:
            end = np.repeat(self._pending[-1:], self._half, axis=0)
            self._pending = np.concatenate([self._pending, end])
            return self._joined(self._derivatives())
        if self._last is None:
            has = counted(len(self._waiting), "frame")
            raise TooShort(
                f"has {has}, and fitted deltas need {self._width}. Leave it out, or set "
                'deltas.edges to "nearest".'
            )
        return self._joined(np.repeat(self._last, self._half, axis=0))

    def _derivatives(self) -> Floats:
        count = max(0, len(self._pending) - self._width + 1)
        orders = [
            sum(
                (self._pending[k : k + count] * weight for k, weight in enumerate(weights)),
                start=np.zeros((count, self._pending.shape[1]), dtype=np.float32),
            )
            for weights in self._weights
        ]
        self._pending = self._pending[count:]
        return np.concatenate(orders, axis=1)

    def _joined(self, found: Floats) -> Floats:
        if len(found):
            self._last = found[-1:]
        waiting = needed(self._waiting)
        self._waiting = waiting[len(found) :]
        return np.concatenate([waiting[: len(found)], found], axis=1)


def check_columns(recipe: FeatureRecipe) -> None:
    """Raises ConfigurationError if a stated mean or deviation is not for each column."""
    columns = len(column_names(recipe))
    for name in ("mean", "deviation"):
        stated = getattr(recipe.normalisation, name)
        if isinstance(stated, tuple) and len(stated) != columns:
            raise ConfigurationError(
                f"normalisation.{name} has {counted(len(stated), 'number')}, and the recipe makes "
                f"{counted(columns, 'column')}. Write one number, or one for each column."
            )


def write_rows(file: IO[bytes], rows: Iterable[Floats], normalisation: NormalisationRecipe) -> int:
    """Write rows, normalised, from the file's start, as plain float32; how many."""
    if normalisation.kind == "window":
        rows = _by_window(rows, normalisation)
    elif normalisation.kind == "stated":
        rows = _by_statement(rows, normalisation)
    count, sums, squares = 0, np.float64(0), np.float64(0)
    columns = 0
    for block in rows:
        if normalisation.kind == "file":
            wide = block.astype(np.float64)
            sums, squares = sums + wide.sum(axis=0), squares + np.square(wide).sum(axis=0)
        file.write(block.tobytes())
        count, columns = count + len(block), block.shape[1]
    if normalisation.kind == "file" and count:
        mean = np.asarray(sums / count)
        deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
        deviation = np.maximum(deviation, needed(normalisation.least_deviation))
        _rewrite(file, columns, mean, deviation)
    return count


def _by_statement(rows: Iterable[Floats], given: NormalisationRecipe) -> Iterator[Floats]:
    mean = np.asarray(needed(given.mean), dtype=np.float32)
    deviation = np.asarray(needed(given.deviation), dtype=np.float32)
    for block in rows:
        yield (block - mean) / deviation


def _by_window(rows: Iterable[Floats], given: NormalisationRecipe) -> Iterator[Floats]:
    length, least = needed(given.frames), needed(given.least_deviation)
    before: Floats | None = None  # the last whole window
    pending: list[Floats] = []
    for block in rows:
        pending.append(block)
        if sum(map(len, pending)) < length:
            continue
        joined = np.concatenate(pending)
        whole = len(joined) // length * length
        for first in range(0, whole, length):
            before = joined[first : first + length]
            yield _standardised(before, before, least)
        pending = [joined[whole:]]
    rest = np.concatenate(pending) if pending else np.empty((0, 0), dtype=np.float32)
    if len(rest):
        window = rest if before is None else np.concatenate([before, rest])[-length:]
        yield _standardised(rest, window, least)


def _standardised(rows: Floats, window: Floats, least: float) -> Floats:
    mean = window.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(window.std(axis=0, dtype=np.float64), least)
    return np.asarray((rows - mean) / deviation, dtype=np.float32)


def _rewrite(
    file: IO[bytes], columns: int, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> None:
    """Standardise rows where they lie."""
    size = _ROWS_AT_ONCE * columns * _FLOAT_BYTES
    place = 0
    while True:
        file.seek(place)
        if not (data := file.read(size)):
            return
        rows = np.frombuffer(data, dtype=np.float32).reshape(-1, columns)
        file.seek(place)
        file.write(((rows - mean) / deviation).astype(np.float32).tobytes())
        place += len(data)


def read_rows(file: IO[bytes], columns: int) -> Floats:
    """All rows of a file that `write_rows` wrote."""
    file.seek(0, os.SEEK_SET)
    return np.frombuffer(file.read(), dtype=np.float32).reshape(-1, columns)
