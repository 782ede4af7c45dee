"""Which recordings train, which choose and which judge: never by window, always by group.

Recordings that share a session or a device are one group, and a group is in one split. Groups are
dealt out so that every label has its share in every split, as far as whole groups allow.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from beepwatch.errors import ConfigurationError
from beepwatch.validation import shortened
from beepwatch.wording import counted

Row = Mapping[str, str]

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}
GROUPED_BY = ("session", "device")
FOLD = "fold"  # the column of what is left out in turn
_WHOLES = (100, 1)
_ROUNDED = 0.005  # three thirds of 33.3


class SplitError(ConfigurationError):
    """A data set that cannot be divided as it was asked for."""


class Dealt(msgspec.Struct, frozen=True, kw_only=True):
    """The splits of rows that had none."""

    splits: dict[str, str]  # by path
    groups: int
    alone: int  # recordings without session or device, each a group of its own


def check_columns(by: Sequence[str], columns: Sequence[str]) -> None:
    """Raises SplitError for a column that a table has not: nothing would stay together by it.

    Those that every table should have may be missing.
    """
    for name in by:
        if name not in columns and name not in GROUPED_BY:
            raise SplitError(
                f"dataset.csv has no column {name!r}; it has {shortened(', '.join(columns))}. "
                "Give others with --by, or fill that one in."
            )


def groups_of(rows: Sequence[Row], by: Sequence[str] = GROUPED_BY) -> dict[str, str]:
    """For each path the name of its group: that of the first row which it is connected with.

    Rows that have the same value in one of the columns are connected, and so on through others.
    """
    first_with: dict[tuple[str, str], str] = {}
    parent: dict[str, str] = {row["path"]: row["path"] for row in rows}

    def root(path: str) -> str:
        while parent[path] != path:
            parent[path] = path = parent[parent[path]]
        return path

    for row in rows:
        for column in by:
            if value := row.get(column, ""):
                other = root(first_with.setdefault((column, value), row["path"]))
                mine = root(row["path"])
                parent[max(mine, other)] = min(mine, other)
    return {path: root(path) for path in parent}


def deal(
    rows: Sequence[Row],
    shares: Mapping[str, float],
    *,
    by: Sequence[str] = GROUPED_BY,
    seed: int = 0,
) -> Dealt:
    """Splits for the rows that have none; a row that has one keeps it, and its group follows.

    The same rows, shares and seed give the same splits, in whatever order the rows are. Raises
    SplitError where a group is already in two, or where there are fewer groups than splits.
    """
    rows = sorted(rows, key=lambda row: row["path"])
    group_of = groups_of(rows, by)
    members: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        members[group_of[row["path"]]].append(row)
    chosen = _already(members)
    left = [group for group in members if group not in chosen]
    wanted = [name for name, share in shares.items() if share > 0]
    if left and not chosen and len(left) < len(wanted):
        raise SplitError(
            f"{counted(len(left), 'group')} cannot be divided into {len(wanted)} splits: all "
            f"recordings of a {' or a '.join(by)} stay together. "
            "Give other columns (--by; of a recipe, by below [held_out]), or fewer splits."
        )
    _deal_out(members, left, chosen, {name: shares[name] for name in wanted}, seed)
    return Dealt(
        splits={
            row["path"]: chosen[group]
            for group, its_rows in members.items()
            for row in its_rows
            if not row.get("split")
        },
        groups=len(members),
        alone=sum(not any(row.get(column) for column in by) for row in rows),
    )


def _already(members: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for group, rows in members.items():
        splits = sorted({row["split"] for row in rows if row.get("split")})
        if len(splits) > 1 and not all(row.get("split") for row in rows):
            raise SplitError(
                f"what belongs together with {shortened(group)!r} is already in "
                f"{' and '.join(splits)}, so a new recording of it fits in neither. "
                "See `beepwatch dataset check`, and empty those cells."
            )
        if splits:
            chosen[group] = splits[0]
    return chosen


def _deal_out(
    members: Mapping[str, Sequence[Row]],
    left: Sequence[str],
    chosen: dict[str, str],
    shares: Mapping[str, float],
    seed: int,
) -> None:
    """Largest groups first, each where it brings all labels nearest to their shares."""
    counts = {group: Counter(row.get("label", "") for row in members[group]) for group in members}
    labels = sorted({label for count in counts.values() for label in count})
    vectors = {
        group: np.array([count[label] for label in labels], dtype=np.float64)
        for group, count in counts.items()
    }
    names = list(shares)
    weights = np.array([shares[name] for name in names]) / sum(shares.values())
    totals = np.sum(list(vectors.values()), axis=0) if vectors else np.zeros(0)
    targets = weights[:, np.newaxis] * totals  # [splits, labels]
    have = np.zeros_like(targets)
    for group, split in chosen.items():
        if split in names:
            have[names.index(split)] += vectors[group]
    order = [left[place] for place in np.random.default_rng(seed).permutation(len(left))]
    order.sort(key=lambda group: -len(members[group]))  # stable: equals stay shuffled
    for group in order:
        # squared miss of every cell, relative to what it should be
        scale = np.maximum(targets, 1e-9) * np.maximum(totals, 1.0)
        gain = ((targets - have) ** 2 - (targets - have - vectors[group]) ** 2) / scale
        best = int(np.argmax(gain.sum(axis=1)))
        have[best] += vectors[group]
        chosen[group] = names[best]
    _fill_empty(members, order, chosen, names)


def _fill_empty(
    members: Mapping[str, Sequence[Row]],
    dealt: Sequence[str],
    chosen: dict[str, str],
    names: Sequence[str],
) -> None:
    """A split that got nothing takes the smallest of the groups that the richest was dealt."""
    for name in names:
        if name in chosen.values():
            continue
        richest, many = (
            Counter(chosen[group] for group in dealt).most_common(1)[0] if dealt else ("", 0)
        )
        if many < 2:
            return
        smallest = min(
            (group for group in reversed(dealt) if chosen[group] == richest),
            key=lambda group: len(members[group]),
        )
        chosen[smallest] = name


def lacking_labels(rows: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """For each split the labels that another one has and it has not; splits with all left out."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.get("split"):
            found[row["split"]].add(row.get("label", ""))
    known = set().union(*found.values()) - {""}
    missing = {split: tuple(sorted(known - labels)) for split, labels in sorted(found.items())}
    return {split: labels for split, labels in missing.items() if labels}


def folds(rows: Sequence[Row], column: str) -> dict[str, str]:
    """For each path the number of its fold, from 1: one for each value of a column, in order.

    Who trains on all but one of them has left one device, or one session, out. Folds that a data
    set came with stay as they are: leaving one of `fold` out changes nothing. Raises SplitError
    if a row has no value there, there is only one, or the rows have other folds than by that
    column.
    """
    without = [row["path"] for row in rows if not row.get(column)]
    if without:
        raise SplitError(f"{_named(without)} no {column}. Fill that column in dataset.csv first.")
    values = sorted({row[column] for row in rows})
    if len(values) < 2:
        raise SplitError(
            f"every recording has the same {column}; one of two at least can be left out."
        )
    if column == FOLD:
        return {row["path"]: row[FOLD] for row in rows}
    given = {(row[column], row[FOLD]) for row in rows if row.get(FOLD)}
    if any(len({pair[place] for pair in given}) < len(given) for place in (0, 1)):
        raise SplitError(
            f"the column {FOLD} has folds of another kind, which would be lost. "
            f"Rename it in dataset.csv, or leave one of those out: --leave-one-out {FOLD}=VALUE."
        )
    number = {value: str(place) for place, value in enumerate(values, start=1)}
    return {row["path"]: number[row[column]] for row in rows}


def _named(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return f"the recording {shortened(paths[0])!r} has"
    return f"{counted(len(paths), 'recording')}, {shortened(paths[0])!r} among them, have"


def held_out(rows: Sequence[Row], column: str, value: str) -> dict[str, str]:
    """For each path "test" if it has that value, else "train".

    Raises SplitError if none has, or a recording already has another split.
    """
    splits = {row["path"]: "test" if row.get(column) == value else "train" for row in rows}
    if "test" not in splits.values():
        known = sorted({row.get(column, "") for row in rows} - {""})
        raise SplitError(
            f"no recording has the {column} {value!r}; known: {shortened(', '.join(known) or '-')}."
        )
    other = [row["path"] for row in rows if row.get("split") not in ("", None, splits[row["path"]])]
    if other:
        raise SplitError(
            f"{_named(other)} another split already. "
            "Empty the column split of dataset.csv, or leave out what --leave-one-out names."
        )
    return splits


def shares_of(text: str) -> dict[str, float]:
    """From "80/10/10", or "train=70,test=30": percent, or shares of 1. Raises SplitError."""
    try:
        if "=" in text:
            pairs = [part.split("=") for part in text.split(",")]
            shares = {name.strip(): float(share) for name, share in pairs}
            if len(shares) < len(pairs):
                raise ValueError(text)
        else:
            shares = dict(zip(SHARES, map(float, text.split("/")), strict=False))
            if text.count("/") > len(SHARES) - 1:
                raise ValueError(text)
    except ValueError:
        shares = {}
    usable = shares and all(share >= 0 for share in shares.values()) and all(shares)
    if not usable or not 0 < sum(shares.values()) < float("inf"):
        raise SplitError(f"--split is {text!r}; give 80/10/10, 80/20 or train=70,test=30.")
    total = sum(shares.values())
    if not any(math.isclose(total, whole, rel_tol=_ROUNDED) for whole in _WHOLES):
        raise SplitError(
            f"--split is {text!r}, which adds up to {total:g}; give shares that add up to 100, "
            "such as 80/10/10."
        )
    return shares
