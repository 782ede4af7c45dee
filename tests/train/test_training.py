"""A recipe gives a bundle, an interrupted run the same one, and mining the clips it should."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.cli import run_command_line
from beepwatch.train import training
from beepwatch.train.checkpoints import CHECKPOINT, Learner, Progress, save, save_best
from beepwatch.train.dataset import DatasetError
from beepwatch.train.display import Lines
from beepwatch.train.history import Checked, Mined, read_history
from beepwatch.train.interruption import TrainingInterrupted
from beepwatch.train.networks import ToneNet
from beepwatch.train.pool import Pool, spectra_of
from beepwatch.train.recipe import Recipe, read_recipe
from beepwatch.train.steps import take_step
from beepwatch.train.training import (
    TRAIN_STREAM,
    drawing,
    fit,
    train,
)
from tests.train.conftest import RECIPE, Trained

pytestmark = pytest.mark.slow

Fit = Callable[..., tuple[ToneNet, Progress]]

ENOUGH = "b.flac,{0},household,yes\nb.flac,{0},rir,yes\n"  # to compose clips of


@pytest.fixture
def fit_into(data: Path, recipe_path: Path) -> Fit:
    """`fit` of the tiny recipe; the run's directory is still open."""
    recipe, digest = read_recipe(recipe_path)

    def go(run: Path, **more: object) -> tuple[ToneNet, Progress]:
        run.mkdir(exist_ok=True)
        options: dict[str, object] = {"workers": 0, "threads": 1, **more}
        return fit(recipe, digest, data, run, **options)  # type: ignore[arg-type]

    return go


@pytest.fixture(scope="module")
def whole(trained: Trained) -> Path:
    """A run that was never interrupted."""
    return trained.run


class Killer:
    """A display that sends this process a signal when a step is done or a line is said."""

    def __init__(self, number: signal.Signals, *, step: int = -1, line: str = "\n") -> None:
        self._number, self._step, self._line = number, step, line

    def say(self, line: str) -> None:
        if self._line in line:
            os.kill(os.getpid(), self._number)

    def composed(self, clips: int, of: int) -> None:
        if self._line == "composing" and clips == of:
            os.kill(os.getpid(), self._number)

    def stepped(self, step: int, of: int, loss: float) -> None:
        if step == self._step:
            os.kill(os.getpid(), self._number)


def same_weights(one: Path, other: Path) -> bool:
    """Whether two runs stand at the same point, bit for bit."""
    first, second = load_file(one / CHECKPOINT), load_file(other / CHECKPOINT)
    return first.keys() == second.keys() and all(
        tensor.equal(second[name]) for name, tensor in first.items()
    )


# A run


def test_without_recordings_nothing_is_begun(recipe_path: Path, tmp_path: Path) -> None:
    """Rendering takes minutes, and whoever gave the wrong directory wants to know at once."""
    with pytest.raises(DatasetError, match=r"no manifest\.csv"):
        train(recipe_path, tmp_path, tmp_path / "out", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "lists no recording"),
        ("a.flac,train,household,no\n", "has nothing to learn from in the split 'train'"),
        ("a.flac,train,household,yes\n", r"lists a\.flac, and there is no such file \(1 file "),
        ("b.flac,train,rir,yes\n", r"has no sound without a beep \(household\) in .* 'train'"),
        ("b.flac,train,household,yes\n", r"has no room responses \(rir\) in the split 'train'"),
        (ENOUGH.format("train"), "has nothing to learn from in the split 'dev'"),
        (
            ENOUGH.format("train") + ENOUGH.format("dev"),
            "split 'dev' in .* has no beeps of known f0_hz and 1 household",
        ),
    ],
)
def test_recordings_that_are_too_few_or_not_there_are_said_before_anything_is_begun(
    rows: str, said: str, recipe_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "manifest.csv").write_text(f"path,split,category,redistribute\n{rows}")
    (tmp_path / "b.flac").touch()
    with pytest.raises(DatasetError, match=said):
        train(recipe_path, tmp_path, tmp_path / "out", runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_recipe_makes_a_bundle_that_hears(trained: Trained) -> None:
    bundle = load_bundle(trained.out)
    assert bundle.info.name == "tiny"
    assert bundle.info.data.licences == {"CC0": 4}
    assert bundle.info.recipe_digest == trained.digest
    assert bundle.info.quality["dev_hours"] == pytest.approx(6 / 3_600, rel=0.2)
    answers = open_engine(bundle).answers(np.zeros(6_400, dtype=np.int16))
    assert answers.probabilities.shape == (20, 1)


def test_a_run_says_what_it_does(trained: Trained) -> None:
    assert trained.lines[0] == "composing 12 clips; 0 steps done before"
    assert any(line.startswith("mined 2 of 4 clips, logits of ") for line in trained.lines)
    assert [line.split(":")[0] for line in trained.lines if "dev score" in line] == [
        *("step 2", "step 4", "step 6")
    ]
    assert trained.lines[-1].startswith(f"bundle tiny {load_bundle(trained.out).info.model_id} in ")


def test_a_finished_run_is_not_trained_again(trained: Trained, fit_into: Fit) -> None:
    """Its weights are there: neither clips nor steps are needed."""
    lines: list[str] = []
    network, progress = fit_into(trained.run, display=Lines(lines.append))
    assert lines == []
    assert progress.step == 6
    shipped = load_file(trained.out / "weights.safetensors")
    others = {name: tensor for name, tensor in network.state_dict().items() if "answer" not in name}
    assert all(tensor.equal(shipped[name]) for name, tensor in others.items())
    assert network.state_dict().keys() - others.keys() == {"answer.weight", "answer.bias"}


def test_what_is_shipped_answers_at_the_temperature_that_was_found(
    trained: Trained, fit_into: Fit
) -> None:
    """Divided by it, to the three digits that are said; thresholds are sought after that."""
    found = next(line for line in trained.lines if line.startswith("temperature "))
    temperature = float(found.removeprefix("temperature "))
    network, _progress = fit_into(trained.run)
    shipped = load_file(trained.out / "weights.safetensors")
    assert network.state_dict()["answer.bias"].numpy() == pytest.approx(
        temperature * shipped["answer.bias"].numpy(), rel=1e-3
    )
    assert abs(temperature - 1) > 0.01
    judged = [line for line in trained.lines if line.startswith(("temperature", "threshold"))]
    assert [line.split()[0] for line in judged] == ["temperature", "threshold"]
    pcm = np.random.default_rng(0).normal(0, 2_000, 6_400).astype(np.int16)
    network.temper(temperature)
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(pcm)[None])[0][0].numpy()
    answers = open_engine(load_bundle(trained.out)).answers(pcm)
    assert answers.probabilities == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-3)


def test_a_checkpoint_of_another_recipe_is_not_taken_up(
    data: Path, recipe_path: Path, fit_into: Fit, tmp_path: Path
) -> None:
    fit_into(tmp_path)
    lines: list[str] = []
    recipe, _digest = read_recipe(recipe_path)
    fit(recipe, "another", data, tmp_path, workers=0, display=Lines(lines.append))
    assert lines[0] == "composing 12 clips; 0 steps done before"
    assert [entry.step for entry in read_history(tmp_path)] == [2, 3, 4, 6]


def test_a_cycle_that_ends_between_two_checkpoints_is_judged_at_its_end(
    data: Path, recipe_path: Path, tmp_path: Path
) -> None:
    """The next one begins with the best weights of this run, not of what lay there before."""
    recipe_path.write_text(RECIPE.replace("checkpoint_every = 2", "checkpoint_every = 100"))
    recipe, digest = read_recipe(recipe_path)
    _network, progress = fit(recipe, digest, data, tmp_path, workers=0, threads=1)
    checks = [entry for entry in read_history(tmp_path) if isinstance(entry, Checked)]
    assert [check.step for check in checks] == [4, 6]
    assert progress.best_step in (4, 6)


# Interruptions


@pytest.mark.parametrize(
    ("killer", "step"),
    [
        (Killer(signal.SIGINT, step=1), 1),
        (Killer(signal.SIGTERM, step=5), 5),  # after the round of mining at 3
        (Killer(signal.SIGINT, step=4), 4),  # while the check at 4 is still to come
        (Killer(signal.SIGTERM, line="step 4: dev score"), 4),  # within it
        (Killer(signal.SIGINT, line="mined 2"), 3),
        (Killer(signal.SIGTERM, line="composing"), 0),
    ],
    ids=["early", "after mining", "before a check", "within a check", "mining", "composing"],
)
def test_an_interrupted_run_ends_with_the_same_weights(
    killer: Killer, step: int, whole: Path, fit_into: Fit, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(
        TrainingInterrupted, match=f"^interrupted at step {step}; the same command goes on$"
    ):
        fit_into(broken, display=killer)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers

    lines: list[str] = []
    fit_into(broken, display=Lines(lines.append))
    assert f"{step} steps done before" in lines[0]
    assert same_weights(whole, broken)
    assert read_history(broken) == read_history(whole)
    best, again = (load_file(run / "best.safetensors") for run in (whole, broken))
    assert all(tensor.equal(again[name]) for name, tensor in best.items())


def test_after_a_power_cut_a_run_goes_on_from_its_last_checkpoint(
    whole: Path, fit_into: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could be saved at step 5; the checkpoint of step 4 has the clips mined before."""

    class PowerCut(Exception):
        pass

    broken = tmp_path / "broken"

    def cut_at_step_five(step: int, *rest: object) -> float:
        if step == 5:
            raise PowerCut
        return take_step(step, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "take_step", cut_at_step_five)
        with pytest.raises(PowerCut):
            fit_into(broken)
    lines: list[str] = []
    fit_into(broken, display=Lines(lines.append))
    assert "4 steps done before" in lines[0]
    assert same_weights(whole, broken)
    assert read_history(broken) == read_history(whole)


def test_a_checkpoint_stays_good_if_the_next_is_cut_short(
    fit_into: Fit, recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit_into(tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, Progress(recipe_digest=""), Learner(read_recipe(recipe_path)[0]))
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_cycle_begins_with_the_best_weights_and_clips_of_its_own(
    data: Path,
    fit_into: Fit,
    recipe_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, digest = read_recipe(recipe_path)
    best = Learner(recipe).average
    best.temper(2.0)
    save_best(tmp_path, best)
    save(tmp_path, Progress(recipe_digest=digest, step=4, best_score=2.0), Learner(recipe))
    seen: list[tuple[list[float], list[NDArray[np.float16]]]] = []

    def noted(step: int, network: ToneNet, optimizer: object, pool: Pool, recipe: Recipe) -> float:
        seen.append((network.answer.weight.flatten().tolist(), list(pool.spectra)))
        return take_step(step, network, optimizer, pool, recipe)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "take_step", noted)
    fit_into(tmp_path)
    assert len(seen) == 2, "the second cycle has two steps"
    assert seen[0][0] == best.answer.weight.flatten().tolist()
    draw = drawing(recipe, data, "train", best.frame_samples)
    first = draw(12, stream=TRAIN_STREAM, beep_share=recipe.scenes.beep_share)
    np.testing.assert_array_equal(seen[0][1][0], spectra_of(first, best))


def test_the_command_says_where_it_was_interrupted_and_ends_with_130(
    data: Path,
    recipe_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["train", str(recipe_path), "--data", str(data), "--runs", str(tmp_path), "--out"]
    words += [str(tmp_path / "out"), "--workers", "0"]

    def interrupted_at_two(step: int, *rest: object) -> float:
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "take_step", interrupted_at_two)
    assert run_command_line(words) == 130
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "beepwatch: interrupted at step 2; the same command goes on"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sought", ["find_temperature", "calibrate"])
def test_an_interruption_after_the_last_step_is_one_too(
    sought: str,
    data: Path,
    recipe_path: Path,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While temperature or thresholds are sought; training is not begun again after it."""

    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(training, "write_bundle", lambda *_, **__: None)
    monkeypatch.setattr(training, "find_temperature", lambda *_, **__: 1.0)
    monkeypatch.setattr(training, sought, interrupted)
    with pytest.raises(TrainingInterrupted, match="interrupted at step 6;"):
        train(recipe_path, data, tmp_path / "out", runs=trained.run.parent, workers=0)


# Mining and checks


def test_what_was_mined_is_in_the_pool_after_a_resumption(
    fit_into: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same clips as in the run that mined them, at the same places, in every cycle."""
    pools: list[list[bytes]] = []

    def noted(step: int, network: ToneNet, optimizer: object, pool: Pool, recipe: Recipe) -> float:
        pools.append([spectra.tobytes() for spectra in pool.spectra])
        return take_step(step, network, optimizer, pool, recipe)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "take_step", noted)
    with pytest.raises(TrainingInterrupted):
        fit_into(tmp_path, display=Killer(signal.SIGINT, step=5))
    fit_into(tmp_path)
    assert [len(pool) for pool in pools] == [12, 12, 12, 14, 14, 14]
    assert pools[3][12:] == pools[4][12:] == pools[5][12:]
    assert pools[4] == pools[5]
    rounds = [entry for entry in read_history(tmp_path) if isinstance(entry, Mined)]
    assert [(entry.step, entry.candidates, entry.kept) for entry in rounds] == [(3, 4, 2)]


def test_each_check_has_the_mean_loss_of_its_steps(
    fit_into: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([4.0, 2.0, 1.0, 2.0, 8.0, 9.0])
    monkeypatch.setattr(training, "take_step", lambda *_: next(losses))
    fit_into(tmp_path)
    checks = [entry for entry in read_history(tmp_path) if isinstance(entry, Checked)]
    assert [(check.step, check.loss) for check in checks] == [(2, 3.0), (4, 1.5), (6, 8.5)]


def test_torch_has_as_many_threads_as_asked_for_and_one_while_clips_are_composed(
    fit_into: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[str, int]] = set()

    def noted(what: str, result: object, *_: object) -> object:
        seen.add((what, torch.get_num_threads()))
        return result

    monkeypatch.setattr(training, "take_step", partial(noted, "step", 1.0))
    monkeypatch.setattr(training, "spectra_of", partial(noted, "mining", None))
    monkeypatch.setattr(training, "answer", lambda *_: np.zeros(1))
    monkeypatch.setattr(training, "dev_score", partial(noted, "judging", 0.0))
    monkeypatch.setattr(Pool, "add", lambda *_: seen.add(("composing", torch.get_num_threads())))
    before = torch.get_num_threads()
    fit_into(tmp_path, threads=before + 1)
    assert torch.get_num_threads() == before
    assert seen == {
        *(("composing", 1), ("mining", 1), ("step", before + 1), ("judging", before + 1))
    } | {("composing", before + 1)}  # the few clips that were mined
