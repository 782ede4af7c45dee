"""Rows of a feature store to learn from, and rows to judge by: no group is in both."""

from collections.abc import Mapping, Sequence

import numpy as np

from beepwatch.train.datasets.loader import Numbers, StoredFeatures
from beepwatch.train.datasets.splitting import GROUPED_BY, deal, held_out

_LEARNT, _JUDGED = "train", "test"


def divided(
    store: StoredFeatures,
    *,
    by: Sequence[str] = GROUPED_BY,
    share: float = 0.2,
    seed: int = 0,
    among: Numbers | None = None,
) -> tuple[Numbers, Numbers]:
    """The rows `among` which (all, if none are named), about a `share` of them held out.

    Recordings that have the same value in one of the columns `by` stay together. Augmented rows
    follow their parent; what was made of a held-out recording is in neither part. Raises
    SplitError if there are not two groups.
    """
    rows = np.arange(len(store.index)) if among is None else among
    shares = {_LEARNT: 1 - share, _JUDGED: share}
    return _parts(store, rows, deal(_originals(store, rows), shares, by=by, seed=seed).splits)


def by_split(
    store: StoredFeatures, *, by: Sequence[str], share: float, seed: int
) -> tuple[Numbers, Numbers]:
    """Labelled rows to learn from, of the split train, and those of dev, which judge; none of test.

    Without a split train all that have none are learned from; without dev a `share` of what would
    be is held out, as `divided` does.
    """
    cells = store.index.cells
    labelled = np.asarray(cells["label"], dtype=np.str_) != ""
    splits = np.where(labelled, cells["split"], "test")
    plain = np.asarray(cells["parent"], dtype=np.str_) == ""
    learnt = np.flatnonzero(splits == ("train" if "train" in splits else ""))
    judged = np.flatnonzero((splits == "dev") & plain)
    if len(judged) > 0:
        return learnt, judged
    return divided(store, by=by, share=share, seed=seed, among=learnt)


def left_out(store: StoredFeatures, column: str, value: str) -> tuple[Numbers, Numbers]:
    """All rows but those with that value in a column (one machine, one session), and those.

    Raises SplitError if none has it.
    """
    rows = np.arange(len(store.index))
    return _parts(store, rows, held_out(_originals(store, rows), column, value))


def _originals(store: StoredFeatures, rows: Numbers) -> list[dict[str, str]]:
    """The recordings among the rows, without the split that they may have."""
    cells = store.index.cells
    names = ("path", "label", "session", "device")
    return [
        {name: cells[name][row] for name in names}
        for row in rows.tolist()
        if not cells["parent"][row]
    ]


def _parts(
    store: StoredFeatures, rows: Numbers, splits: Mapping[str, str]
) -> tuple[Numbers, Numbers]:
    paths, parents = store.index.cells["path"], store.index.cells["parent"]
    learnt = [row for row in rows.tolist() if splits.get(parents[row] or paths[row]) == _LEARNT]
    judged = [row for row in rows.tolist() if not parents[row] and splits[paths[row]] == _JUDGED]
    return np.asarray(learnt, dtype=np.int64), np.asarray(judged, dtype=np.int64)
