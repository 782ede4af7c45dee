"""A recipe: everything that decides which model comes out, in one TOML file."""

import hashlib
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

import msgspec

from beepwatch.errors import ConfigurationError

Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ModelRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which network, for which labels."""

    name: str
    labels: list[str]
    architecture: str = "ToneNet"
    arguments: dict[str, int | float | list[int]] = {}
    rate_hz: int = 16_000
    window_s: float = 3.0


class DataRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which recordings of the manifest; only such as may be redistributed."""

    negatives: list[str]  # categories
    # How often a category or a kind of rendered sound is drawn, beside its length; 1 if absent.
    weights: dict[str, float] = {}
    # Negatives rendered by fluidsynth and espeak-ng, drawn so much less or more often than
    # recordings; 0 renders none.
    rendered_weight: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    rendered_seed: int = 1
    beeps: list[str]  # categories with pulses listed
    clean_beeps: list[str] = []  # sources whose `beep_clean` files are beeps, not chimes
    clean_snr_db: float = 15.0  # at least so clean
    left_out: list[str] = []  # paths


class SceneRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How clips are composed."""

    seed: int
    clip_s: float = 4.0
    train_clips: Annotated[int, msgspec.Meta(ge=1)]
    dev_clips: Annotated[int, msgspec.Meta(ge=1)]
    beep_share: Share = 0.5
    recorded_share: Share = 0.3  # of the beeps; the others are synthesised
    look_alike_share: Share = 0.4  # of the clips without a beep
    quietest_snr_db: float = -5.0
    loudest_snr_db: float = 30.0


class MiningRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Negatives that the half-trained net takes for beeps, taught again."""

    at_steps: list[int] = []
    candidates: Count = 0
    kept: Count = 0


class Cycle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps from a rise of the learning rate to its end near nothing, with clips of their own."""

    steps: Annotated[int, msgspec.Meta(ge=1)]
    learning_rate: Annotated[float, msgspec.Meta(gt=0)]  # at its height


class TrainingRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the weights are found."""

    seed: int
    # Each but the first goes on from the best weights so far.
    cycles: Annotated[list[Cycle], msgspec.Meta(min_length=1)]
    batch_clips: Annotated[int, msgspec.Meta(ge=1)] = 32
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 1e-3
    average: Share = 0.995  # of the weights kept from step to step in the model that is shipped
    # How much each band's own answer counts beside the frame's.
    band_share: Annotated[float, msgspec.Meta(ge=0)] = 0.3
    checkpoint_every: Annotated[int, msgspec.Meta(ge=1)] = 250

    @property
    def steps(self) -> int:
        """Of all cycles."""
        return sum(cycle.steps for cycle in self.cycles)

    @property
    def ends(self) -> tuple[int, ...]:
        """The steps that are done when each cycle is."""
        return tuple(accumulate(cycle.steps for cycle in self.cycles))


class ThresholdRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the labels' thresholds are found on the dev split."""

    false_alarms_per_hour: float = 0.0  # at most so many on the dev split's negatives
    lowest: Share = 0.3
    highest: Share = 0.95


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `beepwatch train` follows."""

    model: ModelRecipe
    data: DataRecipe
    scenes: SceneRecipe
    training: TrainingRecipe
    mining: MiningRecipe = MiningRecipe()
    thresholds: ThresholdRecipe = ThresholdRecipe()


def recipe_values(path: Path) -> Any:  # noqa: ANN401 - TOML
    """What a recipe's file holds. Raises ConfigurationError if that is no TOML."""
    try:
        return msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read recipe {path}: {error.strerror}. Name a recipe, a file of TOML."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"recipe {path} is no TOML: it is not UTF-8 text. Name a recipe."
        ) from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"recipe {path} is no TOML: {error}. Mend that line.") from error


def read_recipe(path: Path) -> tuple[Recipe, str]:
    """A recipe and the SHA-256 of its meaning (comments and layout do not count)."""
    try:
        recipe = msgspec.convert(recipe_values(path), Recipe)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"recipe {path}: {error}. See models/beep/recipe.toml.") from error
    canonical = msgspec.json.encode(recipe, order="sorted")
    return recipe, hashlib.sha256(canonical).hexdigest()
