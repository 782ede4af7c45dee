"""A feature recipe says everything, or is refused in words that help."""

from pathlib import Path

import numpy as np
import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.spectra import column_names
from beepwatch.train.featuring.work import features_of
from tests.train.featuring.conftest import AUGMENTED, RECIPE

SHIPPED = Path(__file__).parents[3] / "docs" / "recipes" / "features.toml"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("hop_samples", "hop_sample", "unknown key frames.hop_sample. Did you mean hop_samples?"),
        ("[mel]", "[mell]", "unknown key mell. Did you mean mel? docs/datasets.md"),
        ("floor = 1e-10\n", "", "log.floor is missing: a recipe says everything"),
        ("[log]\nbase = 10", "[log]\nbase = 3", "log.base is 3"),
        ('"rms"]', '"rms", "chroma"]', "chroma needs the section [chroma]"),
        ('"logmel", ', "", "no feature uses the section [mel]"),
        ('"rms"]', '"loudness"]', "features[1] is 'loudness'"),
        ('"rms"]', '"rms", "rms"]', "features names one twice"),
        ("highest_hz = 7_600", "highest_hz = 9_000", "half of sound.rate_hz, 8000 Hz"),
        ("window_samples = 400", "window_samples = 513", "frames.window_samples is 513"),
        ("centred = true", "centred = false", 'others "nothing"'),
        ('kind = "none"', 'kind = "window"\nframes = 9', "needs frames, least_deviation"),
        ('kind = "none"', 'kind = "stated"\nmean = 0\ndeviation = 0', "has to be above 0"),
        ('kind = "none"', 'kind = "stated"\nmean = 0\ndeviation = nan', "has to be above 0"),
        ('kind = "none"', 'kind = "stated"\nmean = [inf]\ndeviation = 1', "has to be numbers"),
        ("fft_samples = 512", "fft_samples = ", "is no TOML"),
        ("hop_samples = 256", "hop_samples = 0", "frames.hop_samples is 0"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused(
    recipe_file: Path, old: str, new: str, told: str
) -> None:
    assert old in RECIPE
    recipe_file.write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as refused:
        read_feature_recipe(recipe_file)
    assert told in str(refused.value)
    assert "small.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("snr_db = ", "snr = ", "augment[0].steps[0]: Object contains unknown field `snr`"),
        ("seed = 3\n", "", "seed and [[augment]] come together"),
        ('augmented_splits = ["train"]\n', "", "augmented_splits and [[augment]] come together"),
        ("copies = 2", "copys = 2", "Did you mean copies?"),
    ],
)
def test_an_augmentation_with_a_mistake_is_refused(
    augmented_file: Path, old: str, new: str, told: str
) -> None:
    text = AUGMENTED.format(recipe=RECIPE)
    assert old in text
    augmented_file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as refused:
        read_feature_recipe(augmented_file)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "features is missing: a recipe says everything."),
        (b"\xff\xd8", "it is not UTF-8 text. Name a recipe."),
    ],
)
def test_what_holds_no_recipe_is_refused(recipe_file: Path, content: bytes, told: str) -> None:
    recipe_file.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        read_feature_recipe(recipe_file)
    assert f": {told}" in str(refused.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read recipe .*none\.toml"):
        read_feature_recipe(tmp_path / "none.toml")


def test_a_comment_does_not_change_a_recipes_digest(recipe_file: Path) -> None:
    digest = read_feature_recipe(recipe_file).digest
    recipe_file.write_text(f"# tried on a Sunday\n{RECIPE}")
    assert read_feature_recipe(recipe_file).digest == digest
    recipe_file.write_text(RECIPE.replace("gain = 1", "gain = 2"))
    assert read_feature_recipe(recipe_file).digest != digest


def test_the_shipped_recipe_hears_a_tone() -> None:
    """1 kHz at a tenth of full scale: its centroid, its RMS, its 2,000 crossings a second."""
    recipe = read_feature_recipe(SHIPPED)
    tone = 0.1 * np.sin(2 * np.pi * 1_000 * np.arange(32_000) / 16_000 + 0.1)
    row = features_of(tone.astype(np.float32), recipe)[20]
    named = dict(zip(column_names(recipe), row.tolist(), strict=True))
    assert named["centroid"] == pytest.approx(1_000, abs=5)
    assert named["rms"] == pytest.approx(0.1 / 2**0.5, rel=1e-3)
    assert named["zero_crossings"] == pytest.approx(128 / 1_024, abs=2 / 1_024)
    assert named["mfcc_delta1_00"] == pytest.approx(0, abs=0.05)
