"""A model on disk: a directory whose every claim is checked before anything of it is run."""

import errno
import hashlib
import math
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from beepwatch.errors import ModelError
from beepwatch.validation import shortened

FORMAT = 1
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.json"
RECORDINGS: Literal["recordings"] = (
    "recordings"  # the kind of bundle that names recordings as a whole: `recordings.py`
)

_MOST_BYTES = 64_000_000  # of a file; the shipped model's have half a million
_MOST_DESCRIPTION_BYTES = 1_000_000
_RATES_HZ = (8_000, 48_000)
LONGEST_S = 60.0
_MOST_STEP_FRAMES = 3_000
_LONGEST_NAME = 64  # it is said in messages and stands in the names of clips
# An ONNX tensor that is kept in another file says so; key and length may be longer than they need.
_EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class _Kind(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = ""


class TrainingData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model's knowledge comes from."""

    digest: str  # SHA-256 over the paths and contents of all files used
    licences: dict[str, int]  # files used under each licence


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind of bundle says of itself in its `bundle.json`."""

    format: int
    name: str
    model_id: str  # the first 12 digits of the graph's SHA-256
    labels: tuple[str, ...]
    rate_hz: int
    architecture: str
    parameters: int
    recipe_digest: str
    quality: dict[str, float]
    files: dict[str, str]  # name to SHA-256


_Info = TypeVar("_Info", bound=Claims)


class BundleInfo(Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model answers, how it was made and how good it was found to be."""

    window_s: float  # what it was trained to judge at once
    frame_s: float
    step_frames: int = 1  # frames answered together: sound is heard in multiples of so many
    context_s: float  # a frame's answer depends on so much of what follows it
    history_s: float  # and on so much of what came before
    thresholds: dict[str, float]
    arguments: dict[str, int | float | list[int]]
    data: TrainingData

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


def find_bundle(name_or_directory: str, given_as: str = "model.bundle") -> Path:
    """The directory of a bundle given by path or by the name of a shipped one.

    A shipped one's name is that wherever one stands: in a data set `beep` is a folder of clips, and
    `./beep` would say so. Raises ModelError naming the places that were looked at, and the setting
    or option to change.
    """
    shipped = shipped_bundles()
    if name_or_directory in shipped:
        return shipped[name_or_directory]
    with suppress(OSError, RuntimeError):  # what cannot be looked at; no such user's home
        given = Path(name_or_directory).expanduser()
        if given.is_dir():
            return given
    raise ModelError(
        f"no model bundle {shortened(repr(name_or_directory))}: neither a directory nor one of the "
        f"shipped {sorted(shipped)}. Set {given_as} to one of these or to a bundle's directory."
    )


def shipped_bundles() -> dict[str, Path]:
    """Directories of the bundles that come with beepwatch, by name."""
    package = Path(__file__).resolve().parent.parent
    shelves = [package.parent / "models", package / "models"]  # the last one comes first
    found = [path.parent for shelf in shelves for path in shelf.glob(f"*/{DESCRIPTION}")]
    return {directory.name: directory for directory in found}


def load_bundle(directory: Path) -> Bundle:
    """The bundle in a directory; ModelError names the first claim that does not hold."""
    if is_of_recordings(directory):
        raise ModelError(
            f"the bundle {directory} names recordings as a whole and hears no single sounds. "
            f"To ask it: beepwatch serve --model {directory}."
        )
    info = described(directory, BundleInfo)
    check_claims(directory, names_problem(info), _thresholds_problem(info), _time_problem(info))
    check_claims(directory, files_problem(directory, info))
    return Bundle(directory=directory, info=info)


def is_of_recordings(directory: Path) -> bool:
    """Whether a bundle says that it names recordings; False where it can say nothing."""
    try:
        content = content_of(directory / DESCRIPTION, _MOST_DESCRIPTION_BYTES)
        return msgspec.json.decode(content, type=_Kind).kind == RECORDINGS
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def check_claims(directory: Path, *problems: str | None) -> None:
    """Raises ModelError for the first problem."""
    for problem in problems:
        if problem:
            raise ModelError(
                f"model bundle {directory}: {problem}. "
                "Install beepwatch again, or make the bundle again with `beepwatch train`."
            )


def described(directory: Path, kind: type[_Info]) -> _Info:
    """The description in a directory. Raises ModelError."""
    path = directory / DESCRIPTION
    try:
        info = msgspec.json.decode(content_of(path, _MOST_DESCRIPTION_BYTES), type=kind)
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}. Name the directory of a bundle instead."
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = shortened(str(error))
        raise ModelError(f"{path} is no bundle description: {reason}. Make it again.") from error
    if info.format != FORMAT:
        raise ModelError(
            f"{path} has format {info.format}, this beepwatch reads {FORMAT}. "
            "Upgrade beepwatch, or make the bundle again with `beepwatch train`."
        )
    return info


def names_problem(info: Claims) -> str | None:
    """What is wrong with name and labels."""
    labels = shortened(str(list(info.labels)))
    if not info.labels or len(set(info.labels)) != len(info.labels):
        return f"labels {labels} must be one or more different names"
    for name in (info.name, *info.labels):
        if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
            return (
                f"labels {labels} or the name {shortened(info.name)!r} hold one that is empty, "
                f"longer than {_LONGEST_NAME} characters or cannot be printed"
            )
    return None


def _thresholds_problem(info: BundleInfo) -> str | None:
    if set(info.thresholds) != set(info.labels):
        labels = shortened(str(list(info.labels)))
        return f"thresholds for {shortened(str(sorted(info.thresholds)))} but labels {labels}"
    for label, threshold in info.thresholds.items():
        if not 0 < threshold < 1:
            return f"threshold of {label!r} is {threshold}, not between 0 and 1"
    return None


def rate_problem(rate_hz: int) -> str | None:
    """What is wrong with the rate of the sound that a network takes."""
    lowest_hz, highest_hz = _RATES_HZ
    if lowest_hz <= rate_hz <= highest_hz:
        return None
    return f"rate_hz is {rate_hz}, not within {lowest_hz} to {highest_hz}"


def _time_problem(info: BundleInfo) -> str | None:
    if problem := rate_problem(info.rate_hz):
        return problem
    for name in ("frame_s", "window_s", "context_s", "history_s"):
        if not 0 <= getattr(info, name) <= LONGEST_S:
            return f"{name} is {getattr(info, name)}, not within 0 to {LONGEST_S:g} s"
    frame_samples = info.frame_s * info.rate_hz
    if frame_samples < 1 or not math.isclose(frame_samples, round(frame_samples), abs_tol=1e-6):
        return f"a frame of {info.frame_s} s is no whole number of samples at {info.rate_hz} Hz"
    if not 1 <= info.step_frames <= _MOST_STEP_FRAMES:
        return f"step_frames is {info.step_frames}, not within 1 to {_MOST_STEP_FRAMES}"
    if info.window_s < info.frame_s:
        return f"window_s is {info.window_s}, shorter than a frame of {info.frame_s} s"
    if not info.context_s < info.window_s:
        return f"context_s is {info.context_s}, not within a window of {info.window_s} s"
    return None


def files_problem(directory: Path, info: Claims) -> str | None:
    """What of the files is not as the description says."""
    if set(info.files) != {GRAPH, WEIGHTS}:
        return f"lists files {shortened(str(sorted(info.files)))}, expected {[GRAPH, WEIGHTS]}"
    for name, expected in info.files.items():
        try:
            found = sha256_of(directory / name)
        except OSError as error:
            return f"cannot read {name}: {error.strerror}"
        if found != expected:
            said = shortened(expected[:12])
            return f"{name} has SHA-256 {found[:12]}…, {DESCRIPTION} says {said}…"
    if info.model_id != info.files[GRAPH][:12]:
        said = shortened(info.model_id)
        return f"model_id {said} is not that of {GRAPH}, {info.files[GRAPH][:12]}"
    if _EXTERNAL_DATA.search(content_of(directory / GRAPH)):
        return f"{GRAPH} wants to read weights from another file"
    found_parameters = count_parameters(directory / WEIGHTS)
    if found_parameters != info.parameters:
        return f"{WEIGHTS} holds {found_parameters} parameters, expected {info.parameters}"
    return None


def content_of(path: Path, most_bytes: int = _MOST_BYTES) -> bytes:
    """The bytes of a regular file. Raises OSError for a pipe, a device, and a file too large."""
    # Without O_NONBLOCK, opening a pipe would wait for who writes into it.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, more than {most_bytes}")
        return file.read(most_bytes + 1)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hex. Raises OSError as `content_of` does."""
    return hashlib.sha256(content_of(path)).hexdigest()


def count_parameters(path: Path) -> int | None:
    """Trained numbers in a safetensors file, by its header; None if it has none.

    The format: eight bytes of length, little-endian, then JSON with each tensor's shape.
    """
    content = content_of(path)
    length = int.from_bytes(content[:8], "little")
    try:
        header = msgspec.json.decode(content[8 : 8 + length], type=dict[str, dict[str, Any]])
        shapes = [
            msgspec.convert(entry["shape"], list[Annotated[int, Meta(ge=0, le=_MOST_BYTES)]])
            for name, entry in header.items()
            if name != "__metadata__" and not name.endswith(_BUFFERS)
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    return sum(math.prod(shape) for shape in shapes)
