"""A step learns from its batch alone, at its cycle's rate, and the average follows."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from beepwatch.train.checkpoints import Learner
from beepwatch.train.networks import ToneNet
from beepwatch.train.pool import Pool
from beepwatch.train.recipe import Cycle, Recipe, read_recipe
from beepwatch.train.scenes import Clip
from beepwatch.train.steps import follow, learning_rate, take_step
from beepwatch.train.training import dev_score
from beepwatch.train.truth import TONE


def toy_pool(network: ToneNet, clips: int, seed: int = 0) -> Pool:
    """Tones of 0.4 s in noise, and noise alone."""
    pool, rng = Pool(), np.random.default_rng(seed)
    for number in range(clips):
        sound = rng.normal(0, 200, 16_000)
        truth, tones = np.zeros(50, np.float32), None
        if number % 2:
            pitch_hz = rng.uniform(500, 6_000)
            sound[4_800:11_200] += 6_000 * np.sin(np.arange(6_400) * pitch_hz * np.pi / 8_000)
            truth[15:35] = 1.0
            tones = np.zeros((50, 161), np.int8)
            tones[15:35, round(pitch_hz / 50)] = TONE
        pool.add(
            Clip(
                pcm=sound.astype(np.int16), truth=truth, weight=np.ones(50, np.float32), tones=tones
            ),
            network,
        )
    return pool


@pytest.fixture
def toy_recipe(recipe_path: Path) -> Recipe:
    """The tiny one with more steps, in a hurry."""
    recipe = read_recipe(recipe_path)[0]
    return msgspec.structs.replace(
        recipe,
        training=msgspec.structs.replace(
            recipe.training, cycles=[Cycle(steps=60, learning_rate=0.03)], batch_clips=8
        ),
    )


def test_tones_are_learnt_from_a_few_clips(toy_recipe: Recipe) -> None:
    """The loss falls to a quarter, and other tones are told from other noise."""
    learner = Learner(toy_recipe)
    pool = toy_pool(learner.network, 24)
    losses = [
        take_step(step, learner.network, learner.optimizer, pool, toy_recipe) for step in range(60)
    ]
    assert np.mean(losses[-10:]) < 0.25 * np.mean(losses[:10])
    assert dev_score(learner.network, toy_pool(learner.network, 12, seed=1)) == 1.0


def test_a_step_depends_on_its_number_and_on_no_step_before(toy_recipe: Recipe) -> None:
    def weights(steps: list[int]) -> torch.Tensor:
        learner = Learner(toy_recipe)
        pool = toy_pool(learner.network, 12)
        for step in steps:
            take_step(step, learner.network, learner.optimizer, pool, toy_recipe)
        return learner.network.ridge.weight.detach()

    torch.rand(17)  # the state of torch's own generator is none of its business
    assert weights([3]).equal(weights([3]))
    assert not weights([3]).equal(weights([4]))


CYCLES = [Cycle(steps=1_000, learning_rate=1.0), Cycle(steps=500, learning_rate=0.5)]


def test_the_learning_rate_rises_briefly_and_ends_near_nothing() -> None:
    rates = [learning_rate(step, CYCLES) for step in range(1_500)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == rates[50] == 1.0
    assert rates[999] < 1e-4
    assert max(rates[1_000:]) == rates[1_025] == 0.5
    assert rates[-1] < 1e-4


def test_a_cycle_does_not_depend_on_those_that_follow() -> None:
    alone = [learning_rate(step, CYCLES[:1]) for step in range(1_000)]
    assert [learning_rate(step, CYCLES) for step in range(1_000)] == alone


def test_the_average_moves_by_what_is_not_kept_and_takes_counts_as_they_are() -> None:
    average, network = ToneNet(channels=4), ToneNet(channels=4)
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.fill_(1.0)
        for parameter in network.parameters():
            parameter.fill_(3.0)
        network.level.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    follow(average, network, 0.75)
    assert all((parameter == 1.5).all() for parameter in average.parameters())
    assert int(average.level.num_batches_tracked) == 7  # type: ignore[arg-type]
    assert all((parameter == 3.0).all() for parameter in network.parameters())
