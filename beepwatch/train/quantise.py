"""A bundle's graph with 8-bit weights and activations, `model.int8.onnx`, and what that costs.

Static quantisation in the QDQ form (Jacob et al. 2018, section 2; ONNX Runtime's
`quantization.quantize_static`): weights symmetric int8 with a scale per output channel,
activations uint8 with ranges from calibration sound. The front end stays float up to and with its
logarithm: 16-bit sound has 96 dB and 8 bits hold 48, so a quiet beep would be rounded away. After
the logarithm a step of 1/255 of the range is about 0.1 nat, less than noise moves an energy.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from beepwatch.classify.runtime import onnxruntime as ort

# isort: split
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from beepwatch.classify.engines import sigmoid
from beepwatch.train.recipe import Recipe
from beepwatch.train.scenes import draw_clip, gather

INT8_GRAPH = "model.int8.onnx"
# Measured on x86-64 with AVX-512 VNNI: the bands' means are as fast in 8 bits as in float or
# faster. Convolutions of so few channels are not: float ones keep their channels in registers.
NO_SLOWER = ("MatMul",)
WITH_CONVOLUTIONS = ("MatMul", "Conv")  # for processors where that pays
CALIBRATION_STREAM = 100  # kinds of clips below are what the network learnt from
_LAST_OF_FRONT_END = "Log"
_INSIDE_PERCENT = 99.999  # of the activations; one extreme in a hundred thousand costs all a step


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A graph's answers beside the ones it stands for, on the same windows."""

    windows: int
    largest_difference: float  # of a frame's probability
    mean_difference: float
    reference_ms: float  # a window, one thread, the fastest of all
    candidate_ms: float


def quantise(
    graph: Path,
    windows: Iterable[NDArray[np.int16]],
    out: Path | None = None,
    *,
    operators: Sequence[str] = NO_SLOWER,
) -> Path:
    """Write `out`, by default `model.int8.onnx` beside `graph`; ranges come from `windows`.

    `windows` are int16 mono [samples] at the model's rate, each of whole frames; some hundred,
    with and without beeps, from the training recordings. `operators` go to 8 bits, after the
    front end. Same graph and windows, same bytes. Raises ValueError if there is nothing to do.
    """
    out = out or graph.with_name(INT8_GRAPH)
    calibration = _Windows(windows)
    if calibration.first is None:
        raise ValueError("no windows to calibrate with; give some hundred of them")
    with TemporaryDirectory() as directory:
        prepared = Path(directory) / "prepared.onnx"
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        kept = _kept_float(model)
        if not any(n.op_type in operators and n.name not in kept for n in model.graph.node):
            raise ValueError(f"{graph} has none of {list(operators)} after its front end")
        quantize_static(
            str(prepared),
            str(out),
            calibration,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(operators),
            nodes_to_exclude=kept,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": _INSIDE_PERCENT},
        )
    return out


def calibration_windows(
    recipe: Recipe, data: Path, count: int = 200
) -> Iterator[NDArray[np.int16]]:
    """Windows of the train split's clips, with and without beeps, int16 [samples]."""
    draw = partial(
        draw_clip,
        stream=CALIBRATION_STREAM,
        material=gather(data, recipe, "train"),
        recipe=recipe,
        frame_samples=recipe.model.rate_hz // 50,
        beep_share=recipe.scenes.beep_share,
    )
    samples = round(recipe.model.window_s * recipe.model.rate_hz)
    for number in range(count):
        yield draw(number).pcm[:samples]


def front_end(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that the logarithm of the energies depends on, its own included."""
    logarithms = [node for node in model.graph.node if node.op_type == _LAST_OF_FRONT_END]
    if not logarithms:
        raise ValueError("the graph has no logarithm after its spectrum; nothing tells its parts")
    return _leading_to(model, logarithms)


def _kept_float(model: onnx.ModelProto) -> list[str]:
    """The front end, and what no logit depends on."""
    last = [node for node in model.graph.node if "logits" in node.output]
    used = set(_leading_to(model, last)) - set(front_end(model))
    return [node.name for node in model.graph.node if node.name not in used]


def _leading_to(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> list[str]:
    """Names of these nodes and of all whose outputs they depend on."""
    maker = {output: node for node in model.graph.node for output in node.output}
    names: dict[str, None] = {}
    ahead = list(nodes)
    while ahead:
        node = ahead.pop()
        if node.name not in names:
            names[node.name] = None
            ahead += [maker[name] for name in node.input if name in maker]
    return list(names)


def compare(
    reference: Path, candidate: Path, windows: Sequence[NDArray[np.int16]], times: int = 20
) -> Comparison:
    """Answers and speed of two graphs, in turns so that both meet the same load."""
    sessions = [_session(reference), _session(candidate)]
    differences: list[NDArray[np.float32]] = []
    fastest_s = [float("inf"), float("inf")]
    for window in windows:
        answers = [_probabilities(session, window) for session in sessions]
        differences.append(np.abs(answers[0] - answers[1]).ravel())
    for window in [window for window in windows for _ in range(times)]:
        for which, session in enumerate(sessions):
            begun_s = time.perf_counter()
            _probabilities(session, window)
            fastest_s[which] = min(fastest_s[which], time.perf_counter() - begun_s)
    joined = np.concatenate(differences)
    return Comparison(
        windows=len(windows),
        largest_difference=float(joined.max()),
        mean_difference=float(joined.mean()),
        reference_ms=1e3 * fastest_s[0],
        candidate_ms=1e3 * fastest_s[1],
    )


class _Windows(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    """Hands windows to the calibration, one by one."""

    def __init__(self, windows: Iterable[NDArray[np.int16]]) -> None:
        self._rest: Iterator[NDArray[np.int16]] = iter(windows)
        self.first = next(self._rest, None)

    def get_next(self) -> dict[str, NDArray[np.int16]] | None:
        window, self.first = self.first, next(self._rest, None)
        return None if window is None else {"pcm": window[np.newaxis]}


def _session(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _probabilities(session: ort.InferenceSession, window: NDArray[np.int16]) -> NDArray[np.float32]:
    return sigmoid(session.run(["logits"], {"pcm": window[np.newaxis]})[0])
