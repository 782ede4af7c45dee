"""What must not cross a split: what is made of a recording, and what is mixed into others."""

import posixpath
from collections.abc import Callable, Mapping, Sequence

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.augmentation import Augmentation, files_of
from beepwatch.validation import shortened


def strays(paths: Sequence[str], parents: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Paths of augmented rows that are in another split than their parent, or have none.

    Each has one cell for each row; "" is no parent.
    """
    rows = list(zip(paths, parents, splits, strict=True))
    split_of = {path: split for path, parent, split in rows if not parent}
    return [path for path, parent, split in rows if parent and split_of.get(parent) != split]


def refuse_mixing_across(
    split_of: Mapping[str, str],
    augmentations: Sequence[Augmentation],
    is_augmented: Callable[[str], bool],
) -> None:
    """Raises ConfigurationError if a recording is to be mixed into those of another split.

    `split_of` has the data set's recordings by path, `is_augmented` tells whether those of a split
    have augmented versions.
    """
    heard_in = {split for split in split_of.values() if is_augmented(split)}
    for file in files_of([step for each in augmentations for step in each.steps]):
        split = split_of.get(posixpath.normpath(file))
        if split is not None and heard_in - {split}:
            raise ConfigurationError(
                f"{shortened(file)!r} is a recording of the split {split!r}; mixed in, it would be "
                f"heard in {', '.join(map(repr, sorted(heard_in - {split})))}. Name another file."
            )
