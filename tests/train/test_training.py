"""A recipe gives a bundle, and an interrupted run the same one."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.errors import ConfigurationError
from beepwatch.train import training
from beepwatch.train.recipe import read_recipe
from beepwatch.train.training import fit, pace, train


class Interrupted(Exception):
    """Stands for a power cut."""


def test_a_recipe_makes_a_bundle_that_hears(data: Path, recipe_path: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    out = train(
        recipe_path, data, tmp_path / "out", runs=tmp_path / "runs", workers=0,
        report=lines.append,
    )  # fmt: skip
    bundle = load_bundle(out)
    assert bundle.info.name == "tiny"
    assert bundle.info.data.licences == {"CC0": 4}
    assert bundle.info.recipe_digest == read_recipe(recipe_path)[1]
    assert bundle.info.quality["dev_hours"] == pytest.approx(6 / 3_600, rel=0.2)
    assert any("step 6" in line for line in lines)
    answer = open_engine(bundle).answers(np.zeros(6_400, dtype=np.int16)).probabilities
    assert answer.shape == (10, 1)


def test_an_interrupted_run_ends_with_the_same_weights(
    data: Path, recipe_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, digest = read_recipe(recipe_path)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()

    def go(run: Path) -> None:
        fit(recipe, digest, data, run, workers=0, report=lambda _line: None)

    go(whole)
    real_step = training.take_step

    def cut_at_step_five(step: int, *rest: object) -> float:
        if step == 5:
            raise Interrupted
        return real_step(step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "take_step", cut_at_step_five)
    with pytest.raises(Interrupted):
        go(broken)
    monkeypatch.setattr(training, "take_step", real_step)
    go(broken)

    expected = load_file(whole / "checkpoint.safetensors")
    found = load_file(broken / "checkpoint.safetensors")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert tensor.equal(found[name]), name


def test_a_checkpoint_of_another_recipe_is_not_taken_up(
    data: Path, recipe_path: Path, tmp_path: Path
) -> None:
    recipe, digest = read_recipe(recipe_path)
    fit(recipe, digest, data, tmp_path, workers=0, report=lambda _line: None)
    lines: list[str] = []
    fit(recipe, "another", data, tmp_path, workers=0, report=lines.append)
    assert "0 steps done before" in lines[0]


def test_the_learning_rate_rises_briefly_and_ends_near_nothing() -> None:
    paces = [pace(step, [1_000, 500]) for step in range(1_500)]
    assert paces[0] == pytest.approx(0.02)
    assert max(paces) == paces[50] == 1.0
    assert paces[999] < 1e-4
    assert max(paces[1_000:]) == paces[1_025] == 0.5
    assert paces[-1] < 1e-4


def test_a_cycle_does_not_depend_on_those_that_follow() -> None:
    alone = [pace(step, [300]) for step in range(300)]
    assert [pace(step, [300, 200]) for step in range(300)] == alone


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("cycles = [4, 2]", "cycles = [4, 0]", "cycles"),
        ("seed = 5", "sed = 5", "sed"),
        ("[model]", "[modell]", "modell"),
        ("[scenes]", "[scenes", "tiny.toml"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused(
    recipe_path: Path, old: str, new: str, named: str
) -> None:
    recipe_path.write_text(recipe_path.read_text().replace(old, new))
    with pytest.raises(ConfigurationError, match=named):
        read_recipe(recipe_path)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read recipe .*none\.toml"):
        read_recipe(tmp_path / "none.toml")


def test_a_comment_does_not_change_a_recipes_digest(recipe_path: Path) -> None:
    digest = read_recipe(recipe_path)[1]
    text = recipe_path.read_text()
    recipe_path.write_text(f"# tried on a Sunday\n{text}")
    assert read_recipe(recipe_path)[1] == digest
    recipe_path.write_text(text.replace("[4, 2]", "[4, 3]"))
    assert read_recipe(recipe_path)[1] != digest


def test_the_shipped_model_was_made_by_the_shipped_recipe() -> None:
    models = Path(__file__).parent.parent.parent / "models"
    info = load_bundle(models / "beep").info
    assert info.recipe_digest == read_recipe(models / "beep" / "recipe.toml")[1]
