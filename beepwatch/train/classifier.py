"""A feature store and a recipe arrive; a network that names recordings leaves, and its confusions.

Weights are judged after every epoch on recordings that were held out, by group, and the best are
kept. So is the recipe of the features, which a new recording has to go through as well.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from beepwatch.classify.bundle import DESCRIPTION as BUNDLE
from beepwatch.errors import ConfigurationError, DiskFull, ModelError
from beepwatch.train.checkpoints import write
from beepwatch.train.datasets.division import by_split
from beepwatch.train.datasets.loader import Blocks, Numbers, StoredFeatures, blocks_of
from beepwatch.train.display import Display, Lines
from beepwatch.train.featuring.recipe import FeatureRecipe, digest_of
from beepwatch.train.featuring.sound import Recording
from beepwatch.train.featuring.stages import TooShort
from beepwatch.train.featuring.work import features_of
from beepwatch.train.recording_bundles import write_recording_bundle
from beepwatch.train.recording_networks import Network
from beepwatch.train.recording_recipe import (
    ClassifierRecipe,
    LearningRecipe,
    read_classifier_recipe,
)
from beepwatch.wording import counted

WEIGHTS, DESCRIPTION = "weights.safetensors", "classifier.json"
SILENT = Lines(lambda _line: None)

_SCALE_BLOCKS = 2_000  # of which each column's mean and deviation are taken


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What held-out recordings were taken for: [what it is][what it was taken for]."""

    labels: tuple[str, ...]
    epoch: int
    loss: float
    blocks: list[list[int]]
    recordings: list[list[int]]  # by the mean of their blocks' log-probabilities

    @property
    def accuracy(self) -> float:
        """The share of the recordings that were taken for what they are."""
        counts = np.asarray(self.recordings)
        return float(np.trace(counts) / max(counts.sum(), 1))

    @property
    def macro_f1(self) -> float:
        """The mean over the labels that there were of their F1, by recordings."""
        counts = np.asarray(self.recordings)
        right, had, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        return float((2 * right[had > 0] / (had + said)[had > 0]).mean()) if had.any() else 0.0

    @property
    def recall(self) -> float:
        """The mean over the labels of the share of their blocks that were."""
        counts = np.asarray(self.blocks)
        heard = counts.sum(axis=1)
        return float((np.diag(counts)[heard > 0] / heard[heard > 0]).mean())

    def table(self) -> str:
        """The confusions of recordings, a line for each label."""
        width = max(map(len, self.labels))
        head = " " * width + "".join(f" {label:>{width}}" for label in self.labels)
        lines = [
            f"{label:<{width}}" + "".join(f" {count:>{width}}" for count in counts)
            for label, counts in zip(self.labels, self.recordings, strict=True)
        ]
        return "\n".join([head, *lines])


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """`classifier.json`."""

    labels: tuple[str, ...]
    columns: int
    recipe: ClassifierRecipe
    features: FeatureRecipe
    judged: Judgement


def blocks_for(
    plan: ClassifierRecipe,
    store: StoredFeatures,
    rows: Numbers,
    labels: Sequence[str] | None = None,
) -> Blocks:
    """What a network is shown of rows of a store."""
    return Blocks(store, rows, context=plan.blocks.context, step=plan.blocks.step, labels=labels)


def labelled_rows(store: StoredFeatures) -> Numbers:
    """Rows that have a label and are not of the split test."""
    cells = zip(store.index.cells["label"], store.index.cells["split"], strict=True)
    found = [row for row, (label, split) in enumerate(cells) if label and split != "test"]
    return np.asarray(found, dtype=np.int64)


def train(recipe: Path, features: Path, out: Path, display: Display = SILENT) -> Judgement:
    """Follow a recipe with a feature store; the best weights and how they were judged are in `out`.

    With them is a bundle for `beepwatch serve`, where the features can be part of the network. The
    same recipe and store give the same weights on the same machine. Raises ConfigurationError,
    UnusableFeatures.
    """
    plan, store = read_classifier_recipe(recipe), StoredFeatures(features)
    held_out = plan.held_out
    learnt, judged = by_split(store, by=held_out.by, share=held_out.share, seed=plan.training.seed)
    blocks = blocks_for(plan, store, learnt)
    judging = blocks_for(plan, store, judged, blocks.labels)
    if len(blocks.labels) < 2 or len(blocks) < 2 or len(judging) == 0:
        raise ConfigurationError(
            f"{features} has {counted(len(blocks.labels), 'label')}, "
            f"{counted(len(blocks), 'block')} to learn from and "
            f"{len(judging)} to judge by. Two labels are the least; look at dataset.csv, "
            "and at quarantine.csv for what `dataset check` has left out."
        )
    followed, data_digest = _made_by(features)

    def keep(network: Network, judged: Judgement) -> None:
        display.say(
            f"epoch {judged.epoch}: {judged.recall:.1%} of a label's held-out blocks, "
            f"loss {judged.loss:.4f}"
        )
        described = Description(
            labels=blocks.labels,
            columns=store.columns,
            recipe=plan,
            features=followed,
            judged=judged,
        )
        _keep(out, network, described)

    judged_best = fit(plan, blocks, judging, keep, display)
    _export(out, data_digest, display)
    return judged_best


def _export(out: Path, data_digest: str, display: Display) -> None:
    """Make a bundle of what was kept, and say how to ask it, or why there is none."""
    kept = Classifier(out)
    told = kept.description
    plan, judged = told.recipe, told.judged
    try:
        info = write_recording_bundle(
            out,
            kept.network,
            name=plan.served.name,
            labels=told.labels,
            normal=plan.served.normal,
            features=told.features,
            block_frames=plan.blocks.context,
            step_frames=plan.blocks.step,
            recipe_digest=digest_of(plan),
            data_digest=data_digest,
            architecture=plan.network.kind,
            quality={
                "accuracy": judged.accuracy,
                "macro_f1": judged.macro_f1,
                "recall": judged.recall,
            },
        )
    except ModelError as error:
        display.say(f"it cannot be served, because it has no bundle: {error}")
        return
    except OSError as error:
        raise _unwritable(out, error) from error
    if not info.normal:
        display.say(
            f"none of its labels is among those of what is well, {list(plan.served.normal)}, so it "
            "takes every recording for an anomaly: name them in [served] normal."
        )
    display.say(f"To ask it over HTTP: beepwatch serve --model {out}")


def fit(
    plan: ClassifierRecipe,
    blocks: Blocks,
    held_out: Blocks,
    keep: Callable[[Network, Judgement], None],
    display: Display = SILENT,
) -> Judgement:
    """Learn from blocks; `keep` is given what does best on the held-out ones, whenever it is."""
    learning = plan.training
    torch.manual_seed(learning.seed)
    network = Network(blocks.store.columns, len(blocks.labels), plan.network)
    _scale(network, blocks, learning)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=learning.learning_rate, weight_decay=learning.weight_decay
    )
    best: Judgement | None = None
    for epoch in range(learning.epochs):
        loss = _learn(network, optimiser, blocks, learning, epoch)
        found = judge(network, held_out, epoch + 1)
        display.stepped(epoch + 1, learning.epochs, loss)
        if best is None or (found.recall, -found.loss) > (best.recall, -best.loss):
            best = found
            keep(network, found)
    return best or judge(network, held_out)


def _keep(out: Path, network: Network, described: Description) -> None:
    said = msgspec.json.format(msgspec.json.encode(described)) + b"\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / BUNDLE).unlink(missing_ok=True)  # of other weights
        write(out / WEIGHTS, network.state_dict())
        (out / DESCRIPTION).write_bytes(said)
    except OSError as error:
        raise _unwritable(out, error) from error


def _unwritable(out: Path, error: OSError) -> DiskFull:
    return DiskFull(f"{out} cannot be written: {error.strerror}. Make room, or --out.")


def judge(network: Network, blocks: Blocks, epoch: int = 0) -> Judgement:
    """What a network takes blocks and their recordings for."""
    count = len(blocks.labels)
    of_blocks = np.zeros((count, count), dtype=np.int64)
    sums: dict[int, NDArray[np.float64]] = {}
    truth: dict[int, int] = {}
    loss = 0.0
    network.eval()
    for batch in blocks.in_order(256):
        with torch.inference_mode():
            logits = network(torch.from_numpy(batch.features)).double()
            said = torch.log_softmax(logits, dim=1).numpy()
        np.add.at(of_blocks, (batch.labels, said.argmax(axis=1)), 1)
        loss -= float(said[np.arange(len(said)), batch.labels].sum())
        for row, label, answer in zip(
            batch.rows.tolist(), batch.labels.tolist(), said, strict=True
        ):
            sums[row] = sums.get(row, 0.0) + answer
            truth[row] = label
    of_recordings = np.zeros((count, count), dtype=np.int64)
    for row, total in sums.items():
        of_recordings[truth[row], int(total.argmax())] += 1
    return Judgement(
        labels=blocks.labels,
        epoch=epoch,
        loss=loss / max(len(blocks), 1),
        blocks=of_blocks.tolist(),
        recordings=of_recordings.tolist(),
    )


class Classifier:
    """A trained network and the way of a recording to it."""

    def __init__(self, directory: Path) -> None:
        """Raises ModelError if the directory holds no classifier."""
        try:
            self.description = msgspec.json.decode(
                (directory / DESCRIPTION).read_bytes(), type=Description
            )
            told = self.description
            self.network = Network(told.columns, len(told.labels), told.recipe.network)
            self.network.load_state_dict(load_file(directory / WEIGHTS))
        except (OSError, msgspec.DecodeError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{directory} holds no classifier: {error}. Make one with `beepwatch train`."
            ) from error
        self.network.eval()

    def hear(self, recording: Path) -> dict[str, float]:
        """The probability of each label. Raises UnreadableAudio, TooShort."""
        told = self.description
        sound = Recording(recording, told.features.sound).whole()
        plan = told.recipe.blocks
        rows = features_of(sound, told.features)
        if len(rows) == 0:
            raise TooShort(
                f"{recording} has {len(sound)} samples, less than one frame. Give a longer one."
            )
        blocks = blocks_of(rows, plan.context, plan.step)
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(blocks)).double()
            said = torch.log_softmax(logits, dim=1).mean(dim=0)
            shares = torch.softmax(said, dim=0).tolist()
        return dict(zip(told.labels, shares, strict=True))


def _made_by(features: Path) -> tuple[FeatureRecipe, str]:
    """What a store was made by, and the digest of what it was made of, "" if it does not tell."""
    file = features / "features.json"
    try:
        told = msgspec.json.decode(file.read_bytes())
        made_of = str(told.get("inputs_sha256", ""))
        return msgspec.convert(told["recipe"], FeatureRecipe), made_of
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{file}: {error}. Make the features again.") from error


def _scale(network: Network, blocks: Blocks, learning: LearningRecipe) -> None:
    """Take the columns' means and deviations over."""
    order = blocks.order(0, learning.seed, balanced=learning.balanced)[:_SCALE_BLOCKS]
    count, total = 0, np.zeros(network.mean.shape[0])
    squares = total.copy()
    for first in range(0, len(order), learning.batch_blocks):
        features = blocks.batch(order[first : first + learning.batch_blocks]).features
        rows = features.reshape(-1, features.shape[2]).astype(np.float64)
        count += len(rows)
        total += rows.sum(axis=0)
        squares += np.square(rows).sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    network.mean.copy_(torch.from_numpy(mean))
    network.deviation.copy_(torch.from_numpy(np.where(deviation > 1e-6, deviation, 1)))


def _learn(
    network: Network,
    optimiser: torch.optim.Optimizer,
    blocks: Blocks,
    learning: LearningRecipe,
    epoch: int,
) -> float:
    """One epoch; its mean loss."""
    network.train()
    losses: list[float] = []
    for batch in blocks.batches(
        learning.batch_blocks, epoch=epoch, seed=learning.seed, balanced=learning.balanced
    ):
        if len(batch.labels) < 2:  # of one block no deviation can be taken
            continue
        logits = network(torch.from_numpy(batch.features))
        loss = cross_entropy(logits, torch.from_numpy(batch.labels))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))
