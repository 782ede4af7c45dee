"""Blocks of a feature store as PyTorch takes them.

What goes to a worker process is where the store is and the numbers of its rows: each worker reads
`features.npy` for itself, and shares nothing but the pages that the system keeps of it.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from beepwatch.train.datasets.loader import Batch, Blocks

Example = tuple[torch.Tensor, int]
Examples = tuple[torch.Tensor, torch.Tensor]


class BlockDataset(Dataset[Example]):
    """Every block by its number: features [context, columns] and the place of its label.

    Its order is a sampler's: `DataLoader(dataset, sampler=blocks.order(epoch, seed).tolist())`.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, number: int) -> Example:
        features, labels = tensors(self.blocks.batch(np.asarray([number])))
        return features[0], int(labels[0])


class BlockStream(IterableDataset[Examples]):
    """An epoch in whole batches, for `DataLoader(stream, batch_size=None, num_workers=N)`.

    Features are [blocks, context, columns], labels [blocks]. Each worker reads every N-th batch;
    the batches are the same, and come in the same order, for any number of workers. `epoch` is
    set before each epoch; with persistent workers it would stay as it was.
    """

    def __init__(
        self, blocks: Blocks, size: int, *, seed: int = 0, balanced: bool = True, epoch: int = 0
    ) -> None:
        self.blocks = blocks
        self.size = size
        self.seed = seed
        self.balanced = balanced
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of an epoch."""
        return -(-self.blocks.epoch_blocks(balanced=self.balanced) // self.size)

    def __iter__(self) -> Iterator[Examples]:
        worker = get_worker_info()
        first, every = (worker.id, worker.num_workers) if worker else (0, 1)
        order = self.blocks.order(self.epoch, self.seed, balanced=self.balanced)
        for start in range(first * self.size, len(order), every * self.size):
            yield tensors(self.blocks.batch(order[start : start + self.size]))


def tensors(batch: Batch) -> Examples:
    """Features and labels of a batch; the features' memory is the batch's own."""
    return torch.from_numpy(batch.features), torch.from_numpy(batch.labels)
