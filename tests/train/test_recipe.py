"""A recipe is read whole or refused, and its digest is that of its meaning."""

from pathlib import Path

import pytest

from beepwatch.classify.bundle import load_bundle
from beepwatch.errors import ConfigurationError
from beepwatch.train.recipe import read_recipe


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("steps = 2", "steps = 0", "cycles"),
        ("learning_rate = 0.0015", "learning_rate = 0", "cycles"),
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
    recipe_path.write_text(text.replace("steps = 2", "steps = 3"))
    assert read_recipe(recipe_path)[1] != digest


def test_the_shipped_model_was_made_by_the_shipped_recipe() -> None:
    models = Path(__file__).parent.parent.parent / "models"
    info = load_bundle(models / "beep").info
    assert info.recipe_digest == read_recipe(models / "beep" / "recipe.toml")[1]
