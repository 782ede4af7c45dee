"""A model on disk: a directory whose every claim is checked before anything of it is run."""

import hashlib
import json
import math
from pathlib import Path

import msgspec

from beepwatch.errors import ModelError

FORMAT = 1
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.json"

_RATES_HZ = (8_000, 48_000)
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class TrainingData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model's knowledge comes from."""

    digest: str  # SHA-256 over the paths and contents of all files used
    licences: dict[str, int]  # files used under each licence


class BundleInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bundle.json`: what a model answers, how it was made and how good it was found to be."""

    format: int
    name: str
    model_id: str  # the first 12 digits of the graph's SHA-256
    labels: tuple[str, ...]
    rate_hz: int
    window_s: float  # what it was trained to judge at once
    frame_s: float
    step_frames: int = 1  # frames answered together: sound is heard in multiples of so many
    context_s: float  # a frame's answer depends on so much of what follows it
    history_s: float  # and on so much of what came before
    thresholds: dict[str, float]
    architecture: str
    arguments: dict[str, int | float | list[int]]
    parameters: int
    recipe_digest: str
    data: TrainingData
    quality: dict[str, float]
    files: dict[str, str]  # name to SHA-256

    @property
    def frame_samples(self) -> int:
        """Samples between the centres of two frames."""
        return round(self.frame_s * self.rate_hz)


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that holds what its description says."""

    directory: Path
    info: BundleInfo

    @property
    def graph(self) -> Path:
        """The ONNX graph, front end included."""
        return self.directory / GRAPH

    @property
    def weights(self) -> Path:
        """The weights for torch."""
        return self.directory / WEIGHTS


def find_bundle(name_or_directory: str) -> Path:
    """The directory of a bundle given by path or by the name of a shipped one.

    Raises ModelError naming the places that were looked at.
    """
    given = Path(name_or_directory).expanduser()
    if given.is_dir():
        return given
    package = Path(__file__).resolve().parent.parent
    shelves = [package / "models", package.parent / "models"]
    if given.name == name_or_directory:
        for shelf in shelves:
            if (shelf / given.name / DESCRIPTION).is_file():
                return shelf / given.name
    shipped = sorted({path.parent.name for s in shelves for path in s.glob(f"*/{DESCRIPTION}")})
    raise ModelError(
        f"no model bundle {name_or_directory!r}: neither a directory nor one of the shipped "
        f"{shipped}. Set model.bundle to one of these or to a bundle's directory."
    )


def load_bundle(directory: Path) -> Bundle:
    """The bundle in a directory; ModelError names the first claim that does not hold."""
    info = _read_description(directory / DESCRIPTION)
    for problem in (_labels_problem(info), _time_problem(info), _files_problem(directory, info)):
        if problem:
            raise ModelError(
                f"model bundle {directory}: {problem}. "
                "Install beepwatch again, or make the bundle again with `beepwatch train`."
            )
    return Bundle(directory=directory, info=info)


def _read_description(path: Path) -> BundleInfo:
    try:
        info = msgspec.json.decode(path.read_bytes(), type=BundleInfo)
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}. Set model.bundle to a bundle's directory."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is no bundle description: {error}. Make it again.") from error
    if info.format != FORMAT:
        raise ModelError(
            f"{path} has format {info.format}, this beepwatch reads {FORMAT}. "
            "Upgrade beepwatch, or make the bundle again with `beepwatch train`."
        )
    return info


def _labels_problem(info: BundleInfo) -> str | None:
    if not info.labels or len(set(info.labels)) != len(info.labels) or not all(info.labels):
        return f"labels {list(info.labels)} must be one or more different names"
    if set(info.thresholds) != set(info.labels):
        return f"thresholds for {sorted(info.thresholds)} but labels {list(info.labels)}"
    for label, threshold in info.thresholds.items():
        if not 0 < threshold < 1:
            return f"threshold of {label!r} is {threshold}, not between 0 and 1"
    return None


def _time_problem(info: BundleInfo) -> str | None:
    lowest_hz, highest_hz = _RATES_HZ
    if not lowest_hz <= info.rate_hz <= highest_hz:
        return f"rate_hz is {info.rate_hz}, not within {lowest_hz} to {highest_hz}"
    frame_samples = info.frame_s * info.rate_hz
    if frame_samples < 1 or not math.isclose(frame_samples, round(frame_samples), abs_tol=1e-6):
        return f"a frame of {info.frame_s} s is no whole number of samples at {info.rate_hz} Hz"
    if info.step_frames < 1:
        return f"step_frames is {info.step_frames}, expected 1 or more"
    if info.window_s < info.frame_s:
        return f"window_s is {info.window_s}, shorter than a frame of {info.frame_s} s"
    if not 0 <= info.context_s < info.window_s:
        return f"context_s is {info.context_s}, not within a window of {info.window_s} s"
    if not (math.isfinite(info.history_s) and info.history_s >= 0):
        return f"history_s is {info.history_s}, not a length"
    return None


def _files_problem(directory: Path, info: BundleInfo) -> str | None:
    if set(info.files) != {GRAPH, WEIGHTS}:
        return f"lists files {sorted(info.files)}, expected {[GRAPH, WEIGHTS]}"
    for name, expected in info.files.items():
        try:
            found = sha256_of(directory / name)
        except OSError as error:
            return f"cannot read {name}: {error.strerror}"
        if found != expected:
            return f"{name} has SHA-256 {found[:12]}…, {DESCRIPTION} says {expected[:12]}…"
    if info.model_id != info.files[GRAPH][:12]:
        return f"model_id {info.model_id} is not that of {GRAPH}, {info.files[GRAPH][:12]}"
    found_parameters = count_parameters(directory / WEIGHTS)
    if found_parameters != info.parameters:
        return f"{WEIGHTS} holds {found_parameters} parameters, expected {info.parameters}"
    return None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def count_parameters(path: Path) -> int | None:
    """Trained numbers in a safetensors file, by its header; None if it has none.

    The format: eight bytes of length, little-endian, then JSON with each tensor's shape.
    """
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        shapes = [
            entry["shape"]
            for name, entry in header.items()
            if name != "__metadata__" and not name.endswith(_BUFFERS)
        ]
        return sum(int(math.prod(shape)) for shape in shapes)
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
