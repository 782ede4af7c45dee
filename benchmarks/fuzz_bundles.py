"""Model bundles whose description, weights or graph are not what they should be."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.fuzz_bytes import GOOD, spoilt


def prepare_bundle(good: Path) -> None:
    from beepwatch.classify.bundle import find_bundle

    shutil.copytree(find_bundle("beep"), good, dirs_exist_ok=True)


_JSON_VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 1e308, 1e-308, 0.02, 2**63, 10**30, 1_000_000_000, "", "\0", "../../etc/passwd"),
    *("x" * 5_000, [], {}, [[]], None, True, "/dev/zero", ["beep"], {"beep": 0.5}),
)


def read_bundle(directory: Path, number: int, random_: random.Random) -> None:
    import numpy as np

    from beepwatch.classify.bundle import load_bundle
    from beepwatch.classify.engines import open_engine

    good = directory / GOOD
    bundle = directory / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(good, bundle)
    what = random_.choice(("description", "bytes of description", "graph", "weights", "files"))
    if what == "files":
        _spoil_files(bundle, random_)
    elif what in ("graph", "weights"):
        path = bundle / ("model.onnx" if what == "graph" else "weights.safetensors")
        path.write_bytes(spoilt(path.read_bytes(), random_, [path.read_bytes()]))
        if what == "graph" and random_.random() < 0.3:
            path.write_bytes(_another_graph(random_))
    description = bundle / "bundle.json"
    if what != "description" and random_.random() < 0.67:
        _make_hashes_fit(bundle, description)
    if what == "description":
        said = json.loads(description.read_bytes())
        for _ in range(random_.choice((1, 1, 2, 5))):
            _spoil_json(said, random_)
        description.write_text(json.dumps(said))
    if what == "bytes of description":
        description.write_bytes(spoilt(description.read_bytes(), random_, [b"[" * 100_000, b"{}"]))
    loaded = load_bundle(bundle)
    open_engine(loaded).answers(np.zeros(16_000, dtype=np.int16))


def _spoil_files(bundle: Path, random_: random.Random) -> None:
    path = bundle / random_.choice(("model.onnx", "weights.safetensors", "bundle.json"))
    path.unlink()
    match random_.randrange(6):
        case 0:
            path.symlink_to("/dev/zero")
        case 1:
            os.mkfifo(path)
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to(path.name)
        case 4:
            with path.open("wb") as file:  # 4 GB that take no room on the disk
                file.truncate(4 << 30)
        case _:
            path.write_bytes(b"")


def _spoil_json(said: dict[str, Any], random_: random.Random) -> None:
    key = random_.choice(sorted(said))
    value = said[key]
    if isinstance(value, dict) and value and random_.random() < 0.6:
        value[random_.choice((*value, "more", "../x"))] = random_.choice(_JSON_VALUES)
    elif random_.random() < 0.1:
        del said[key]
    else:
        said[key] = random_.choice(_JSON_VALUES)
    if not said:
        said["format"] = 1


def _make_hashes_fit(bundle: Path, description: Path) -> None:
    """As one who wants to harm would."""
    if not description.is_file() or description.stat().st_size > 1 << 20:
        return
    try:
        said = json.loads(description.read_bytes())
        for name in ("model.onnx", "weights.safetensors"):
            if (bundle / name).is_file() and (bundle / name).stat().st_size < 1 << 24:
                said["files"][name] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
        said["model_id"] = said["files"]["model.onnx"][:12]
        description.write_text(json.dumps(said))
    except (OSError, ValueError):
        return


def _another_graph(random_: random.Random) -> bytes:
    """A valid graph that is not what it should be: shapes, size, files outside, endless work."""
    from onnx import TensorProto, helper

    from beepwatch.classify.engines import OUTPUTS

    pcm = helper.make_tensor_value_info("pcm", TensorProto.INT16, ["n", "t"])
    ends: list[int] = random_.choice(([1, 2, 1], [0, 0, 1], [1, 50, 2], [], [1 << 20, 1 << 16, 1]))
    length = len(ends) or 0
    shape = helper.make_tensor("shape", TensorProto.INT64, [length], ends)
    nodes = [helper.make_node("ConstantOfShape", ["shape"], [name]) for name in OUTPUTS]
    claimed = ends if random_.random() < 0.5 else ["n", "f", random_.choice((1, 2))]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, claimed) for name in OUTPUTS]
    initializers = [shape]
    if random_.random() < 0.4:
        outside = TensorProto()
        outside.name = "outside"
        outside.data_type = TensorProto.FLOAT
        outside.dims.extend([random_.choice((1, 16, 1 << 28))])
        outside.data_location = TensorProto.EXTERNAL
        entry = outside.external_data.add()
        entry.key, entry.value = "location", random_.choice(("/etc/passwd", "../x", "bundle.json"))
        initializers.append(outside)
    graph = helper.make_graph(nodes, "spoilt", [pcm], outputs, initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
