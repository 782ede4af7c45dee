"""How well a classifier names recordings that had no say in it: not in its weights, not its epoch.

For each value of a column (each machine) a network is trained without it, and judged on it; and one
without some recordings drawn at random, which have others of the same machine, the same day, the
same cut beside them in training. The second figure flatters; the first is what a new machine gets.
"""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from matplotlib.figure import Figure

from beepwatch.errors import ConfigurationError, DiskFull
from beepwatch.train.classifier import (
    SILENT,
    Judgement,
    blocks_for,
    fit,
    judge,
    labelled_rows,
)
from beepwatch.train.datasets.division import divided
from beepwatch.train.datasets.loader import Numbers, StoredFeatures
from beepwatch.train.datasets.splitting import SplitError
from beepwatch.train.display import Display
from beepwatch.train.pictures import write_png
from beepwatch.train.recording_networks import Network
from beepwatch.train.recording_recipe import ClassifierRecipe, read_classifier_recipe
from beepwatch.wording import counted

NUMBERS, PICTURE = "judged.json", "confusions.png"
RANDOM = "drawn at random"
_EACH_ALONE = ("path",)
_LARGEST_IN_CELLS = 20  # labels; with more the numbers would not be read


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """One network on recordings that had no say in it."""

    left_out: str  # the column's value, or RANDOM
    learnt: int  # recordings, those that chose the epoch among them
    strangers: int  # recordings left aside because nothing with their label was learnt
    judged: Judgement


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`judged.json`."""

    column: str  # of which each value was left out once; "" if none was
    each: tuple[Apart, ...]  # of that column
    together: Judgement | None  # of all of them
    random: Apart | None

    def lines(self) -> list[str]:
        """For people: a table for each way, the harder one first."""
        found: list[str] = []
        if self.together is not None:
            worst = min(self.each, key=lambda one: one.judged.accuracy)
            least = f"{worst.judged.accuracy:.1%} of {worst.left_out}"
            found += [
                f"each {self.column} left out once ({len(self.each)}):",
                self.together.table(),
                f"{_figures(self.together)}; worst: {least}",
            ]
        if self.random is not None:
            found += [
                "recordings drawn at random left out (flatters: their like was learnt):",
                self.random.judged.table(),
                _figures(self.random.judged),
            ]
        aside = sum(one.strangers for one in (*self.each, *([self.random] if self.random else [])))
        if aside:
            found.append(f"{aside} were left aside: nothing else has their label")
        return found


def check(recipe: Path, features: Path) -> None:
    """Before a long training: whether what the recipe wants can be had. Raises as `judge_apart`."""
    plan, store = read_classifier_recipe(recipe), StoredFeatures(features)
    if plan.report.leave_one_out:
        _values(plan, store, labelled_rows(store))


def judge_apart(
    recipe: Path, features: Path, out: Path, display: Display = SILENT
) -> Report | None:
    """What the recipe's section `[report]` asks for, written into `out`; None if that is nothing.

    Raises ConfigurationError, UnusableFeatures, DiskFull.
    """
    plan, store = read_classifier_recipe(recipe), StoredFeatures(features)
    wanted, rows = plan.report, labelled_rows(store)
    if not wanted.leave_one_out and not wanted.random_share:
        return None
    each = tuple(_each(plan, store, rows, display)) if wanted.leave_one_out else ()
    report = Report(
        column=wanted.leave_one_out,
        each=each,
        together=_together([one.judged for one in each]) if each else None,
        random=_at_random(plan, store, rows, display) if wanted.random_share else None,
    )
    try:
        encoded = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
        (out / NUMBERS).write_bytes(encoded)
        write_png(confusions(report), out / PICTURE)
    except OSError as error:
        raise DiskFull(
            f"{out} cannot be written: {error.strerror}. Make room, or --out."
        ) from error
    return report


def _each(
    plan: ClassifierRecipe, store: StoredFeatures, rows: Numbers, display: Display
) -> Iterator[Apart]:
    values = _values(plan, store, rows)
    cells = np.asarray(store.index.cells[plan.report.leave_one_out], dtype=np.str_)[rows]
    parents = np.asarray(store.index.cells["parent"], dtype=np.str_)[rows]
    for value in values:
        judged = rows[(cells == value) & (parents == "")]
        yield _apart(plan, store, rows[cells != value], judged, value, display)


def _values(plan: ClassifierRecipe, store: StoredFeatures, rows: Numbers) -> list[str]:
    column = plan.report.leave_one_out
    every = store.index.cells[column]
    values = sorted({every[row] for row in rows.tolist()} - {""})
    if len(values) < 2:
        raise ConfigurationError(
            f"report.leave_one_out is {column!r}, of which {store.directory} has "
            f"{counted(len(values), 'value')}; one of two can be left out. "
            "Fill that column, or empty the key."
        )
    return values


def _at_random(
    plan: ClassifierRecipe, store: StoredFeatures, rows: Numbers, display: Display
) -> Apart:
    share, seed = plan.report.random_share, plan.training.seed
    learnt, judged = divided(store, by=_EACH_ALONE, share=share, seed=seed, among=rows)
    return _apart(plan, store, learnt, judged, RANDOM, display)


def _apart(
    plan: ClassifierRecipe,
    store: StoredFeatures,
    rows: Numbers,
    judged: Numbers,
    left_out: str,
    display: Display,
) -> Apart:
    """Learn from a part of `rows`, choose the epoch by the rest of them, judge once."""
    learnt, choosing = _divided(plan, store, rows, each_alone=left_out == RANDOM)
    every = store.index.cells["label"]
    known = {every[row] for row in learnt.tolist()}
    if len(known) < 2:
        raise ConfigurationError(
            f"without {left_out!r} there are {len(known)} labels to learn, and two are the least. "
            "Empty report.leave_one_out in the recipe."
        )
    heard = _of(every, judged, known)
    blocks = blocks_for(plan, store, learnt)
    held_out = blocks_for(plan, store, _of(every, choosing, known), blocks.labels)
    best: list[Network] = []

    def keep(network: Network, _: Judgement) -> None:
        best[:] = [copy.deepcopy(network)]

    chosen = fit(plan, blocks, held_out, keep)
    with torch.inference_mode():
        found = judge(best[0], blocks_for(plan, store, heard, blocks.labels), chosen.epoch)
    display.say(f"without {left_out}: {_figures(found)}")
    return Apart(
        left_out=left_out,
        learnt=len({store.index.cells["path"][row] for row in rows.tolist()}),
        strangers=len(judged) - len(heard),
        judged=found,
    )


def _divided(
    plan: ClassifierRecipe, store: StoredFeatures, rows: Numbers, *, each_alone: bool
) -> tuple[Numbers, Numbers]:
    """By the groups that the recipe keeps together; by recordings where these are too few."""
    ways = (_EACH_ALONE,) if each_alone else (plan.held_out.by, _EACH_ALONE)
    share, seed = plan.held_out.share, plan.training.seed
    for by in ways[:-1]:
        try:
            return divided(store, by=by, share=share, seed=seed, among=rows)
        except SplitError:
            continue
    return divided(store, by=ways[-1], share=share, seed=seed, among=rows)


def _of(every: Sequence[str], rows: Numbers, known: set[str]) -> Numbers:
    kept = [row for row in rows.tolist() if every[row] in known]
    return np.asarray(kept, dtype=np.int64)


def _together(judged: Sequence[Judgement]) -> Judgement:
    """The confusions of several networks as one; the mean of their losses by block."""
    labels = sorted({label for one in judged for label in one.labels})
    blocks, recordings = (np.zeros((len(labels), len(labels)), dtype=np.int64) for _ in range(2))
    for one in judged:
        places = np.ix_(*[[labels.index(label) for label in one.labels]] * 2)
        blocks[places] += np.asarray(one.blocks)
        recordings[places] += np.asarray(one.recordings)
    heard = [int(np.sum(one.blocks)) for one in judged]
    losses = sum(one.loss * count for one, count in zip(judged, heard, strict=True))
    return Judgement(
        labels=tuple(labels),
        epoch=0,
        loss=losses / max(sum(heard), 1),
        blocks=blocks.tolist(),
        recordings=recordings.tolist(),
    )


def _figures(judged: Judgement) -> str:
    return f"{judged.accuracy:.1%} of the recordings, macro F1 {judged.macro_f1:.3f}"


def confusions(report: Report) -> Figure:
    """A matrix for each way: rows are what recordings are, columns what they were taken for."""
    shown = []
    if report.together is not None:
        shown.append((f"each {report.column} left out once", report.together))
    if report.random is not None:
        shown.append(("drawn at random (flatters)", report.random.judged))
    figure = Figure(figsize=(6 * len(shown), 5.5), layout="constrained")
    for axes, (title, judged) in zip(
        figure.subplots(1, len(shown), squeeze=False).flat, shown, strict=True
    ):
        counts = np.asarray(judged.recordings)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"{title}: {judged.accuracy:.1%}", fontsize=10)
        axes.set_xticks(range(len(judged.labels)), judged.labels, rotation=45, ha="right")
        axes.set_yticks(range(len(judged.labels)), judged.labels)
        axes.set_xlabel("taken for")
        axes.set_ylabel("is")
        if len(judged.labels) <= _LARGEST_IN_CELLS:
            for (row, column), count in np.ndenumerate(counts):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
    return figure
