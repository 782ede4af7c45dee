"""Learns from a feature store that is ten times as large as what this process may have.

    python -m tests.train.datasets.large numpy|torch STORE LIMIT_BYTES

Prints JSON: the share of held-out blocks that were told apart, and the most memory after a tenth
of what it reads and at the end.
"""

import json
import re
import resource
import sys
from collections.abc import Iterable
from pathlib import Path


def limit_memory(limit_bytes: int) -> None:
    """As `ulimit -v` does it."""
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def most_bytes() -> int:
    """The most memory that was in use at once; `getrusage` would count the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(kib) * 1024 for kib in re.findall(r"VmHWM:\s*(\d+) kB", status))


def refuse_the_whole(file: Path) -> None:
    """Raises SystemExit if the file could be had as a whole, so that the limit limits nothing."""
    import numpy as np

    for how in (None, "r"):
        try:
            np.load(file, mmap_mode=how)
        except (MemoryError, OSError):
            continue
        sys.exit(f"{file} fits into the limit")


def learn_with_numpy(directory: Path) -> dict[str, float]:
    """Softmax regression on the means of blocks, an epoch."""
    import numpy as np

    from beepwatch.train.datasets.division import divided
    from beepwatch.train.datasets.loader import Blocks, StoredFeatures

    store = StoredFeatures(directory)
    learnt, judged = divided(store, among=store.chosen("train"))
    blocks = Blocks(store, learnt, context=256, step=256)
    weights = np.zeros((store.columns, len(blocks.labels)), dtype=np.float32)
    early_bytes = 0
    for number, batch in enumerate(blocks.batches(8, seed=1)):
        means = batch.features.mean(axis=1)
        logits = means @ weights
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(len(means)), batch.labels] -= 1
        weights -= 0.5 * means.T @ shares / len(means)
        if number == len(blocks) // 80:
            early_bytes = most_bytes()
    held_out = Blocks(store, judged, context=256, step=256, labels=blocks.labels)
    right = [
        (batch.features.mean(axis=1) @ weights).argmax(axis=1) == batch.labels
        for batch in held_out.in_order(8)
    ]
    return {"early_bytes": early_bytes, "right": float(np.concatenate(right).mean())}


def learn_with_torch(directory: Path) -> dict[str, float]:
    """A linear layer on the means of blocks; of the stream's first epoch 150 batches."""
    from itertools import islice

    import torch
    from torch.utils.data import DataLoader

    from beepwatch.train.datasets.loader import Blocks, StoredFeatures
    from beepwatch.train.datasets.tensors import BlockStream

    torch.set_num_threads(1)
    store = StoredFeatures(directory)
    blocks = Blocks(store, store.chosen("train"), context=256, step=256)
    stream: Iterable[tuple[torch.Tensor, torch.Tensor]] = DataLoader(
        BlockStream(blocks, 4, seed=1), batch_size=None
    )
    layer = torch.nn.Linear(store.columns, len(blocks.labels))
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5)
    early_bytes, right = 0, 0
    for number, (features, labels) in enumerate(islice(stream, 150)):
        logits = layer(features.mean(dim=1))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if number == 15:
            early_bytes = most_bytes()
        if number >= 100:
            right += int((logits.argmax(dim=1) == labels).sum())
    return {"early_bytes": early_bytes, "right": right / 200}


if __name__ == "__main__":
    way, directory, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    limit_memory(limit)
    refuse_the_whole(directory / "features.npy")
    found = {"numpy": learn_with_numpy, "torch": learn_with_torch}[way](directory)
    sys.stdout.write(json.dumps(found | {"most_bytes": most_bytes()}))
