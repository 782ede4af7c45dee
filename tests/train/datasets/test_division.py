"""No group is on both sides, and about the share is held out."""

from pathlib import Path

import numpy as np
import pytest

from beepwatch.train.datasets.division import divided, left_out
from beepwatch.train.datasets.loader import StoredFeatures
from beepwatch.train.datasets.splitting import SplitError
from tests.train.datasets.stores import recording, write_store


def store_of(directory: Path, rows: list[dict[str, object]]) -> StoredFeatures:
    """A store of those recordings."""
    return StoredFeatures(write_store(directory, rows))


def sessions(store: StoredFeatures, rows: np.ndarray) -> set[str]:
    """The sessions of some rows."""
    return {store.index.cells["session"][row] for row in rows.tolist()}


@pytest.mark.parametrize("seed", range(5))
def test_sessions_are_held_out_whole_a_fifth_of_each_label(tmp_path: Path, seed: int) -> None:
    """20 sessions of 10 recordings each, a tenth of them beeps."""
    rows = [
        recording(f"{session}-{n}", 10, session=f"s{session}", label="beep" if n == 0 else "wash")
        for session in range(20)
        for n in range(10)
    ]
    store = store_of(tmp_path, rows)
    learnt, judged = divided(store, seed=seed)
    assert not sessions(store, learnt) & sessions(store, judged)
    assert (len(learnt), len(judged)) == (160, 40)
    again = divided(store, seed=seed)
    assert (again[0].tolist(), again[1].tolist()) == (learnt.tolist(), judged.tolist())


def test_other_seeds_hold_other_sessions_out(tmp_path: Path) -> None:
    store = store_of(tmp_path, [recording(str(n), 10, session=f"s{n}") for n in range(20)])
    held = {tuple(divided(store, seed=seed)[1].tolist()) for seed in range(10)}
    assert len(held) > 5


def test_augmented_rows_are_learnt_with_their_parent_or_not_at_all(tmp_path: Path) -> None:
    rows = []
    for n in range(10):
        rows.append(recording(str(n), 10))
        rows.append(recording(str(n), 10, augmentation="loud", parent=str(n)))
    store = store_of(tmp_path, rows)
    learnt, judged = divided(store)
    assert (len(learnt), len(judged)) == (16, 2)
    held = {store.index.cells["path"][row] for row in judged.tolist()}
    assert not held & {store.index.cells["path"][row] for row in learnt.tolist()}
    assert not any(store.index.cells["augmentation"][row] for row in judged.tolist())


def test_only_the_rows_that_are_named_are_divided(tmp_path: Path) -> None:
    rows = [recording(str(n), 10, split="train" if n < 10 else "test") for n in range(20)]
    store = store_of(tmp_path, rows)
    learnt, judged = divided(store, among=store.chosen("train"))
    assert sorted([*learnt.tolist(), *judged.tolist()]) == list(range(10))


def test_one_machine_is_left_out(tmp_path: Path) -> None:
    rows = [recording(f"{n}", 10, device=f"id_0{n % 3}") for n in range(9)]
    rows.append(recording("1", 10, device="id_01", augmentation="loud", parent="1"))
    store = store_of(tmp_path, rows)
    learnt, judged = left_out(store, "device", "id_01")
    assert learnt.tolist() == [0, 2, 3, 5, 6, 8]
    assert judged.tolist() == [1, 4, 7]
    with pytest.raises(
        SplitError, match="no recording has the device 'id_09'; known: id_00, id_01"
    ):
        left_out(store, "device", "id_09")


def test_recordings_of_a_device_stay_together_whatever_their_session(tmp_path: Path) -> None:
    rows = [recording(f"{n}", 10, device=f"d{n // 4}", session=f"s{n}") for n in range(40)]
    store = store_of(tmp_path, rows)
    _, judged = divided(store, share=0.1)
    assert len(judged) == 4
    assert len({row // 4 for row in judged.tolist()}) == 1
    _, judged = divided(store, share=0.1, by=["session"])
    assert len({row // 4 for row in judged.tolist()}) > 1


def test_one_group_cannot_be_divided(tmp_path: Path) -> None:
    store = store_of(tmp_path, [recording("a", 10, session="s"), recording("b", 10, session="s")])
    with pytest.raises(SplitError, match="1 group cannot be divided"):
        divided(store)
