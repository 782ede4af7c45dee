"""A recipe becomes a bundle: clips are composed once, weights are found, the best are kept.

The front end has nothing to learn, so clips are kept as what it makes of them. Every batch is drawn
from the recipe's seed and the number of its step alone: a run that was interrupted goes on from
its last checkpoint to the same weights.
"""

import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from beepwatch.train.dataset import read_manifest
from beepwatch.train.evaluation import calibrate
from beepwatch.train.export import network_arguments, training_data, write_bundle
from beepwatch.train.networks import ToneNet
from beepwatch.train.recipe import Recipe, read_recipe
from beepwatch.train.rendering import Rendered, render
from beepwatch.train.scenes import (
    OPEN,
    TONE,
    Clip,
    chosen_recordings,
    draw_clip,
    draw_clips,
    gather,
)

TRAIN_STREAM, DEV_STREAM, MINING_STREAM = 0, 1, 2  # kinds of clips; mining rounds count on from 2

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
PROGRESS = "progress.json"

PART_CLIPS = 16
LONG_PULSE_FRAMES = 12  # shorter pulses have fewer frames to be learnt from

Report = Callable[[str], None]


class Progress(msgspec.Struct, kw_only=True):
    """Where a training run stands."""

    recipe_digest: str
    step: int = 0
    best_score: float = -1.0
    best_step: int = 0
    mined: list[list[int]] = []  # of each round: the numbers of the clips kept


class Pool:
    """Clips as the network's spectra with their truth."""

    def __init__(self) -> None:
        self.spectra: list[NDArray[np.float16]] = []  # log energy and steadiness, as `spectra_of`
        self.truth: list[NDArray[np.float32]] = []  # [frames]
        self.weight: list[NDArray[np.float32]] = []  # [frames]
        self.tones: list[NDArray[np.int8] | None] = []  # [frames, answering bands]

    def add(self, clip: Clip, network: ToneNet) -> None:
        """Keep one clip."""
        self.spectra.append(spectra_of(clip, network))
        self.truth.append(clip.truth)
        self.weight.append(clip.weight * pulse_weight(clip.truth))
        self.tones.append(None if clip.tones is None else answering(clip.tones, network))

    def __len__(self) -> int:
        return len(self.spectra)

    def batch(self, indices: NDArray[np.int64], network: ToneNet) -> "Batch":
        """Some clips together."""
        silent = np.zeros((len(self.truth[0]), network.answering_bands), dtype=np.int8)
        tones = [self.tones[i] for i in indices]
        return Batch(
            spectra=torch.from_numpy(np.stack([self.spectra[i] for i in indices])),
            truth=torch.from_numpy(np.stack([self.truth[i] for i in indices])),
            weight=torch.from_numpy(np.stack([self.weight[i] for i in indices])),
            tones=torch.from_numpy(np.stack([silent if t is None else t for t in tones])),
        )


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of the optimizer learns from."""

    spectra: Tensor  # float16 [clips, 2, frames, bands]
    truth: Tensor  # [clips, frames]
    weight: Tensor  # [clips, frames]
    tones: Tensor  # int8 [clips, frames, answering bands]


def spectra_of(clip: Clip, network: ToneNet) -> NDArray[np.float16]:
    """Log energy and steadiness of a clip, [2, frames, bands]."""
    with torch.inference_mode():
        log, steady = network.spectra(torch.from_numpy(clip.pcm)[None])
    return torch.cat([log, steady]).numpy().astype(np.float16)


def pulse_weight(truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much more the frames of a pulse count than others: up to three times if it is short."""
    weight = np.ones_like(truth)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (truth >= 0.5).astype(int), [0]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        weight[start:end] = np.clip(LONG_PULSE_FRAMES / (end - start), 1, 3)
    return weight


def answering(tones: NDArray[np.int8], network: ToneNet) -> NDArray[np.int8]:
    """Where the beep is to be seen in the bands that answer, from bins [frames, bins]."""
    first = round(network.lowest_hz / network.spacing_hz)
    cells = tones[:, first : first + network.POOLED * network.answering_bands]
    cells = cells.reshape(len(cells), network.answering_bands, network.POOLED)
    is_open = np.where((cells == OPEN).any(axis=2), OPEN, 0)
    return np.where((cells == TONE).any(axis=2), TONE, is_open).astype(np.int8)


def pictures(batch: Batch, network: ToneNet) -> Tensor:
    """`ToneNet.pictures` of the clips."""
    log, steady = batch.spectra[:, 0].float(), batch.spectra[:, 1].float()
    frames, past = log.shape[1], network.past_frames
    age = torch.arange(frames)[:, None] - torch.arange(frames)[None, :]
    recent = ((age >= 0) & (age <= past)).float()  # [frames, frames], over which a mean is taken
    recent[:, 0] += (past - torch.arange(frames)).clamp(min=0)  # the first stands for all before
    mean = torch.einsum("st,btk->bsk", recent / (past + 1), log)
    return network.pictures(log, mean, steady)


def train(
    recipe_path: Path,
    data: Path,
    out: Path,
    *,
    runs: Path = Path("runs"),
    workers: int = 2,
    report: Report = lambda _line: None,
) -> Path:
    """Follow a recipe with the recordings in `data`; returns `out`, a bundle.

    Checkpoints lie in a directory of `runs` named after the model: an interrupted run of the same
    recipe goes on from there.
    Needs the train and dev splits, reads nothing of the test split.
    """
    recipe, digest = read_recipe(recipe_path)
    run = runs / recipe.model.name
    run.mkdir(parents=True, exist_ok=True)
    network = fit(recipe, digest, data, run, workers=workers, report=report)
    used = chosen_recordings(read_manifest(data), recipe, "train")
    thresholds = dict.fromkeys(recipe.model.labels, 0.5)
    provenance = training_data(data, used)
    write = partial(
        write_bundle, out, network, recipe=recipe, recipe_digest=digest, data=provenance
    )
    write(thresholds=thresholds, quality={})
    thresholds, quality = calibrate(out, data, recipe.thresholds, report=report)
    info = write(thresholds=thresholds, quality=quality)
    report(f"bundle {info.name} {info.model_id} in {out}, thresholds {thresholds}")
    return out


def build(recipe: Recipe) -> ToneNet:
    """The recipe's network with fresh weights, drawn from the recipe's seed."""
    torch.manual_seed(recipe.training.seed)
    network = ToneNet(**network_arguments(recipe))  # type: ignore[arg-type]
    # On CPUs a step takes two thirds of the time in this layout.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def fit(
    recipe: Recipe, digest: str, data: Path, run: Path, *, workers: int, report: Report
) -> ToneNet:
    """The network with the best weights found; checkpoints in `run`."""
    network = build(recipe)
    average = build(recipe)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=recipe.training.learning_rate,
        weight_decay=recipe.training.weight_decay,
    )
    progress = resume(run, digest, network, average, optimizer)
    report(f"composing {recipe.scenes.train_clips} clips; {progress.step} steps done before")
    rendered: Sequence[Rendered] = ()
    if recipe.data.rendered_weight > 0:
        rendered = render(run.parent, recipe.data.rendered_seed, recipe.model.rate_hz, report)
    draw = drawing(recipe, data, "train", network.frame_samples, rendered)
    train_pool = fill(recipe, network, draw, progress, workers)
    dev_pool = Pool()
    dev_draw = drawing(recipe, data, "dev", network.frame_samples)
    share = recipe.scenes.beep_share
    for clip in draw_clips(
        partial(dev_draw, stream=DEV_STREAM, beep_share=share), recipe.scenes.dev_clips, workers
    ):
        dev_pool.add(clip, network)

    for step in range(progress.step, recipe.training.steps):
        if step in recipe.mining.at_steps[len(progress.mined) :]:
            mine(progress, train_pool, average, draw, recipe, workers, report)
        loss = take_step(step, network, optimizer, train_pool, recipe)
        follow(average, network, min(recipe.training.average, (step + 1) / (step + 10)))
        progress.step = step + 1
        if progress.step % 50 == 0:
            report(f"step {progress.step}/{recipe.training.steps} loss {loss:.4f}")
        if progress.step % recipe.training.checkpoint_every == 0 or (
            progress.step == recipe.training.steps
        ):
            check(run, progress, network, average, optimizer, dev_pool, report)
    average.load_state_dict(load_file(run / BEST))
    return average


def drawing(
    recipe: Recipe,
    data: Path,
    split: str,
    frame_samples: int,
    rendered: Sequence[Rendered] = (),
) -> partial[Clip]:
    """`draw_clip` with a split's material; stream, share of beeps and number are still open."""
    material = gather(data, recipe, split, rendered)
    return partial(draw_clip, material=material, recipe=recipe, frame_samples=frame_samples)


def fill(
    recipe: Recipe, network: ToneNet, draw: partial[Clip], progress: Progress, workers: int
) -> Pool:
    """The recipe's clips, and those mined before an interruption."""
    pool = Pool()
    first = partial(draw, stream=TRAIN_STREAM, beep_share=recipe.scenes.beep_share)
    for clip in draw_clips(first, recipe.scenes.train_clips, workers):
        pool.add(clip, network)
    for mining_round, kept in enumerate(progress.mined):
        for index in kept:
            pool.add(draw(index, stream=MINING_STREAM + mining_round, beep_share=0.0), network)
    return pool


def take_step(
    step: int, network: ToneNet, optimizer: torch.optim.AdamW, pool: Pool, recipe: Recipe
) -> float:
    """One step of the optimizer; what it learns from depends on seed and step alone."""
    plan = recipe.training
    rng = np.random.default_rng([plan.seed, step])
    for group in optimizer.param_groups:
        group["lr"] = plan.learning_rate * pace(step, plan.cycles)
    chosen = rng.integers(0, len(pool), plan.batch_clips)
    network.train()
    optimizer.zero_grad()
    # In parts that the processor's caches hold, which halves the time.
    parts = np.array_split(chosen, max(plan.batch_clips // PART_CLIPS, 1))
    losses = [loss_of(pool.batch(part, network), network, plan.band_share) for part in parts]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(np.mean(losses))


def loss_of(batch: Batch, network: ToneNet, band_share: float) -> float:
    """Cross entropy of the frames and of each band's answers; adds to the gradients."""
    with torch.no_grad():
        seen = pictures(batch, network)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # half the time where the CPU has bf16
        by_band = network.by_band(seen)[:, :, 0].float()  # [clips, frames, answering bands]
    of_frames = cross_entropy(by_band.amax(dim=2), batch.truth, reduction="none")
    loss = (of_frames * batch.weight).sum() / batch.weight.sum()
    of_bands = cross_entropy(by_band, (batch.tones == TONE).float(), reduction="none")
    loss = loss + band_share * (of_bands * (batch.tones != OPEN)).sum(dim=2).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def pace(step: int, cycles: Sequence[int]) -> float:
    """Share of the learning rate: in each cycle a short rise, then half a cosine down."""
    height = 1.0
    for steps in cycles[:-1]:
        if step < steps:
            break
        step -= steps
        height /= 2
    else:
        steps = cycles[-1]
    rise = max(steps // 20, 1)
    if step < rise:
        return height * (step + 1) / rise
    return height * (0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


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


def mine(
    progress: Progress,
    pool: Pool,
    average: ToneNet,
    draw: partial[Clip],
    recipe: Recipe,
    workers: int,
    report: Report,
) -> None:
    """Add those of many fresh clips without a beep that the network believes in most."""
    stream = MINING_STREAM + len(progress.mined)
    clips = draw_clips(
        partial(draw, stream=stream, beep_share=0.0), recipe.mining.candidates, workers
    )
    beliefs = np.array([float(answer(average, spectra_of(clip, average)).max()) for clip in clips])
    kept = np.argsort(-beliefs, kind="stable")[: recipe.mining.kept]
    for index in kept:
        pool.add(clips[index], average)
    progress.mined.append([int(index) for index in kept])
    if len(kept):
        report(
            f"mined {len(kept)} of {len(clips)} clips, logits of {beliefs[kept].min():.2f} and more"
        )


def answer(network: ToneNet, spectra: NDArray[np.float16]) -> NDArray[np.float32]:
    """Logits [frames] of one clip."""
    network.eval()
    silence = torch.zeros(1)
    batch = Batch(
        spectra=torch.from_numpy(spectra[None]), truth=silence, weight=silence, tones=silence
    )
    with torch.inference_mode():
        logits: NDArray[np.float32] = network.by_band(pictures(batch, network))[0, :, 0].numpy()
    return logits.max(axis=1)


def dev_score(network: ToneNet, pool: Pool) -> float:
    """Mean share of beeps heard where 0.5, 1 and 2 % of the clips without one fire."""
    heard: list[float] = []
    false: list[float] = []
    for spectra, truth in zip(pool.spectra, pool.truth, strict=True):
        logits = answer(network, spectra)
        inside = truth >= 0.5
        if inside.any():
            heard.append(float(logits[inside].max()))
        elif truth.max() == 0:
            false.append(float(logits.max()))
    if not heard or not false:
        return 0.0
    limits = np.quantile(false, [0.995, 0.99, 0.98])
    return float(np.mean([(np.array(heard) > limit).mean() for limit in limits]))


def check(
    run: Path,
    progress: Progress,
    network: ToneNet,
    average: ToneNet,
    optimizer: torch.optim.AdamW,
    dev_pool: Pool,
    report: Report,
) -> None:
    """Score the averaged weights on the dev clips, keep them if best, write a checkpoint."""
    score = dev_score(average, dev_pool)
    if score >= progress.best_score:
        progress.best_score, progress.best_step = score, progress.step
        weights = average.state_dict().items()
        save_file({name: tensor.contiguous() for name, tensor in weights}, run / BEST)
    report(f"step {progress.step}: dev score {score:.4f}, best {progress.best_score:.4f}")
    save(run, progress, network, average, optimizer)


def save(
    run: Path, progress: Progress, network: ToneNet, average: ToneNet, optimizer: torch.optim.AdamW
) -> None:
    """Write everything that going on needs; the old checkpoint stays until the new one is whole."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    fresh = run / f"{CHECKPOINT}.new"
    metadata = {"progress": msgspec.json.encode(progress).decode()}
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in tensors.items()}, fresh, metadata
    )
    fresh.replace(run / CHECKPOINT)
    (run / PROGRESS).write_text(json.dumps(msgspec.to_builtins(progress)) + "\n", encoding="utf-8")


def resume(
    run: Path, digest: str, network: ToneNet, average: ToneNet, optimizer: torch.optim.AdamW
) -> Progress:
    """Go on from the checkpoint in `run` if it is of the same recipe, else begin."""
    path = run / CHECKPOINT
    if not path.is_file():
        return Progress(recipe_digest=digest)
    with safe_open(path, "pt") as file:
        progress = msgspec.json.decode(file.metadata()["progress"], type=Progress)
    if progress.recipe_digest != digest:
        return Progress(recipe_digest=digest)
    tensors = load_file(path)
    network.load_state_dict(part(tensors, "network."))
    average.load_state_dict(part(tensors, "average."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part(tensors, "optimizer.").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
