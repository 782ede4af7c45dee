"""Where a training run stands, on disk: what going on needs, and the best weights so far.

An interruption at any time leaves the last one good.
"""

from pathlib import Path

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import Tensor

from beepwatch.train.export import network_arguments
from beepwatch.train.networks import ToneNet
from beepwatch.train.recipe import Recipe
from beepwatch.whole_files import write_whole

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
PROGRESS = "progress.json"


class Progress(msgspec.Struct, kw_only=True):
    """Where a training run stands."""

    recipe_digest: str
    step: int = 0
    best_score: float = -1.0
    best_step: int = 0
    mined: list[list[int]] = []  # of each round: the numbers of the clips kept
    losses: list[float] = []  # of the steps since the last check


class Learner:
    """A network, its optimizer, and the running mean of its weights, which is what is shipped."""

    def __init__(self, recipe: Recipe) -> None:
        self.network = build(recipe)
        self.average = build(recipe)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.training.cycles[0].learning_rate,
            weight_decay=recipe.training.weight_decay,
        )


def build(recipe: Recipe) -> ToneNet:
    """The recipe's network with fresh weights, drawn from the recipe's seed; on a GPU if any."""
    torch.manual_seed(recipe.training.seed)
    network = ToneNet(**network_arguments(recipe))  # type: ignore[arg-type]
    # On CPUs a step takes two thirds of the time in this layout.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def save(run: Path, progress: Progress, learner: Learner) -> None:
    """Write everything that going on needs."""
    tensors = {f"network.{name}": t for name, t in learner.network.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in learner.average.state_dict().items()}
    for index, state in learner.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    said = msgspec.json.encode(progress)
    write(run / CHECKPOINT, tensors, {"progress": said.decode()})
    (run / PROGRESS).write_bytes(said + b"\n")  # for people; nothing reads it


def save_best(run: Path, average: ToneNet) -> None:
    """Keep the averaged weights as the best so far."""
    write(run / BEST, average.state_dict())


def load_best(run: Path, learner: Learner) -> ToneNet:
    """The network with the best weights that were kept."""
    learner.average.load_state_dict(load_file(run / BEST))
    return learner.average


def restarted(run: Path, recipe: Recipe) -> Learner:
    """One that begins anew with the best weights so far."""
    learner = Learner(recipe)
    best = load_best(run, learner)
    learner.network.load_state_dict(best.state_dict())
    return learner


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Put a file in place of an old one, which stays until the new one is on the disk."""
    own = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    # Not `save_file`, whose files only their owner may read: who listens may be another user.
    write_whole(path, as_safetensors(own, metadata))


def resume(run: Path, digest: str, learner: Learner) -> Progress:
    """Go on from the checkpoint in `run` if it is of the same recipe, else begin."""
    path = run / CHECKPOINT
    if not path.is_file():
        return Progress(recipe_digest=digest)
    with safe_open(path, "pt") as file:
        progress = msgspec.json.decode(file.metadata()["progress"], type=Progress)
    if progress.recipe_digest != digest:
        return Progress(recipe_digest=digest)
    tensors = load_file(path)
    learner.network.load_state_dict(part(tensors, "network."))
    learner.average.load_state_dict(part(tensors, "average."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part(tensors, "optimizer.").items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    return progress


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
