"""A model bundle made by somebody who wants to harm; its hashes fit."""

import hashlib
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.engines import OUTPUTS, open_engine
from beepwatch.errors import ModelError

FRAMES = 3


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A description that is true but for the graph, and weights without any."""
    directory = tmp_path / "bundle"
    directory.mkdir()
    said = json.loads((find_bundle("beep") / "bundle.json").read_bytes())
    weights = b"\x02\0\0\0\0\0\0\0{}"
    (directory / "weights.safetensors").write_bytes(weights)
    said |= {"labels": ["beep"], "thresholds": {"beep": 0.5}, "parameters": 0}
    said |= {"rate_hz": 16_000, "frame_s": 0.02, "step_frames": FRAMES}
    said["files"] = {"weights.safetensors": hashlib.sha256(weights).hexdigest()}
    (directory / "bundle.json").write_text(json.dumps(said))
    return directory


def with_graph(bundle: Path, content: bytes) -> Path:
    """The bundle with a graph, and the hash of it."""
    (bundle / "model.onnx").write_bytes(content)
    said = json.loads((bundle / "bundle.json").read_bytes())
    said["files"]["model.onnx"] = digest = hashlib.sha256(content).hexdigest()
    said["model_id"] = digest[:12]
    (bundle / "bundle.json").write_text(json.dumps(said))
    return bundle


def graph(
    shape: list[int], external: str = "", claimed: list[str | int | None] | None = None
) -> bytes:
    """Answers that have this shape whatever is heard; some of it from another file."""
    filled = helper.make_tensor("shape", TensorProto.INT64, [len(shape)], shape)
    nodes = [helper.make_node("ConstantOfShape", ["shape"], [name]) for name in ("made", "also")]
    initializers = [filled]
    nodes += [helper.make_node("Identity", ["also"], [name]) for name in OUTPUTS[1:]]
    if external:
        tensor = TensorProto(name="outside", data_type=TensorProto.FLOAT, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", external
        initializers.append(tensor)
        nodes.append(helper.make_node("Add", ["made", "outside"], ["logits"]))
    else:
        nodes.append(helper.make_node("Identity", ["made"], ["logits"]))
    claimed = claimed or [1, "frames", 1]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, claimed) for name in OUTPUTS]
    pcm = helper.make_tensor_value_info("pcm", TensorProto.INT16, [1, "samples"])
    model = helper.make_model(
        helper.make_graph(nodes, "made", [pcm], outputs, initializer=initializers),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    return bytes(model.SerializeToString())


def refusal(bundle: Path) -> str:
    """The one line with which it is refused."""
    with pytest.raises(ModelError) as caught:
        open_engine(load_bundle(bundle))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_graph_that_is_changed_below_is_taken_as_it_is(bundle: Path) -> None:
    engine = open_engine(load_bundle(with_graph(bundle, graph([1, FRAMES, 1]))))
    answers = engine.answers(np.zeros(FRAMES * 320, dtype=np.int16))
    assert answers.probabilities.tolist() == [[0.5]] * FRAMES


@pytest.mark.parametrize("location", ["/etc/passwd", "../outside", "outside"])
def test_weights_in_another_file_are_not_read(
    bundle: Path, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bytes at any of the places where ONNX Runtime may look would make it a number."""
    for directory in (bundle, bundle.parent):
        (directory / "outside").write_bytes(np.float32(1.0).tobytes())
    monkeypatch.chdir(bundle)
    with_graph(bundle, graph([1, FRAMES, 1], external=location))
    assert "weights from another file" in refusal(bundle)


@pytest.mark.parametrize("key", [b"\x8a\x00\x08", b"\x0a\x88\x80\x00", b"\x8a\x80\x00\x88\x00"])
def test_nor_if_the_key_of_their_place_is_longer_than_it_needs_to_be(
    bundle: Path, key: bytes
) -> None:
    """Numbers of protocol buffers may be padded."""
    plain = graph([1, FRAMES, 1], external="/etc/passwd")
    padded = plain.replace(b"\x0a\x08location", key + b"location")
    assert padded != plain
    with_graph(bundle, padded)
    assert "weights from another file" in refusal(bundle)


@pytest.mark.parametrize(
    ("shape", "claimed"),
    [
        ([1, 2 * FRAMES, 1], None),
        ([1, FRAMES, 2], None),
        ([1, 0, 1], None),
        ([0, FRAMES, 1], None),
        ([1], [1, "frames", 1]),
        ([1, FRAMES], [1, "frames"]),
        ([], []),
    ],
)
def test_a_graph_that_lies_about_its_shapes_is_refused(
    bundle: Path, shape: list[int], claimed: list[str | int | None] | None
) -> None:
    assert "model.onnx" in refusal(with_graph(bundle, graph(shape, claimed=claimed)))


def test_a_graph_that_wants_gigabytes_is_refused_before_it_has_them(bundle: Path) -> None:
    with_graph(bundle, graph([1, 1 << 30, 1]))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert "cannot open" in refusal(bundle)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("made", [_pipe, _device, _huge, _directory])
@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors", "bundle.json"])
def test_a_file_that_never_ends_is_refused(
    bundle: Path, name: str, made: Callable[[Path], None]
) -> None:
    with_graph(bundle, graph([1, FRAMES, 1]))
    (bundle / name).unlink()
    made(bundle / name)
    assert name in refusal(bundle)


@pytest.mark.parametrize(
    "changed",
    [
        {"frame_s": 1e308},
        {"history_s": 1e9},
        {"step_frames": 10**9},
        {"labels": ["a\nb"], "thresholds": {"a\nb": 0.5}},
        {"labels": ["x" * 65], "thresholds": {"x" * 65: 0.5}},
        {"name": ""},
        {"arguments": [[[[]]]]},
    ],
)
def test_absurd_descriptions_are_refused(bundle: Path, changed: dict[str, object]) -> None:
    with_graph(bundle, graph([1, FRAMES, 1]))
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changed))
    assert len(refusal(bundle)) < 1_000


def test_a_header_of_weights_that_would_be_multiplied_for_ever_is_no_header(bundle: Path) -> None:
    """A shape of lists: the product of a list and a number is a longer list."""
    header = msgspec.json.encode({"a": {"shape": [[1], 10**10]}})
    content = len(header).to_bytes(8, "little") + header
    (bundle / "weights.safetensors").write_bytes(content)
    with_graph(bundle, graph([1, FRAMES, 1]))
    said = json.loads((bundle / "bundle.json").read_bytes())
    said["files"]["weights.safetensors"] = hashlib.sha256(content).hexdigest()
    (bundle / "bundle.json").write_text(json.dumps(said))
    assert "holds None parameters" in refusal(bundle)


def test_the_shipped_graph_has_no_outside_weights() -> None:
    model = onnx.load(str(find_bundle("beep") / "model.onnx"), load_external_data=False)
    assert {tensor.data_location for tensor in model.graph.initializer} == {TensorProto.DEFAULT}
