"""The 8-bit graph answers like the one it was made from, and its front end is untouched."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from beepwatch.train.export import export_graph
from beepwatch.train.networks import ToneNet
from beepwatch.train.quantise import WITH_CONVOLUTIONS, compare, front_end, quantise

# onnxruntime's calibration divides by the count of an empty histogram bin, and says so
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def tones(seed: int) -> NDArray[np.int16]:
    """Three seconds of noise with a tone in the middle second, int16 [samples]."""
    random = np.random.default_rng(seed)
    sound = random.normal(0, 10 ** random.uniform(0.5, 3), 48_000)
    hz = random.uniform(500, 6_000)
    sound[16_000:32_000] += 4_000 * np.sin(np.arange(16_000) * hz * 2 * np.pi / 16_000)
    return np.clip(sound, -32_768, 32_767).astype(np.int16)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with untrained weights."""
    torch.manual_seed(5)
    network = ToneNet(channels=4)
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_graph(network, path)
    return path


@pytest.mark.parametrize(
    ("operators", "tolerance"), [(("MatMul",), 0.03), (WITH_CONVOLUTIONS, 0.15)]
)
def test_8_bits_answer_alike(
    graph: Path, tmp_path: Path, operators: tuple[str, ...], tolerance: float
) -> None:
    calibration = (tones(seed) for seed in range(12))
    small = quantise(graph, calibration, tmp_path / "small.onnx", operators=operators)

    comparison = compare(graph, small, [tones(seed) for seed in range(100, 106)], times=1)

    assert comparison.windows == 6
    assert 0 < comparison.mean_difference <= comparison.largest_difference < tolerance


def test_the_graph_is_written_beside_the_other_and_smaller(graph: Path) -> None:
    small = quantise(graph, [tones(0), tones(1)])

    assert small == graph.with_name("model.int8.onnx")
    assert small.stat().st_size < graph.stat().st_size


def test_the_same_windows_give_the_same_bytes(graph: Path, tmp_path: Path) -> None:
    first, second = (
        quantise(graph, [tones(0), tones(1)], tmp_path / name).read_bytes() for name in "ab"
    )
    assert first == second


def test_the_spectrum_stays_float(graph: Path, tmp_path: Path) -> None:
    """Nothing that leads to the logarithm is rounded; the matrices of the spectrum are float."""
    small = quantise(
        graph, [tones(0), tones(1)], tmp_path / "small.onnx", operators=WITH_CONVOLUTIONS
    )

    model = onnx.load(small)
    before = set(front_end(model))
    kinds = {node.op_type for node in model.graph.node if node.name in before}
    assert {"MatMul", "Log"} <= kinds
    assert "DequantizeLinear" not in kinds
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}


def test_without_windows_or_operators_there_is_nothing_to_do(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no windows"):
        quantise(graph, [], tmp_path / "small.onnx")
    with pytest.raises(ValueError, match="none of"):
        quantise(graph, [tones(0)], tmp_path / "small.onnx", operators=["LSTM"])
    assert not (tmp_path / "small.onnx").exists()


def test_a_graph_without_a_front_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no logarithm"):
        front_end(onnx.ModelProto())
