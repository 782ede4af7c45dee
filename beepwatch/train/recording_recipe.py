"""The recipe of a network that names recordings, as a person writes it (docs/datasets.md)."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.splitting import GROUPED_BY
from beepwatch.train.recipe import recipe_values
from beepwatch.train.recording_networks import NetworkRecipe
from beepwatch.validation import explain

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class BlocksRecipe(_Section, frozen=True):
    """What the network is shown at once."""

    context: _Positive  # frames
    step: _Positive  # frames from one to the next


class HeldOutRecipe(_Section, frozen=True):
    """What judges, if the store has no rows of the split dev."""

    by: tuple[str, ...] = GROUPED_BY  # recordings that have one of these in common stay together
    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2


class LearningRecipe(_Section, frozen=True):
    """How the weights are found."""

    seed: int = 0
    epochs: _Positive = 20
    batch_blocks: Annotated[int, msgspec.Meta(ge=2)] = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-4
    balanced: bool = True


class ReportRecipe(_Section, frozen=True):
    """What is trained beside it only to be judged on what it has not seen, once each."""

    leave_one_out: Literal["", "device", "session"] = ""  # of each value of that column
    random_share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0  # of recordings; 0: not


class ServedRecipe(_Section, frozen=True):
    """What `beepwatch serve` is told of it."""

    name: str = "recordings"
    normal: tuple[str, ...] = ("normal",)  # labels of what is well; other names are anomalies


class ClassifierRecipe(_Section, frozen=True):
    """What `beepwatch train RECIPE --features STORE` follows."""

    blocks: BlocksRecipe
    held_out: HeldOutRecipe = HeldOutRecipe()
    network: NetworkRecipe = NetworkRecipe()
    training: LearningRecipe = LearningRecipe()
    report: ReportRecipe = ReportRecipe()
    served: ServedRecipe = ServedRecipe()


def read_classifier_recipe(path: Path) -> ClassifierRecipe:
    """Raises ConfigurationError, which names key, value and way out."""
    values = recipe_values(path)
    try:
        return msgspec.convert(values, ClassifierRecipe)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            explain(str(error), values, origins={}, file=path, root=ClassifierRecipe)
        ) from error
