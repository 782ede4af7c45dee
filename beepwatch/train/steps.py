"""One step of the optimizer: what it learns from, how far it goes, what is kept of it."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from beepwatch.train.networks import ToneNet
from beepwatch.train.pool import Batch, Pool, pictures
from beepwatch.train.recipe import Cycle, Recipe
from beepwatch.train.truth import OPEN, TONE

PART_CLIPS = 16  # worked on together


def take_step(
    step: int, network: ToneNet, optimizer: torch.optim.AdamW, pool: Pool, recipe: Recipe
) -> float:
    """One step of the optimizer; what it learns from depends on seed and step alone."""
    plan = recipe.training
    rng = np.random.default_rng([plan.seed, step])
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, plan.cycles)
    chosen = rng.integers(0, len(pool), plan.batch_clips)
    network.train()
    optimizer.zero_grad()
    # In parts that the processor's caches hold, which halves the time.
    parts = np.array_split(chosen, max(plan.batch_clips // PART_CLIPS, 1))
    losses = [add_gradients(pool.batch(part, network), network, plan.band_share) for part in parts]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(np.mean(losses))


def add_gradients(batch: Batch, network: ToneNet, band_share: float) -> float:
    """Add those of a batch's loss, which is returned: cross entropy of the frames and the bands."""
    with torch.no_grad():
        seen = pictures(batch.spectra, network)
    with torch.autocast(network.device.type, dtype=torch.bfloat16):  # half the time on most CPUs
        by_band = network.by_band(seen)[:, :, 0].float()  # [clips, frames, answering bands]
    of_frames = cross_entropy(by_band.amax(dim=2), batch.truth, reduction="none")
    loss = (of_frames * batch.weight).sum() / batch.weight.sum()
    of_bands = cross_entropy(by_band, (batch.tones == TONE).float(), reduction="none")
    loss = loss + band_share * (of_bands * (batch.tones != OPEN)).sum(dim=2).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def learning_rate(step: int, cycles: Sequence[Cycle]) -> float:
    """In each cycle a short rise, then half a cosine down."""
    for cycle in cycles:
        if step < cycle.steps:
            break
        step -= cycle.steps
    rise = max(cycle.steps // 20, 1)
    if step < rise:
        return cycle.learning_rate * (step + 1) / rise
    share = (step - rise) / max(cycle.steps - rise, 1)
    return cycle.learning_rate * (0.5 + 0.5 * math.cos(math.pi * share))


def follow(average: ToneNet, network: ToneNet, kept: float) -> None:
    """Move the averaged weights a little towards the current ones."""
    with torch.no_grad():
        for mean, current in zip(
            average.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.mul_(kept).add_(current, alpha=1 - kept)
            else:
                mean.copy_(current)
