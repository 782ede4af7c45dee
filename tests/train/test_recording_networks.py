"""Every kind of network answers blocks of every length, and learns."""

from typing import get_args

import pytest
import torch
from torch.nn.functional import cross_entropy

from beepwatch.train.recording_networks import Kind, Network, NetworkRecipe, Residual

KINDS = get_args(Kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 2, 7, 50])
def test_blocks_of_any_length_have_an_answer(kind: Kind, frames: int) -> None:
    network = Network(5, 4, NetworkRecipe(kind=kind, channels=(16, 32, 64))).eval()
    assert network(torch.zeros(2, frames, 5)).shape == (2, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tone_that_moves_up_is_told_from_one_that_moves_down(kind: Kind) -> None:
    """Both have the same mean in every column and every frame: only the order tells."""
    torch.manual_seed(1)
    up = torch.eye(8).repeat(8, 1, 1)
    features = torch.cat([up, up.flip(1)]) + 0.05 * torch.randn(16, 8, 8)
    labels = torch.arange(16) // 8
    recipe = NetworkRecipe(kind=kind, channels=(8, 8), kernel_frames=3, dropout=0)
    network = Network(8, 2, recipe)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.02)
    for _ in range(80):
        loss = cross_entropy(network(features), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert (network.eval()(features).argmax(dim=1) == labels).all()


def test_a_residual_layer_that_adds_nothing_passes_what_came_in() -> None:
    layer = Residual(4, 4, 3).eval()
    with torch.no_grad():
        for parameter in layer.second.parameters():
            parameter.zero_()
    sides = torch.rand(2, 4, 9)
    assert torch.equal(layer(sides), sides)


def test_the_reference_has_as_many_weights_as_its_three_layers_have() -> None:
    """3 x 3 kernels, 16, 32 and 64 of them; of 64 columns an eighth is left for the answer."""
    recipe = NetworkRecipe(kind="image", channels=(16, 32, 64), kernel_frames=3)
    counted = sum(parameter.numel() for parameter in Network(64, 5, recipe).parameters())
    assert counted == (9 + 1) * 16 + (9 * 16 + 1) * 32 + (9 * 32 + 1) * 64 + (64 * 8 + 1) * 5
