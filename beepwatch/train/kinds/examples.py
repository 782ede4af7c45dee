"""Clips of each cluster to listen to: what is most like it, and what is least."""

import re
import shutil
from pathlib import Path

import msgspec

from beepwatch.train.datasets.catalogue import is_file_within
from beepwatch.train.kinds.record import Kinds, cannot_write
from beepwatch.validation import shortened

FOLDER = "clips"
_OURS = re.compile(r"\d+-(near|far)-\d+(\.\w+)?")  # a clip as `examples_of` names it
_LARGEST_BYTES = 50_000_000  # of a copy; what is larger is linked


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that shows what a cluster is."""

    cluster: int
    kind: str  # near or far
    recording: int
    clip: str  # below the directory of the results; "" if it could not be had


def examples_of(kinds: Kinds, count: int) -> list[Example]:
    """Of each cluster `count` that are nearest, and of the others as many that are furthest."""
    found = []
    for cluster in range(1, kinds.partition.clusters + 1):
        members = kinds.members(cluster)
        near, others = members[:count], members[count:]
        far = others[::-1][:count]
        for kind, chosen in (("near", near), ("far", far)):
            for number, recording in enumerate(chosen, 1):
                ending = Path(kinds.recordings[recording].path).suffix.lower()
                clip = f"{FOLDER}/{cluster}-{kind}-{number}{ending}"
                found.append(Example(cluster=cluster, kind=kind, recording=recording, clip=clip))
    return found


def put_clips(
    out: Path, data: Path, kinds: Kinds, examples: list[Example]
) -> tuple[list[Example], list[str]]:
    """Copy them from the data set, in place of those before; a line for each that is not there.

    Raises DiskFull.
    """
    root, kept, problems = data.resolve(), [], []
    folder = out / FOLDER
    try:
        forget_clips(out)
        folder.mkdir(exist_ok=True)
        for one in examples:
            path = kinds.recordings[one.recording].path
            if is_file_within(root, data / path):
                _copy((data / path).resolve(), out / one.clip)
                kept.append(one)
            else:
                kept.append(msgspec.structs.replace(one, clip=""))
                problems.append(f"{shortened(path)} is not in {data}: it is no example.")
    except OSError as error:
        raise cannot_write(folder, error) from error
    return kept, problems


def forget_clips(out: Path) -> None:
    """Those that are there are of other clusters. Raises DiskFull."""
    folder = out / FOLDER
    try:
        for old in folder.glob("*"):
            if _OURS.fullmatch(old.name):
                old.unlink()
    except OSError as error:
        raise cannot_write(folder, error) from error


def _copy(file: Path, clip: Path) -> None:
    if file.stat().st_size > _LARGEST_BYTES:
        clip.symlink_to(file)
    else:
        shutil.copyfile(file, clip)


def clips_there(out: Path, examples: list[Example]) -> list[Example]:
    """With the clips that an earlier run left."""
    return [
        one if (out / one.clip).is_file() else msgspec.structs.replace(one, clip="")
        for one in examples
    ]
