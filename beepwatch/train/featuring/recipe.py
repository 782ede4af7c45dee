"""A feature recipe: every parameter that decides a number of a feature store, in one TOML file.

None is implied. What a section says is needed where a feature uses it, and refused where none
does, so that a recipe never states what did not happen.
"""

import hashlib
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from beepwatch.errors import ConfigurationError
from beepwatch.train.datasets.augmentation import Augmentation
from beepwatch.train.recipe import recipe_values
from beepwatch.validation import explain, shortened

Feature = Literal[
    "logmel", "mfcc", "magnitude", "phase", "centroid", "bandwidth", "rolloff", "chroma",
    "zero_crossings", "rms",
]  # fmt: skip
FEATURES: tuple[Feature, ...] = get_args(Feature)

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Rate = Annotated[int, msgspec.Meta(ge=1_000, le=768_000)]
Samples = Annotated[int, msgspec.Meta(ge=2, le=1_048_576)]
Bands = Annotated[int, msgspec.Meta(ge=1, le=4_096)]
Numbers = float | tuple[float, ...]

_MISSING = re.compile(r"missing required field `([^`]*)`")


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class SoundRecipe(_Section, frozen=True):
    """What is made of a recording before anything is measured."""

    rate_hz: Rate  # resampled to it where the recording's own is another
    channel: Annotated[int, msgspec.Meta(ge=0, le=63)] | Literal["mean"]  # numbers begin at 0


class FramesRecipe(_Section, frozen=True):
    """How the sound is cut, and what each cut is multiplied by."""

    fft_samples: Samples  # of a frame
    window_samples: Samples  # of the window, in the frame's middle; zeros beside it
    hop_samples: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)]
    window: Literal["boxcar", "hann", "hamming", "blackman", "bartlett", "blackmanharris"]
    periodic: bool  # as spectra want it; else symmetric
    # What the window is divided by: nothing, the root of `fft_samples`, its sum, or the root of
    # the sum of its squares.
    divided_by: Literal["nothing", "root_length", "sum", "root_energy"]
    centred: bool  # frame n is around sample n * hop; else it begins there
    padding: Literal["zeros", "reflect", "edge", "nothing"]  # of half a frame at both ends
    # Of the Fourier transform. Single is twice as fast; what lies 120 dB below a frame's loudest
    # tone is its rounding.
    precision: Literal["single", "double"]


class MelRecipe(_Section, frozen=True):
    """Bands of a mel scale, for `logmel` and `mfcc`."""

    bands: Bands
    lowest_hz: NotNegative
    highest_hz: Positive
    scale: Literal["htk", "slaney"]
    norm: Literal["none", "slaney"]  # slaney: each band has the same area
    power: Positive  # of the magnitude: 1 or, for energy, 2


class LogRecipe(_Section, frozen=True):
    """`factor * log(gain * x)`; 10 and 10 are decibels of energy."""

    base: Literal["e", 2, 10]
    factor: float
    gain: Positive
    floor: Positive
    floor_is: Literal["least", "added"]  # log(max(floor, gain x)) or log(floor + gain x)


class CepstrumRecipe(_Section, frozen=True):
    """The discrete cosine transform (II) of the log-mel bands."""

    coefficients: Bands
    norm: Literal["none", "ortho"]
    lifter: NotNegative  # coefficient n times 1 + lifter / 2 * sin(pi (n + 1) / lifter); 0 is none


class DeltasRecipe(_Section, frozen=True):
    """How a feature changes: derivatives of polynomials fitted to a few frames (Savitzky-Golay)."""

    of: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1)]
    orders: Annotated[int, msgspec.Meta(ge=1, le=2)]  # 2: deltas of deltas as well
    width_frames: Annotated[int, msgspec.Meta(ge=3, le=101)]  # odd
    # At the ends: the polynomial of the outermost frames, or as if the last frame went on.
    edges: Literal["fitted", "nearest"]


class ShapeRecipe(_Section, frozen=True):
    """Of `centroid`, `bandwidth` and `rolloff`, all in Hz."""

    power: Positive  # of the magnitude that the frequencies are weighted by
    bandwidth_order: Positive  # 2: the standard deviation
    rolloff_share: Annotated[float, msgspec.Meta(gt=0, lt=1)]


class ChromaRecipe(_Section, frozen=True):
    """How much there is of each note, whatever its octave; the first is C."""

    notes: Annotated[int, msgspec.Meta(ge=2, le=120)]
    a4_hz: Positive
    power: Positive
    centre_octave: float  # octaves above 27.5 Hz around which the notes count
    octave_width: Positive  # the standard deviation of that weight
    norm: Literal["none", "max", "sum", "euclidean"]  # of each frame


class NormalisationRecipe(_Section, frozen=True):
    """What is subtracted from each column, and what it is then divided by.

    `window`: mean and deviation of every `frames` frames, the last ones of the last so many.
    """

    kind: Literal["none", "window", "file", "stated"]
    frames: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] | None = None  # of a window
    least_deviation: Positive | None = None  # of a window or file
    mean: Numbers | None = None  # stated: one number, or one for each column
    deviation: Numbers | None = None


class FeatureRecipe(_Section, frozen=True):
    """What `beepwatch dataset features` follows."""

    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1)]  # in the columns' order
    sound: SoundRecipe
    frames: FramesRecipe
    normalisation: NormalisationRecipe
    mel: MelRecipe | None = None
    log: LogRecipe | None = None
    mfcc: CepstrumRecipe | None = None
    deltas: DeltasRecipe | None = None
    shape: ShapeRecipe | None = None
    chroma: ChromaRecipe | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None  # of the augmentations
    # Whose recordings are augmented; "*" is every split, "" those without one.
    augmented_splits: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    augment: tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot go together."""
        for check in (_sections, _frames, _mel, _deltas, _normalisation, _augmentations):
            check(self)

    def is_augmented(self, split: str) -> bool:
        """Whether recordings of a split have augmented versions."""
        return any(each in ("*", split) for each in self.augmented_splits or ())

    @property
    def digest(self) -> str:
        """SHA-256 of its meaning: comments and layout do not count."""
        return digest_of(self)

    @property
    def plain(self) -> "FeatureRecipe":
        """Without the augmentations: what every row of a store has in common."""
        return msgspec.structs.replace(self, augment=(), seed=None, augmented_splits=None)


def digest_of(value: Any) -> str:  # noqa: ANN401 - whatever becomes JSON
    """SHA-256 of a value's JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def read_feature_recipe(path: Path) -> FeatureRecipe:
    """A recipe from its file. Raises ConfigurationError, which names key, value and way out."""
    values = recipe_values(path)
    try:
        return msgspec.convert(values, FeatureRecipe)
    except msgspec.ValidationError as error:
        raise ConfigurationError(_refusal(str(error), values, path)) from error


def _refusal(text: str, values: Any, path: Path) -> str:  # noqa: ANN401 - TOML
    what, _, place = text.partition(" - at `$")
    place = place.removesuffix("`")
    if missing := _MISSING.search(what):
        told = f"{path}: {f'{place}.{missing[1]}'.lstrip('.')} is missing: a recipe says everything"
    elif not place and "unknown field" not in what:
        told = f"{path}: {shortened(what)}"
    else:
        try:
            told = explain(text, values, origins={}, file=path, root=FeatureRecipe)
        except (KeyError, TypeError, AttributeError):  # in a step, of which there are many kinds
            told = f"{path}: {place.lstrip('.')}: {shortened(what)}"
    end = "" if told.endswith("?") else "."
    return f"{told.rstrip('.')}{end} docs/datasets.md explains each key."


Section = TypeVar("Section")


def needed(section: Section | None) -> Section:
    """A section that the recipe's own check has found to be there."""
    if section is None:
        raise LookupError("a section that its feature needs is missing")
    return section


_SECTIONS: dict[str, frozenset[Feature]] = {
    "mel": frozenset({"logmel", "mfcc"}),
    "log": frozenset({"logmel", "mfcc"}),
    "mfcc": frozenset({"mfcc"}),
    "shape": frozenset({"centroid", "bandwidth", "rolloff"}),
    "chroma": frozenset({"chroma"}),
}


def _sections(recipe: FeatureRecipe) -> None:
    if len(set(recipe.features)) < len(recipe.features):
        raise ValueError("features names one twice; name each once")
    for name, users in _SECTIONS.items():
        wanted = sorted(users & set(recipe.features))
        if wanted and getattr(recipe, name) is None:
            raise ValueError(f"{wanted[0]} needs the section [{name}]; write it")
        if not wanted and getattr(recipe, name) is not None:
            raise ValueError(f"no feature uses the section [{name}]; leave it out")


def _frames(recipe: FeatureRecipe) -> None:
    frames = recipe.frames
    if frames.window_samples > frames.fft_samples:
        raise ValueError(
            f"frames.window_samples is {frames.window_samples}, more than fft_samples, "
            f"{frames.fft_samples}"
        )
    if frames.centred == (frames.padding == "nothing"):
        raise ValueError(
            f"frames.centred is {str(frames.centred).lower()} and padding {frames.padding!r}; "
            'centred frames need a padding, others "nothing"'
        )


def _mel(recipe: FeatureRecipe) -> None:
    mel, half_hz = recipe.mel, recipe.sound.rate_hz / 2
    if mel is None:
        return
    if not mel.lowest_hz < mel.highest_hz <= half_hz:
        raise ValueError(
            f"mel is {mel.lowest_hz:g} to {mel.highest_hz:g} Hz; it has to rise, and to end at "
            f"half of sound.rate_hz, {half_hz:g} Hz, at the highest"
        )
    if recipe.mfcc is not None and recipe.mfcc.coefficients > mel.bands:
        raise ValueError(f"mfcc.coefficients is more than mel.bands, {mel.bands}")


def _deltas(recipe: FeatureRecipe) -> None:
    deltas = recipe.deltas
    if deltas is None:
        return
    strangers = [name for name in deltas.of if name not in recipe.features]
    if strangers or len(set(deltas.of)) < len(deltas.of):
        raise ValueError(f"deltas.of is {list(deltas.of)}; name some of features, each once")
    if deltas.width_frames % 2 == 0:
        raise ValueError(f"deltas.width_frames is {deltas.width_frames}; write an odd number")


_OF_NORMALISATION = {
    "none": frozenset[str](),
    "window": frozenset({"frames", "least_deviation"}),
    "file": frozenset({"least_deviation"}),
    "stated": frozenset({"mean", "deviation"}),
}


def _normalisation(recipe: FeatureRecipe) -> None:
    given = recipe.normalisation
    expected = _OF_NORMALISATION[given.kind]
    stated = {
        name
        for name in ("frames", "least_deviation", "mean", "deviation")
        if getattr(given, name) is not None
    }
    if stated != expected:
        words = ", ".join(sorted(expected)) or "nothing else"
        raise ValueError(f"normalisation of kind {given.kind!r} needs {words}, and no other key")
    if not all(math.isfinite(each) for each in _listed(given.mean)):
        raise ValueError("normalisation.mean has to be numbers")
    if not all(0 < each < math.inf for each in _listed(given.deviation)):
        raise ValueError("normalisation.deviation has to be above 0")


def _listed(numbers: Numbers | None) -> tuple[float, ...]:
    if numbers is None:
        return ()
    return numbers if isinstance(numbers, tuple) else (numbers,)


def _augmentations(recipe: FeatureRecipe) -> None:
    names = [each.name for each in recipe.augment]
    if len(set(names)) < len(names):
        raise ValueError("two [[augment]] have one name; give each its own")
    for key in ("seed", "augmented_splits"):
        if (getattr(recipe, key) is None) == bool(names):
            raise ValueError(f"{key} and [[augment]] come together: write both, or none")
