"""Groups are never divided, splits that are there stay, and labels have their shares."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.train.datasets.splitting import (
    SHARES,
    SplitError,
    deal,
    folds,
    groups_of,
    held_out,
    lacking_labels,
    shares_of,
)

Rows = list[dict[str, str]]


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Rows of which many share a session or a device, and some neither."""
    cells = st.sampled_from(["", "a", "b", "c", "d", "e", "f"])
    rows = draw(st.lists(st.tuples(st.sampled_from(["beep", "wash"]), cells, cells), max_size=40))
    return [
        {"path": f"{place:02}.wav", "label": label, "session": session, "device": device}
        for place, (label, session, device) in enumerate(rows)
    ]


@given(rows=tables(), seed=st.integers(0, 5))
def test_no_session_and_no_device_is_ever_in_two_splits(rows: Rows, seed: int) -> None:
    try:
        dealt = deal(rows, SHARES, seed=seed)
    except SplitError:
        assert len(set(groups_of(rows).values())) < len(SHARES)
        return
    assert dealt.splits.keys() == {row["path"] for row in rows}
    for column in ("session", "device"):
        splits = defaultdict(set)
        for row in rows:
            splits[row[column]].add(dealt.splits[row["path"]])
        assert all(len(found) == 1 for value, found in splits.items() if value)
    if rows:
        assert set(dealt.splits.values()) == set(SHARES)  # none of them is empty


@given(rows=tables(), seed=st.integers(0, 5), data=st.data())
def test_the_order_of_rows_does_not_matter(rows: Rows, seed: int, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    assert groups_of(rows).keys() == groups_of(shuffled).keys()
    try:
        dealt = deal(rows, SHARES, seed=seed)
    except SplitError:
        return
    assert deal(shuffled, SHARES, seed=seed).splits == dealt.splits


@given(rows=tables(), more=tables())
def test_splits_that_are_there_stay_and_new_rows_follow_their_group(rows: Rows, more: Rows) -> None:
    try:
        splits = deal(rows, SHARES).splits
        table = [row | {"split": splits[row["path"]]} for row in rows]
        table += [row | {"path": f"new {row['path']}"} for row in more]
        dealt = deal(table, SHARES)
    except SplitError:  # too few groups, or a new row joins two that were apart
        return
    assert dealt.splits.keys() == {row["path"] for row in table if "split" not in row}
    split_of = defaultdict(set)
    groups = groups_of(table)
    for row in table:
        split_of[groups[row["path"]]].add(row.get("split") or dealt.splits[row["path"]])
    assert all(len(found) == 1 for found in split_of.values())


def sessions(labels: dict[str, int], of_each: int) -> Rows:
    return [
        {"path": f"{label}/{number}-{clip}.wav", "label": label, "session": f"{label}{number}"}
        for label, many in labels.items()
        for number in range(many)
        for clip in range(of_each)
    ]


def test_every_label_has_its_share_in_every_split() -> None:
    rows = sessions({"rare": 20, "often": 200}, of_each=3)
    dealt = deal(rows, SHARES, seed=1)
    counts = Counter((row["label"], dealt.splits[row["path"]]) for row in rows)
    assert counts == {
        ("rare", "train"): 48,
        ("rare", "dev"): 6,
        ("rare", "test"): 6,
        ("often", "train"): 480,
        ("often", "dev"): 60,
        ("often", "test"): 60,
    }
    assert dealt.groups == 220


def test_another_seed_gives_other_splits_and_the_same_one_the_same() -> None:
    rows = sessions({"beep": 30}, of_each=1)
    assert deal(rows, SHARES, seed=1) == deal(rows, SHARES, seed=1)
    assert deal(rows, SHARES, seed=1).splits != deal(rows, SHARES, seed=2).splits


def test_devices_connect_sessions() -> None:
    rows = [
        {"path": "a", "session": "1", "device": "x"},
        {"path": "b", "session": "1", "device": "y"},
        {"path": "c", "session": "2", "device": "y"},
        {"path": "d", "session": "2", "device": ""},
        {"path": "e", "session": "3", "device": ""},
        {"path": "f", "session": "", "device": ""},
    ]
    assert groups_of(rows) == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e", "f": "f"}
    assert groups_of(rows, by=["device"])["d"] == "d"


def test_too_few_groups_are_said() -> None:
    rows = [{"path": name, "label": "x", "device": "one"} for name in "abcdef"]
    with pytest.raises(SplitError, match="1 group cannot be divided into 3 splits"):
        deal(rows, SHARES)


def test_a_group_that_is_in_two_splits_takes_nothing_new() -> None:
    rows = [
        {"path": f"{n}", "session": "s", "split": split} for n, split in enumerate(("a", "b", ""))
    ]
    with pytest.raises(SplitError, match="already in a and b"):
        deal(rows, SHARES)
    assert deal(rows[:2], SHARES).splits == {}


def test_each_value_of_a_column_is_a_fold() -> None:
    rows = [
        {"path": str(n), "device": device} for n, device in enumerate(["id_02", "id_00", "id_02"])
    ]
    assert folds(rows, "device") == {"0": "2", "1": "1", "2": "2"}
    with pytest.raises(SplitError, match="the recording 'x' has no device"):
        folds([*rows, {"path": "x"}], "device")
    with pytest.raises(SplitError, match="the same device"):
        folds(rows[:1], "device")


def test_folds_that_a_data_set_came_with_are_not_written_over() -> None:
    """UrbanSound8K has ten, of many recordings each, and its results hold for those alone."""
    rows = [
        {"path": str(n), "session": f"s{n // 2}", "device": f"d{n // 4}", "fold": fold}
        for n, fold in enumerate(["10", "10", "10", "10", "2", "2", "2", "2"])
    ]
    with pytest.raises(SplitError, match="the column fold has folds of another kind"):
        folds(rows, "session")
    assert folds(rows, "fold") == {row["path"]: row["fold"] for row in rows}
    renumbered = {row["path"]: "1" if row["fold"] == "10" else "2" for row in rows}
    assert folds(rows, "device") == renumbered  # they are by device, in another order
    another = {"path": "8", "session": "s0", "device": "a new one"}
    assert folds([*rows, another], "device")["8"] == "1"


def test_one_machine_is_held_out() -> None:
    rows = [{"path": str(n), "device": device} for n, device in enumerate("aba")]
    assert held_out(rows, "device", "b") == {"0": "train", "1": "test", "2": "train"}
    with pytest.raises(SplitError, match="no recording has the device 'c'; known: a, b"):
        held_out(rows, "device", "c")
    with pytest.raises(SplitError, match="the recording '0' has another split already"):
        held_out([rows[0] | {"split": "dev"}, *rows[1:]], "device", "b")


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("80/10/10", {"train": 80, "dev": 10, "test": 10}),
        ("80/20", {"train": 80, "dev": 20}),
        ("70/0/30", {"train": 70, "dev": 0, "test": 30}),
        ("0.8/0.1/0.1", {"train": 0.8, "dev": 0.1, "test": 0.1}),
        ("33.3/33.3/33.3", {"train": 33.3, "dev": 33.3, "test": 33.3}),
        ("train=70, test=30", {"train": 70, "test": 30}),
    ],
)
def test_shares_are_read(text: str, shares: dict[str, float]) -> None:
    assert shares_of(text) == shares


@pytest.mark.parametrize(
    "text", ["", "many", "1/2/3/4", "0/0/0", "train=", "-1/2", "nan", "=3", "inf", "a=1,a=2"]
)
def test_what_are_no_shares_is_said(text: str) -> None:
    with pytest.raises(SplitError, match="give 80/10/10"):
        shares_of(text)


@pytest.mark.parametrize(
    ("text", "total"),
    [("80/30", "110"), ("80/10", "90"), ("8/1/1", "10"), ("train=80, test=30", "110"), ("9", "9")],
)
def test_shares_that_do_not_add_up_are_refused(text: str, total: str) -> None:
    """One of them is a mistake, and nobody knows which."""
    with pytest.raises(SplitError, match=f"is '{text}', which adds up to {total}; give shares"):
        shares_of(text)


def test_labels_that_a_split_lacks_are_named() -> None:
    rows = [
        {"path": path, "split": split, "label": label}
        for path, split, label in (
            *(("a", "train", "beep"), ("b", "train", "wash"), ("c", "train", "spin")),
            *(("d", "dev", "beep"), ("e", "test", ""), ("f", "", "human")),
        )
    ]
    assert lacking_labels(rows) == {"dev": ("spin", "wash"), "test": ("beep", "spin", "wash")}
    assert lacking_labels(rows[:3]) == {}
    assert lacking_labels([]) == {}
