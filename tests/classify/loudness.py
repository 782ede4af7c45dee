"""A bundle that names recordings by how loud they are: what it says is known beforehand."""

from collections.abc import Sequence
from pathlib import Path

import torch

from beepwatch.classify.bundle import WEIGHTS
from beepwatch.train.checkpoints import write
from beepwatch.train.recording_bundles import write_recording_bundle
from beepwatch.train.recording_networks import Network, NetworkRecipe
from tests.train.featuring.recipes import recipe

RATE_HZ = 16_000
LABELS = ("bearing", "coil", "normal")
BLOCK_FRAMES, STEP_FRAMES = 100, 50
BLOCK_S, STEP_S = 2.0, 1.0
LIMIT = 0.1  # of full scale, RMS: louder is a bearing, softer is normal, a coil is nothing
FEATURES = recipe(
    features=["rms"],
    mel=None,
    log=None,
    frames={"fft_samples": 320, "window_samples": 320, "hop_samples": 320},
)


def loudness_network() -> Network:
    """Logits 100 (x - LIMIT) times 1, -3 and -1, x being the mean level of a block."""
    network = Network(1, len(LABELS), NetworkRecipe(channels=(1,), kernel_frames=1)).eval()
    convolution, normalisation = network.layers[0], network.layers[1]
    assert isinstance(convolution, torch.nn.Conv1d)
    assert isinstance(normalisation, torch.nn.BatchNorm1d)
    with torch.no_grad():
        convolution.weight.fill_(1)
        normalisation.weight.fill_((1 + normalisation.eps) ** 0.5)
        slopes = torch.tensor([100.0, 0.0, -100.0])
        network.answer.weight.copy_(slopes[:, None])
        network.answer.bias.copy_(-LIMIT * slopes - torch.tensor([0.0, 30.0, 0.0]))
    return network


def loudness_bundle(directory: Path, normal: Sequence[str] = ("normal",)) -> Path:
    """The directory, with a whole bundle in it."""
    directory.mkdir(exist_ok=True)
    network = loudness_network()
    write(directory / WEIGHTS, network.state_dict())
    write_recording_bundle(
        directory,
        network,
        name="loudness",
        labels=LABELS,
        normal=normal,
        features=FEATURES,
        block_frames=BLOCK_FRAMES,
        step_frames=STEP_FRAMES,
        recipe_digest="0" * 64,
        data_digest="",
        architecture="plain",
        quality={"accuracy": 1.0},
    )
    return directory
