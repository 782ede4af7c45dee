"""Networks that name blocks of features: recordings' frames in, a logit for each label out."""

from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, relu

Kind = Literal["plain", "residual", "image"]

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class NetworkRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Layers that each halve the time, then the mean over time of what they found.

    `plain` and `residual` are convolutions along time; `image` takes time and columns as the two
    sides of a picture and halves both, with a dropout after every layer.
    """

    kind: Kind = "plain"
    channels: Annotated[tuple[_Positive, ...], msgspec.Meta(min_length=1)] = (32, 64, 64)
    kernel_frames: _Positive = 5
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2


class Network(nn.Module):
    """Names a block of features; its columns' means and deviations are part of it."""

    def __init__(self, columns: int, labels: int, plan: NetworkRecipe) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))
        self.as_image = plan.kind == "image"
        self.halvings = len(plan.channels)
        first = 1 if self.as_image else columns
        layers: list[nn.Module] = []
        for before, after in zip((first, *plan.channels), plan.channels, strict=False):
            layers += _LAYERS[plan.kind](before, after, plan)
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(plan.dropout)
        heights = -(-columns // 2 ** len(plan.channels)) if self.as_image else 1
        self.answer = nn.Linear(plan.channels[-1] * heights, labels)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, [blocks, labels], of features [blocks, frames, columns]."""
        scaled = (features - self.mean) / self.deviation  # [blocks, frames, columns]
        sides = scaled.transpose(1, 2)  # [blocks, columns, frames]
        shown = (
            sides.unsqueeze(1) if self.as_image else sides
        )  # image: [blocks, 1, columns, frames]
        found = self.layers(shown)  # [blocks, channels, (fewer columns,) fewer frames]
        steady = found.mean(dim=-1).flatten(1)  # [blocks, channels (* fewer columns)]
        logits: Tensor = self.answer(self.dropout(steady))  # [blocks, labels]
        return logits


class Halving(nn.Module):
    """The larger of each two, the last alone where their number is odd; nothing is below zero.

    As a pool in ceiling mode, whose size the exporter can tell for one length only.
    """

    def forward(self, found: Tensor) -> Tensor:
        """Of [blocks, channels, (columns,) frames] half as many columns and frames, rounded up."""
        if found.dim() == 4:
            return max_pool2d(pad(found, (0, 1, 0, 1)), 2)
        return max_pool2d(pad(found, (0, 1)).unsqueeze(2), (1, 2)).squeeze(2)


class Residual(nn.Module):
    """Two convolutions whose answer is added to what came in (He et al., CVPR 2016, figure 2)."""

    def __init__(self, before: int, after: int, kernel_frames: int) -> None:
        super().__init__()
        self.first = _normalised(before, after, kernel_frames)
        self.second = _normalised(after, after, kernel_frames)
        self.passed = nn.Identity() if before == after else _normalised(before, after, 1)

    def forward(self, sides: Tensor) -> Tensor:
        """[blocks, channels, frames], as many frames as came in."""
        added = self.second(relu(self.first(sides)))  # [blocks, after, frames]
        return relu(added + self.passed(sides))  # [blocks, after, frames]


def _normalised(before: int, after: int, kernel_frames: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(before, after, kernel_frames, padding="same", bias=False),
        nn.BatchNorm1d(after),
    )


def _plain(before: int, after: int, plan: NetworkRecipe) -> list[nn.Module]:
    return [
        nn.Conv1d(before, after, plan.kernel_frames, padding="same", bias=False),
        nn.BatchNorm1d(after),
        nn.ReLU(),
        Halving(),
    ]


def _residual(before: int, after: int, plan: NetworkRecipe) -> list[nn.Module]:
    return [Residual(before, after, plan.kernel_frames), Halving()]


def _image(before: int, after: int, plan: NetworkRecipe) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, plan.kernel_frames, padding="same"),
        nn.ReLU(),
        Halving(),
        nn.Dropout(plan.dropout),
    ]


_LAYERS = {"plain": _plain, "residual": _residual, "image": _image}
