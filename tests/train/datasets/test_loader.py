"""Blocks are those frames of those recordings, in the order that was asked for."""

import multiprocessing
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from beepwatch.train.datasets.loader import (
    Blocks,
    Shorter,
    StoredFeatures,
    UnusableFeatures,
    blocks_in,
)
from tests.train.datasets.stores import WIDTH, recording, write_index, write_store


def blocks_of(directory: Path, *, context: int = 4, step: int = 2) -> Blocks:
    """All blocks of the training split."""
    store = StoredFeatures(directory)
    return Blocks(store, store.chosen("train"), context=context, step=step)


# Which blocks there are


@pytest.mark.parametrize(
    ("frames", "shorter", "expected"),
    [
        (0, "repeated", 0),
        (1, "repeated", 1),
        (127, "repeated", 1),
        (127, "left_out", 0),
        (128, "left_out", 1),
        (177, "repeated", 1),
        (178, "repeated", 2),
        (433, "repeated", 7),
    ],
)
def test_a_recording_has_a_block_wherever_a_whole_one_fits(
    frames: int, shorter: Shorter, expected: int
) -> None:
    """128 frames every 50."""
    assert blocks_in(np.asarray([frames]), 128, 50, shorter).tolist() == [expected]


def test_blocks_begin_every_step_and_end_with_their_recording(tmp_path: Path) -> None:
    write_store(
        tmp_path, [recording("a", 9), recording("skipped", 5, split="dev"), recording("b", 4)]
    )
    blocks = blocks_of(tmp_path)
    assert len(blocks) == 4
    batch = blocks.batch(np.arange(4))
    assert batch.features.shape == (4, 4, WIDTH)
    assert batch.features[:, 0, 0].tolist() == [0, 2, 4, 14]
    assert batch.features[3].tolist() == [[n, n + 0.25, n + 0.5] for n in (14, 15, 16, 17)]
    assert batch.rows.tolist() == [0, 0, 0, 2]


def test_a_short_recording_comes_again_from_its_beginning(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("long", 4), recording("short", 3)])
    block = blocks_of(tmp_path, context=8).batch(np.asarray([1])).features[0]
    assert block[:, 0].tolist() == [4, 5, 6, 4, 5, 6, 4, 5]


def test_labels_are_numbered_in_the_order_of_their_names_or_as_asked(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 4, label="wash"), recording("b", 4, label="beep")])
    blocks = blocks_of(tmp_path)
    assert blocks.labels == ("beep", "wash")
    assert blocks.batch(np.arange(2)).labels.tolist() == [1, 0]
    store = blocks.store
    more = Blocks(store, np.arange(2), context=4, step=1, labels=["wash", "spin", "beep"])
    assert more.batch(np.arange(2)).labels.tolist() == [0, 2]
    assert more.counts.tolist() == [1, 0, 1]
    with pytest.raises(UnusableFeatures, match="has the label 'beep', which is none of wash"):
        Blocks(store, np.arange(2), context=4, step=1, labels=["wash"])


def test_all_blocks_in_order_are_every_block_once(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 9), recording("b", 8)])
    batches = list(blocks_of(tmp_path).in_order(4))
    assert [len(batch.labels) for batch in batches] == [4, 2]
    firsts = np.concatenate([batch.features[:, 0, 0] for batch in batches])
    assert firsts.tolist() == [0, 2, 4, 9, 11, 13]


@pytest.mark.parametrize(("context", "step"), [(0, 1), (4, 0), (-1, 2)])
def test_blocks_of_nothing_are_refused(tmp_path: Path, context: int, step: int) -> None:
    write_store(tmp_path, [recording("a", 9)])
    with pytest.raises(UnusableFeatures, match="must be 1 or more"):
        blocks_of(tmp_path, context=context, step=step)


# Their order


def test_an_epoch_is_every_block_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 200)])
    blocks = blocks_of(tmp_path, step=1)
    orders = [blocks.order(epoch, 7, balanced=False) for epoch in (0, 1)]
    assert all(sorted(order.tolist()) == list(range(197)) for order in orders)
    assert orders[0].tolist() != orders[1].tolist()
    assert orders[0].tolist() == blocks.order(0, 7, balanced=False).tolist()
    assert orders[0].tolist() != blocks.order(0, 8, balanced=False).tolist()


def test_a_balanced_epoch_has_as_many_of_each_label(tmp_path: Path) -> None:
    """90, 9 and 3 blocks: 34 of each; of the rare ones each block as often, or once more."""
    write_store(
        tmp_path,
        [
            recording("a", 60, label="wash"),
            recording("b", 9, label="beep"),
            recording("c", 30, label="wash"),
            recording("d", 3, label="spin"),
        ],
    )
    blocks = blocks_of(tmp_path, context=1, step=1)
    assert blocks.counts.tolist() == [9, 3, 90]
    assert (blocks.epoch_blocks(), blocks.epoch_blocks(balanced=False)) == (102, 102)
    labels: Counter[int] = Counter()
    times: Counter[float] = Counter()
    for batch in blocks.batches(10, epoch=3, seed=1):
        labels.update(batch.labels.tolist())
        times.update(batch.features[:, 0, 0].tolist())
    assert labels == {0: 34, 1: 34, 2: 34}
    assert {times[frame] for frame in range(60, 69)} == {3, 4}
    assert {times[frame] for frame in range(99, 102)} == {11, 12}
    assert max(times[frame] for frame in range(60)) == 1


def test_an_epoch_is_mixed_and_not_label_after_label(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 500), recording("b", 500, label="wash")])
    blocks = blocks_of(tmp_path, context=1, step=1)
    halves = [batch.labels.mean() for batch in blocks.batches(500)]
    assert halves == pytest.approx([0.5, 0.5], abs=0.1)


# From a process to another


def first_numbers(blocks: Blocks) -> list[float]:
    """What another process reads."""
    return [float(number) for number in blocks.batch(np.arange(2)).features[:, 0, 0]]


def test_another_process_reads_for_itself(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 9)])
    blocks = blocks_of(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(first_numbers, (blocks,)) == [0.0, 2.0]


# What is no store


def test_a_directory_without_features_says_how_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(UnusableFeatures, match=r"features\.npy cannot be read: No such file.*"):
        StoredFeatures(tmp_path)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((9, 3)), r"float64 \[9, 3\], not float32"),
        (np.zeros(9, dtype=np.float32), r"float32 \[9\], not float32 \[frames, columns\]"),
        (np.zeros((9, 3), dtype=np.float32, order="F"), "not float32"),
    ],
)
def test_another_kind_of_array_is_refused(
    tmp_path: Path, array: np.ndarray, complaint: str
) -> None:
    write_store(tmp_path, [recording("a", 9)])
    np.save(tmp_path / "features.npy", array)
    with pytest.raises(UnusableFeatures, match=complaint):
        StoredFeatures(tmp_path)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    file = write_store(tmp_path, [recording("a", 9)]) / "features.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UnusableFeatures, match="cut short"):
        StoredFeatures(tmp_path)
    file.write_bytes(b"RIFF")
    with pytest.raises(UnusableFeatures, match="no array"):
        StoredFeatures(tmp_path)


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path: Path) -> None:
    file = write_store(tmp_path, [recording("a", 9)]) / "features.npy"
    blocks = blocks_of(tmp_path)
    file.write_bytes(file.read_bytes()[:150])
    with pytest.raises(UnusableFeatures, match="has become shorter"):
        blocks.batch(np.asarray([2]))


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ({"first_frame": 1, "frames": 9}, "row 1: 9 frames from 1 on are not among 9"),
        ({"first_frame": -1, "frames": 3}, "row 1: 3 frames from -1 on"),
        ({"first_frame": "x", "frames": 3}, "row 1: invalid literal"),
    ],
)
def test_an_index_of_other_frames_is_refused(
    tmp_path: Path, cells: dict[str, object], complaint: str
) -> None:
    write_store(tmp_path, [recording("a", 9)])
    write_index(tmp_path, [{"path": "a", "label": "beep"} | cells])
    with pytest.raises(UnusableFeatures, match=complaint):
        StoredFeatures(tmp_path)


def test_an_index_without_its_columns_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 9)])
    (tmp_path / "index.csv").write_text("path,first_frame,frames\n", encoding="utf-8")
    with pytest.raises(UnusableFeatures, match="no column 'augmentation'"):
        StoredFeatures(tmp_path)
    (tmp_path / "index.csv").unlink()
    with pytest.raises(UnusableFeatures, match="No such file"):
        StoredFeatures(tmp_path)


def test_augmented_rows_on_the_other_side_of_a_split_are_refused(tmp_path: Path) -> None:
    made = recording("a", 4, augmentation="loud", parent="a", split="test")
    write_store(tmp_path, [recording("a", 4), made])
    with pytest.raises(UnusableFeatures, match="'a' is augmented and not in the split of its"):
        StoredFeatures(tmp_path)


def test_a_split_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    write_store(tmp_path, [recording("a", 9)])
    with pytest.raises(UnusableFeatures, match=r"no rows of the split 'dev'; found 'train'\."):
        StoredFeatures(tmp_path).chosen("dev")
