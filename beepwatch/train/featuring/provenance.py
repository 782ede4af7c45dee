"""What made a feature store: this package's code and the packages that it counts with."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

import msgspec

from beepwatch import __version__
from beepwatch.train.datasets.augmentation import files_of
from beepwatch.train.datasets.remote import Location, on_disk
from beepwatch.train.featuring.recipe import FeatureRecipe, digest_of
from beepwatch.train.featuring.work import PLAIN, Version, digest_of_file

PROCESSOR = "cpu"  # the device that is always there

# Whatever a number of a row depends on.
_MODULES = (
    *(f"train/featuring/{name}.py" for name in ("banks", "recipe", "sound", "spectra", "stages")),
    *("train/featuring/work.py", "train/datasets/augmentation.py", "train/augment.py"),
    *(f"capture/{name}.py" for name in ("blocks", "files", "flac", "pipes", "sndfile", "windows")),
)
_DEVICE_MODULES = ("train/featuring/batching.py", "train/featuring/device.py")
_PACKAGES = ("numpy", "scipy", "soundfile", "soxr")


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """Which state of this package."""

    version: str
    sha256: str  # of the modules that decide numbers


@cache
def code() -> Code:
    """This package as it is installed."""
    return Code(version=__version__, sha256=_digest_of(_MODULES))


def _digest_of(modules: Iterable[str]) -> str:
    found = hashlib.sha256()
    for name in modules:
        found.update(f"{name}\n".encode())
        found.update(files("beepwatch").joinpath(name).read_bytes())
    return found.hexdigest()


@cache
def packages() -> dict[str, str]:
    """The versions of the packages that numbers depend on; "" where one is not installed."""
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def versions_of(
    recipe: FeatureRecipe, data: Location, device: str = PROCESSOR
) -> tuple[Version, ...]:
    """What is made of each recording. Raises OSError for a file that is to be mixed in.

    Another device rounds in another way: its rows are others, though the recipe is the same.
    """
    elsewhere = [] if device == PROCESSOR else [device, _digest_of(_DEVICE_MODULES)]
    base = digest_of([recipe.plain, code(), packages(), *elsewhere])
    found = [Version(name=PLAIN, place=-1, digest=base)]
    for place, one in enumerate(recipe.augment):
        mixed_in: dict[str, str] = {}
        for name in files_of(one.steps):
            with on_disk(data / name) as file:
                mixed_in[name] = digest_of_file(file)
        for copy in range(1, one.copies + 1):
            name = one.name if copy == 1 else f"{one.name}#{copy}"
            digest = digest_of([base, one.steps, recipe.seed, name, mixed_in])
            found.append(
                Version(name=name, place=place, digest=digest, mixed_in=digest_of(mixed_in))
            )
    return tuple(found)
