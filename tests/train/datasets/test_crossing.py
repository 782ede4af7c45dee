"""Nothing of a recording is heard on the other side of a split."""

from pathlib import Path

import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.augmentation import Augmentation, Mix, Room
from beepwatch.train.datasets.crossing import refuse_mixing_across, strays
from beepwatch.train.features import extract

SPLIT_OF = {"a.wav": "train", "b.wav": "train", "c.wav": "test"}
NOISY = Augmentation(name="noisy", steps=(Mix(others=("hum.wav", "./c.wav"), snr_db=5.0),))


def test_a_row_beside_its_parent_is_no_stray() -> None:
    paths, parents = ["a", "a", "b"], ["", "a", ""]
    assert strays(paths, parents, ["train", "train", "test"]) == []
    assert strays(paths, parents, ["train", "test", "test"]) == ["a"]


def test_a_row_without_its_parent_is_a_stray() -> None:
    assert strays(["a", "b"], ["a", ""], ["train", "train"]) == ["a"]


def test_a_recording_of_another_split_is_not_mixed_in() -> None:
    with pytest.raises(ConfigurationError, match=r"'\./c\.wav' is .* 'test'.* heard in 'train'"):
        refuse_mixing_across(SPLIT_OF, [NOISY], lambda split: split == "train")


def test_neither_is_its_room() -> None:
    far = Augmentation(name="far", steps=(Room(responses=("c.wav",)),))
    with pytest.raises(ConfigurationError, match="mixed in"):
        refuse_mixing_across(SPLIT_OF, [far], lambda split: split == "train")


def test_what_stays_within_its_split_or_is_no_recording_of_the_set_is_mixed_in() -> None:
    refuse_mixing_across(SPLIT_OF, [NOISY], lambda split: split == "test")
    others = {path: split for path, split in SPLIT_OF.items() if split == "train"}
    refuse_mixing_across(others, [NOISY], lambda split: split == "train")


def test_augmenting_every_split_takes_a_recording_across() -> None:
    with pytest.raises(ConfigurationError, match="heard in 'train'"):
        refuse_mixing_across(SPLIT_OF, [NOISY], lambda _split: True)


def test_features_are_not_made_of_recordings_mixed_across(tmp_path: Path) -> None:
    """It is refused before anything is read: there are no files."""
    rows = "".join(f"{path},{split}\n" for path, split in SPLIT_OF.items())
    (tmp_path / "dataset.csv").write_text(f"path,split\n{rows}", encoding="utf-8")
    example = Path(__file__).parents[3] / "docs" / "recipes" / "features.toml"
    (tmp_path / "recipe.toml").write_text(
        'seed = 1\naugmented_splits = ["train"]\n'
        + example.read_text(encoding="utf-8")
        + '[[augment]]\nname = "noisy"\n'
        + 'steps = [{kind = "mix", others = ["c.wav"], snr_db = 5}]\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError, match=r"'c\.wav' is .* 'test'.* heard in 'train'"):
        extract(tmp_path / "recipe.toml", tmp_path, tmp_path / "store")
    assert not (tmp_path / "store").exists()
