"""PyTorch gets the same blocks, in the same order for any number of workers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from beepwatch.train.datasets.loader import Blocks, StoredFeatures
from beepwatch.train.datasets.tensors import BlockDataset, BlockStream
from tests.train.datasets.stores import WIDTH, recording, write_store


@pytest.fixture
def blocks(tmp_path: Path) -> Blocks:
    """37 blocks of beep, 5 of wash."""
    write_store(tmp_path, [recording("a", 40), recording("b", 8, label="wash")])
    store = StoredFeatures(tmp_path)
    return Blocks(store, np.arange(2), context=4, step=1)


def test_a_block_by_its_number(blocks: Blocks) -> None:
    dataset = BlockDataset(blocks)
    assert len(dataset) == 42
    features, label = dataset[37]
    assert features.shape == (4, WIDTH)
    assert features[:, 0].tolist() == [40, 41, 42, 43]
    assert label == 1


def test_a_sampler_gives_them_an_order(blocks: Blocks) -> None:
    order = blocks.order(2, 7).tolist()
    loader = DataLoader(BlockDataset(blocks), batch_size=5, sampler=order)
    labels = torch.cat([labels for _, labels in loader])
    assert labels.tolist() == [int(number >= 37) for number in order]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than there are cores
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_is_the_epoch_whoever_reads_it(blocks: Blocks, workers: int) -> None:
    stream = BlockStream(blocks, 5, seed=7, epoch=2)
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
    batches = list(loader)
    wanted = list(blocks.batches(5, epoch=2, seed=7))
    assert len(batches) == len(stream) == len(wanted) == 9
    for (features, labels), batch in zip(batches, wanted, strict=True):
        assert (features.numpy() == batch.features).all()
        assert labels.tolist() == batch.labels.tolist()
