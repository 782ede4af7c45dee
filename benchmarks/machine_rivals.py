"""What others publish for machines, trained here: for `benchmarks.machines`, in the same run.

The autoencoders of MIMII (Purohit et al., DCASE Workshop 2019) and of DCASE 2020 task 2 (Koizumi et
al.) rebuild five frames of a log-mel spectrogram at once, learn from normal sound alone, and take
for strange what they rebuild badly; DCASE 2023 (Harada et al.) weighs the errors by their
covariance (Mahalanobis). The networks that name faults are those of `models/machine`: the picture
network of three convolutions with pooling and dropout, and the residual one.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from beepwatch.train.featuring.recipe import FeatureRecipe, read_feature_recipe
from beepwatch.train.featuring.work import features_of
from beepwatch.train.recording_networks import Network
from beepwatch.train.recording_recipe import ClassifierRecipe, read_classifier_recipe

FRAMES = 5  # that are rebuilt together
SEED = 7

Floats = NDArray[np.float32]
Score = Literal["mean square", "Mahalanobis"]
KINDS: tuple[Score, ...] = get_args(Score)
Way = Callable[[Floats], Floats]  # from a window to its features
Made = Callable[[Way, bool], tuple[Floats, list[str]]]  # with household over it or not, and labels
Scoring = tuple[Way, Callable[[Floats], Floats]]
Naming = tuple[Way, Callable[[Floats], list[str]]]
_RECIPES = Path(__file__).parents[1] / "models" / "machine"
_JUDGED_AT_ONCE = 128  # windows
_WITH_ROOM = 3  # times fewer epochs, of several times as many windows: each is another anyway
_LEAST = 1e-6


class Autoencoding(msgspec.Struct, frozen=True, kw_only=True):
    """An architecture, and how its authors train it."""

    bands: int
    widths: tuple[int, ...]  # of the layers between what comes in and what goes out
    normalised: bool  # batch normalisation before each of their activations
    epochs: int
    batch: int
    learning_rate: float = 1e-3


MIMII = Autoencoding(
    bands=64, widths=(64, 64, 8, 64, 64), normalised=False, epochs=50, batch=512
)  # fmt: skip
DCASE = Autoencoding(
    bands=128, widths=(128,) * 4 + (8,) + (128,) * 4, normalised=True, epochs=100, batch=512
)  # fmt: skip


@cache
def recipe_of(bands: int) -> FeatureRecipe:
    """Of the shipped recipe, with so many bands: as librosa makes them, in dB."""
    found = read_feature_recipe(_RECIPES / "features.toml").plain
    if found.mel is None:
        raise ValueError("models/machine/features.toml has no section mel")
    return msgspec.structs.replace(found, mel=msgspec.structs.replace(found.mel, bands=bands))


def logmel_64(window: Floats) -> Floats:
    """[frames, 64], dB."""
    return features_of(window, recipe_of(64))


def logmel_128(window: Floats) -> Floats:
    """[frames, 128], dB."""
    return features_of(window, recipe_of(128))


# Normal sound alone


class Autoencoder(nn.Module):
    """Frames side by side through a narrow place and back."""

    def __init__(self, plan: Autoencoding) -> None:
        super().__init__()
        sides = FRAMES * plan.bands
        layers: list[nn.Module] = []
        for before, after in zip((sides, *plan.widths), plan.widths, strict=False):
            layers.append(nn.Linear(before, after))
            layers += [nn.BatchNorm1d(after)] if plan.normalised else []
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers, nn.Linear(plan.widths[-1], sides))

    def forward(self, frames: Tensor) -> Tensor:
        """[vectors, frames * bands], as what came in."""
        rebuilt: Tensor = self.layers(frames)  # [vectors, frames * bands]
        return rebuilt


def vectors_of(windows: Floats) -> Floats:
    """Five frames each of windows [windows, frames, bands]: [windows, places, 5 * bands]."""
    places = windows.shape[1] - FRAMES + 1
    beside = [windows[:, first : first + places] for first in range(FRAMES)]
    return np.concatenate(beside, axis=2)


def learn_autoencoder(
    windows: Floats, plan: Autoencoding, *, epochs: int | None = None
) -> Autoencoder:
    """From log-mel windows of normal sound [windows, frames, bands]; the same for the same."""
    torch.manual_seed(SEED)
    network = Autoencoder(plan)
    vectors = torch.from_numpy(vectors_of(windows)).flatten(0, 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=plan.learning_rate)
    network.train()
    for _ in range(epochs or plan.epochs):
        for chosen in _batches(len(vectors), plan.batch):
            batch = vectors[chosen]
            loss = (network(batch) - batch).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


def errors_of(network: Autoencoder, windows: Floats) -> Floats:
    """What it rebuilds wrongly, [windows, places, 5 * bands]."""
    found = []
    with torch.inference_mode():
        for part in _parts(windows):
            vectors = torch.from_numpy(vectors_of(part.numpy()))
            flat = vectors.flatten(0, 1)
            found.append((network(flat) - flat).view_as(vectors).numpy())
    return np.concatenate(found)


def strangeness(network: Autoencoder, normal: Floats, kind: Score) -> Callable[[Floats], Floats]:
    """A score of log-mel windows [windows, frames, bands], larger for what is stranger: [windows].

    Mahalanobis weighs the errors by their covariance over the `normal` windows, as DCASE 2023.
    """
    if kind == "mean square":
        return lambda more: np.square(errors_of(network, more)).mean(axis=(1, 2))
    sides, count = FRAMES * normal.shape[2], 0
    covariance = np.zeros((sides, sides))
    for part in _parts(normal):  # all at once would be gigabytes
        errors = errors_of(network, part.numpy()).reshape(-1, sides).astype(np.float64)
        covariance += errors.T @ errors
        count += len(errors)
    covariance /= count
    covariance += _LEAST * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
    return lambda more: np.square(errors_of(network, more) @ whitening).mean(axis=(1, 2))


def autoencoders(
    made: Made, with_rooms: Sequence[bool] = (False, True)
) -> Iterator[tuple[str, Scoring]]:
    """Both, by both scores, learned from normal sound alone and with household sound over it."""
    for name, plan, features in (("MIMII", MIMII, logmel_64), ("DCASE", DCASE, logmel_128)):
        for with_room in with_rooms:
            rows, _ = made(features, with_room)
            epochs = plan.epochs // (_WITH_ROOM if with_room else 1)
            network = learn_autoencoder(rows, plan, epochs=epochs)
            for kind in KINDS:
                way = f"{name} AE, {kind}{', room' if with_room else ''}"
                yield way, (features, strangeness(network, rows, kind))


# Faults


def learn_names(
    windows: Floats, labels: Sequence[str], plan: ClassifierRecipe, *, epochs: int | None = None
) -> Callable[[Floats], list[str]]:
    """What names log-mel windows [windows, frames, bands]; the last epoch's, since none is judged.

    Each window counts so much that all labels weigh alike where the recipe balances them.
    """
    names = sorted(set(labels))
    numbers = torch.tensor([names.index(label) for label in labels])
    learning = plan.training
    torch.manual_seed(learning.seed)
    network = Network(windows.shape[2], len(names), plan.network)
    network.mean.copy_(torch.from_numpy(windows.mean(axis=(0, 1))))
    network.deviation.copy_(torch.from_numpy(np.maximum(windows.std(axis=(0, 1)), _LEAST)))
    counts = torch.bincount(numbers, minlength=len(names)).float()
    weights = counts.sum() / len(names) / counts if learning.balanced else None
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=learning.learning_rate, weight_decay=learning.weight_decay
    )
    shown = torch.from_numpy(windows)
    network.train()
    for _ in range(epochs or learning.epochs):
        for chosen in _batches(len(shown), learning.batch_blocks):
            loss = cross_entropy(network(shown[chosen]), numbers[chosen], weights)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.eval()

    def told(more: Floats) -> list[str]:
        with torch.inference_mode():
            answers = [network(part) for part in _parts(more)]
        return [names[place] for place in torch.cat(answers).argmax(dim=1).tolist()]

    return told


def networks(
    made: Made, labels: Callable[[Sequence[str]], list[str]]
) -> Iterator[tuple[str, Naming]]:
    """Both, learned from the windows alone and with household sound over them."""
    for with_room in (False, True):
        rows, told = made(logmel_64, with_room)
        for name, recipe in (("CNN", "reference.toml"), ("residual", "recipe.toml")):
            plan = read_classifier_recipe(_RECIPES / recipe)
            epochs = plan.training.epochs // (_WITH_ROOM if with_room else 1)
            tell = learn_names(rows, labels(told), plan, epochs=epochs)
            yield f"{name}{', room' if with_room else ''}", (logmel_64, tell)


def _batches(count: int, size: int) -> Iterator[Tensor]:
    """An epoch's numbers, shuffled; a single one at its end is left out, as it has no deviation."""
    order = torch.randperm(count)
    for first in range(0, count, size):
        if count - first > 1:
            yield order[first : first + size]


def _parts(windows: Floats) -> Iterator[Tensor]:
    for first in range(0, len(windows), _JUDGED_AT_ONCE):
        yield torch.from_numpy(windows[first : first + _JUDGED_AT_ONCE])
