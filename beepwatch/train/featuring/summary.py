"""`features.json`: what a feature store is made of, for people and programs that read it.

No date, no machine's name, no path of a directory: the same input and recipe give the same bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from beepwatch.train.featuring.provenance import code, packages
from beepwatch.train.featuring.spectra import column_names
from beepwatch.train.featuring.store import Entry
from beepwatch.train.featuring.work import Plan


def meta_of(plan: Plan, entries: Sequence[Entry], index: str, failed: Sequence[str]) -> bytes:
    """The bytes of `features.json`; `failed` are paths of recordings that are not in the store."""
    recipe = plan.recipe
    names = column_names(recipe)
    plain = [entry for entry in entries if not entry.augmentation]
    inputs = "".join(f"{entry.sha256}  {entry.path}\n" for entry in plain)
    told = {
        "recipe": recipe,
        "recipe_sha256": recipe.digest,
        "code": code(),
        "packages": packages(),
        "device": plan.device,
        "rows": {version.name: version.digest for version in plan.versions},
        "columns": _places(names),
        "column_names": names,
        "counts": {
            "recordings": len(plain),
            "rows": len(entries),
            "frames": sum(entry.frames for entry in entries),
            "failed": len(failed),
            "labels": dict(sorted(Counter(entry.label for entry in plain).items())),
            "splits": dict(sorted(Counter(entry.split for entry in plain).items())),
            "augmentations": dict(sorted(Counter(e.augmentation for e in entries).items())),
        },
        "frame_s": recipe.frames.hop_samples / recipe.sound.rate_hz,
        "inputs_sha256": hashlib.sha256(inputs.encode()).hexdigest(),
        "index_sha256": hashlib.sha256(index.encode()).hexdigest(),
        "failed": list(failed),
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"


def _places(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Each feature's first column and how many it has."""
    found: dict[str, dict[str, int]] = {}
    for place, name in enumerate(names):
        stem, _, number = name.rpartition("_")
        feature = stem if number.isdigit() else name
        found.setdefault(feature, {"first": place, "count": 0})["count"] += 1
    return found
