"""Runs a bundle's network: ONNX Runtime by default, torch by choice, the same answers.

The graph takes int16 as it comes from the microphone; scaling and front end are inside. It gives
logits, and the one sigmoid of the whole program is here.

torch is imported only when its engine is opened, and with it `beepwatch.train.networks`: the one
place outside `train/` that needs the architecture, since weights without code are not a network.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle
from beepwatch.errors import ModelError

STRETCH_S = 10.0  # of a long recording, scored at once: overlaps cost little, caches still hold it

Logits = Callable[[NDArray[np.int16]], NDArray[np.float32]]  # [samples] to [frames, labels]


class Engine(Protocol):
    """Hears one stretch of sound at a time and remembers nothing."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    @property
    def rate_hz(self) -> int:
        """Of the sound it takes."""
        ...

    @property
    def frame_s(self) -> float:
        """Between the centres of two frames."""
        ...

    @property
    def context_s(self) -> float:
        """A frame's answer depends on so much of what follows it."""
        ...

    @property
    def history_s(self) -> float:
        """A frame's answer depends on so much of what came before."""
        ...

    @property
    def model_id(self) -> str:
        """Which model answers."""
        ...

    def probabilities(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """[frames, labels] of int16 mono [samples], one frame or longer.

        Frame i is centred (i + 0.5) · frame_s after the first sample; samples beyond the last
        whole frame are not heard.
        """
        ...


class _BundleEngine:
    """What both runtimes share: the bundle's numbers, whole frames, the sigmoid."""

    def __init__(self, bundle: Bundle, logits: Logits) -> None:
        info = bundle.info
        self.labels = info.labels
        self.rate_hz = info.rate_hz
        self.frame_s = info.frame_s
        self.context_s = info.context_s
        self.history_s = info.history_s
        self.model_id = info.model_id
        self._frame_samples = info.frame_samples
        self._logits = logits

    def probabilities(self, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        """[frames, labels] of int16 mono [samples]."""
        frames = len(pcm) // self._frame_samples
        if pcm.dtype != np.int16 or pcm.ndim != 1 or frames == 0:
            raise ValueError(
                f"expected int16 [samples], at least {self._frame_samples}; "
                f"found {pcm.dtype} {list(pcm.shape)}"
            )
        return sigmoid(self._logits(pcm[: frames * self._frame_samples]))


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of each label for itself; labels may sound together."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)


def open_engine(bundle: Bundle, runtime: Literal["onnx", "torch"] = "onnx") -> Engine:
    """The bundle's network, ready to hear; ModelError if its graph is not what it says."""
    return _BundleEngine(bundle, _torch_logits(bundle) if runtime == "torch" else _onnx(bundle))


def _onnx(bundle: Bundle) -> Logits:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # A thread that spins for work eats a core of a Raspberry Pi; an arena keeps its largest size.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False  # plans memory for one input length; ours vary
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(
            bundle.graph.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(
            f"onnxruntime {ort.__version__} cannot open {bundle.graph}: {error}. "
            "Install beepwatch again."
        ) from error
    _check_graph(bundle, session)

    def logits(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        outputs: list[NDArray[np.float32]] = session.run(["logits"], {"pcm": pcm[np.newaxis]})
        return np.asarray(outputs[0][0], dtype=np.float32)

    return logits


def _check_graph(bundle: Bundle, session: "object") -> None:
    """The graph takes int16 sound and gives as many columns as the bundle has labels."""
    inputs = [(i.name, i.type, len(i.shape)) for i in session.get_inputs()]  # type: ignore[attr-defined]
    outputs = [(o.name, o.type, o.shape[-1]) for o in session.get_outputs()]  # type: ignore[attr-defined]
    expected_inputs = [("pcm", "tensor(int16)", 2)]
    expected_outputs = [("logits", "tensor(float)", len(bundle.info.labels))]
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ModelError(
            f"{bundle.graph} takes {inputs} and gives {outputs}; expected {expected_inputs} and "
            f"{expected_outputs}. Make the bundle again with `beepwatch train`."
        )


def _torch_logits(bundle: Bundle) -> Logits:
    try:
        import torch
        from safetensors.torch import load_file

        from beepwatch.train.networks import ARCHITECTURES
    except ImportError as error:
        raise ModelError(
            f'model.runtime is "torch" but {error.name} is not installed. '
            'Install beepwatch[train], or set model.runtime = "onnx".'
        ) from error
    info = bundle.info
    architecture = ARCHITECTURES.get(info.architecture)
    if architecture is None:
        raise ModelError(
            f"{bundle.directory}: unknown architecture {info.architecture!r}, known are "
            f'{sorted(ARCHITECTURES)}. Upgrade beepwatch, or set model.runtime = "onnx".'
        )
    torch.set_num_threads(1)
    try:
        network = architecture(**info.arguments)
        network.load_state_dict(load_file(bundle.weights))
    except (TypeError, RuntimeError) as error:
        raise ModelError(
            f"{bundle.weights} does not fit {info.architecture}: {error}. "
            "Make the bundle again with `beepwatch train`."
        ) from error
    network.eval()

    def logits(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
        with torch.inference_mode():
            # A copy: what arrives in a message is not writable, and torch wants to be able to.
            answer = network(torch.from_numpy(pcm.copy())[None])[0]
        result: NDArray[np.float32] = answer.numpy()
        return result

    return logits


def probabilities_of_stream(
    engine: Engine, blocks: Iterable[NDArray[np.int16]], stretch_s: float = STRETCH_S
) -> Iterator[NDArray[np.float32]]:
    """Score sound of any length in flat memory: every frame once, as if heard all at once.

    `blocks` are consecutive int16 pieces of any size; what is yielded, joined, is [frames,
    labels] of the whole. Each stretch is heard with the history and context that its frames
    depend on.
    """
    frame_samples = round(engine.frame_s * engine.rate_hz)
    history = -(-round(engine.history_s * engine.rate_hz) // frame_samples)
    context = -(-round(engine.context_s * engine.rate_hz) // frame_samples)
    stretch = max(round(stretch_s * engine.rate_hz) // frame_samples, 1)
    held = np.zeros(0, dtype=np.int16)  # begins `known` frames before the first unanswered one
    known = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= (known + stretch + context) * frame_samples:
            heard = held[: (known + stretch + context) * frame_samples]
            yield engine.probabilities(heard)[known : known + stretch]
            kept = min(known + stretch, history)
            held = held[(known + stretch - kept) * frame_samples :]
            known = kept
    if len(held) // frame_samples > known:
        yield engine.probabilities(held)[known:]
