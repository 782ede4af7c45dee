"""Runs a bundle's network: ONNX Runtime by default, torch by choice, the same answers.

The graph takes int16 as it comes from the microphone; scaling and front end are inside. It gives
logits, and the one sigmoid of the whole program is here.

torch is imported only when its engine is opened, and with it `beepwatch.train.networks`: the one
place outside `train/` that needs the architecture, since weights without code are not a network.
"""

import resource
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle, content_of
from beepwatch.errors import ModelError
from beepwatch.messages import Scores
from beepwatch.validation import shortened

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPENING_BYTES = 200_000_000  # most that a graph may take to be opened and tried
STRETCH_S = 20.0  # of a long recording, scored at once: overlaps cost little, caches still hold it

Floats = NDArray[np.float32]
Tried = TypeVar("Tried")
# To logits, pitches and embeddings, as `Answers`.
Network = Callable[[NDArray[np.int16]], tuple[Floats, Floats, Floats]]
OUTPUTS = ("logits", "pitch_hz", "embedding")


class Answers(NamedTuple):
    """What a network says of a stretch of sound, frame by frame.

    Frame i is centred (i + 0.5) · frame_s after the first sample.
    """

    probabilities: Floats  # [frames, labels]
    pitch_hz: Floats  # [frames, tones], of what comes nearest to a beep, beep or not; 0 is none
    embedding: Floats  # [frames, features], what taught sounds are told apart by

    def part(self, first: int, frames: int) -> "Answers":
        """Some of the frames."""
        return Answers(*(column[first : first + frames] for column in self))


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

    @property
    def step_frames(self) -> int:
        """Frames answered together; stretches begin at multiples of so many."""
        ...

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """Of int16 mono [samples], one frame or longer; no answer for a last frame cut short."""
        ...


class _BundleEngine:
    """What both runtimes share: the bundle's numbers, whole steps, the sigmoid."""

    def __init__(self, bundle: Bundle, network: Network) -> None:
        info = bundle.info
        self.labels = info.labels
        self.rate_hz = info.rate_hz
        self.frame_s = info.frame_s
        self.context_s = info.context_s
        self.history_s = info.history_s
        self.step_frames = info.step_frames
        self.model_id = info.model_id
        self._frame_samples = info.frame_samples
        self._network = network

    def answers(self, pcm: NDArray[np.int16]) -> Answers:
        """Of int16 mono [samples]; a last step that is not whole is filled up with silence."""
        frames = len(pcm) // self._frame_samples
        if pcm.dtype != np.int16 or pcm.ndim != 1 or frames == 0:
            raise ValueError(
                f"expected int16 [samples], at least {self._frame_samples}; "
                f"found {pcm.dtype} {list(pcm.shape)}"
            )
        missing = -frames % self.step_frames
        whole = pcm[: frames * self._frame_samples]
        if missing:
            whole = np.concatenate([whole, np.zeros(missing * self._frame_samples, np.int16)])
        logits, pitch_hz, embedding = self._network(whole)
        return Answers(sigmoid(logits), pitch_hz, embedding).part(0, frames)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of each label for itself; labels may sound together."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)


def undated(answers: Answers, engine: Engine, first_frame: int) -> Scores:
    """As `decide` takes them, of frames of a recording: it has no date, only offsets are told."""
    start_s = first_frame * engine.frame_s
    return Scores(
        probabilities=answers.probabilities,
        pitch_hz=answers.pitch_hz,
        labels=tuple(engine.labels),
        frame_s=engine.frame_s,
        stream_id="",
        first_sample=round(start_s * engine.rate_hz),
        rate_hz=engine.rate_hz,
        started_at=_EPOCH,
        started_mono_s=start_s,
        model_id=engine.model_id,
    )


def open_engine(bundle: Bundle, runtime: Literal["onnx", "torch"] = "onnx") -> Engine:
    """The bundle's network, ready to hear; ModelError if its graph is not what it says."""
    return _BundleEngine(bundle, _torch(bundle) if runtime == "torch" else _onnx(bundle))


def _onnx(bundle: Bundle) -> Network:
    info = bundle.info

    def run(session: Any, pcm: NDArray[np.int16]) -> list[Floats]:  # noqa: ANN401 - no types
        return [output[0] for output in session.run(OUTPUTS, {"pcm": pcm[np.newaxis]})]

    def tried(session: Any) -> list[Floats]:  # noqa: ANN401 - no types
        _check_graph(bundle, session)
        return run(session, np.zeros(info.step_frames * info.frame_samples, np.int16))

    session, outputs = open_graph(bundle.graph, tried)
    shapes = [list(output.shape) for output in outputs]
    if shapes[0] != [info.step_frames, len(info.labels)] or any(
        shape[:1] != [info.step_frames] for shape in shapes
    ):
        raise ModelError(
            f"{bundle.graph} answers {info.step_frames} frames with {list(OUTPUTS)} of {shapes}. "
            "Make the bundle again with `beepwatch train`."
        )

    def network(pcm: NDArray[np.int16]) -> tuple[Floats, Floats, Floats]:
        logits, pitch_hz, embedding = run(session, pcm)
        return logits, pitch_hz, embedding

    return network


def open_graph(graph: Path, tried: Callable[[Any], Tried]) -> tuple[Any, Tried]:
    """ONNX Runtime's session, and what comes of trying it: what it says of shapes may not be true.

    Raises ModelError if it cannot be opened or tried.
    """
    from beepwatch.classify.runtime import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # A thread that spins for work eats a core of a Raspberry Pi.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # What one window took is kept for the next, and no more than that: to ask the kernel each
    # time takes a fifth of the time.
    cpu = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})
    options.enable_mem_pattern = False  # plans memory for one input length; ours vary
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    try:
        with _at_most_more(_OPENING_BYTES):
            session = ort.InferenceSession(content_of(graph), options, providers=[cpu])
            return session, tried(session)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"onnxruntime {ort.__version__} cannot open {graph}: {shortened(str(error))}. "
            "Install beepwatch again."
        ) from error


@contextmanager
def _at_most_more(size_bytes: int) -> Iterator[None]:
    """Within it, a graph that asks for more memory than that gets an error instead."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])  # of data, proc(5)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = pages * resource.getpagesize() + size_bytes
    ceilings = [limit for limit in (wanted, soft) if limit != resource.RLIM_INFINITY]
    with suppress(OSError, ValueError):  # where a sandbox forbids it, it has limits of its own
        resource.setrlimit(resource.RLIMIT_DATA, (min(ceilings), hard))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _check_graph(bundle: Bundle, session: "object") -> None:
    """The graph takes int16 sound and gives a column for each of the bundle's labels."""
    inputs = [(i.name, i.type, len(i.shape)) for i in session.get_inputs()]  # type: ignore[attr-defined]
    outputs = [
        (o.name, o.type, len(o.shape), o.shape[-1] if o.name == "logits" and o.shape else None)
        for o in session.get_outputs()  # type: ignore[attr-defined]
    ]
    expected_inputs = [("pcm", "tensor(int16)", 2)]
    expected_outputs = [
        ("logits", "tensor(float)", 3, len(bundle.info.labels)),
        ("pitch_hz", "tensor(float)", 3, None),
        ("embedding", "tensor(float)", 3, None),
    ]
    if inputs != expected_inputs or outputs != expected_outputs:
        raise ModelError(
            f"{bundle.graph} takes {shortened(str(inputs))} and gives {shortened(str(outputs))}; "
            f"expected {expected_inputs} and "
            f"{expected_outputs}. Make the bundle again with `beepwatch train`."
        )


def _torch(bundle: Bundle) -> Network:
    try:
        import torch
        from safetensors import SafetensorError
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
        module = architecture(**info.arguments)
        module.load_state_dict(load_file(bundle.weights))
    except (TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"{bundle.weights} does not fit {info.architecture}: {error}. "
            "Make the bundle again with `beepwatch train`."
        ) from error
    module.eval()

    def network(pcm: NDArray[np.int16]) -> tuple[Floats, Floats, Floats]:
        with torch.inference_mode():
            # A copy: what arrives in a message is not writable, and torch wants to be able to.
            outputs = module(torch.from_numpy(pcm.copy())[None])
        logits, pitch_hz, embedding = (output[0].numpy() for output in outputs)
        return logits, pitch_hz, embedding

    return network


class Stretch(NamedTuple):
    """A piece of a long recording with what its frames depend on before and after them."""

    pcm: NDArray[np.int16]
    first: int  # of the frames in `pcm`, the first that is asked for
    frames: int  # asked for

    def answers(self, engine: Engine) -> Answers:
        """As if the whole recording had been heard at once."""
        return engine.answers(self.pcm).part(self.first, self.frames)

    def sound(self, engine: Engine) -> NDArray[np.int16]:
        """Of the frames that are asked for; stretches joined are the recording."""
        frame_samples = round(engine.frame_s * engine.rate_hz)
        return self.pcm[self.first * frame_samples : (self.first + self.frames) * frame_samples]


def stretches(
    engine: Engine, blocks: Iterable[NDArray[np.int16]], stretch_s: float = STRETCH_S
) -> Iterator[Stretch]:
    """Cut sound of any length so that every frame is asked for once; memory stays flat.

    `blocks` are consecutive int16 pieces of any size. Stretches can be heard in any order, and
    at the same time: none depends on another's answers.
    """
    frame_samples = round(engine.frame_s * engine.rate_hz)
    step = engine.step_frames
    history = step * -(-round(engine.history_s * engine.rate_hz) // (step * frame_samples))
    context = -(-round(engine.context_s * engine.rate_hz) // frame_samples)
    stretch = step * max(round(stretch_s * engine.rate_hz) // (step * frame_samples), 1)
    pieces: list[NDArray[np.int16]] = []  # begin `known` frames before the first not asked for
    known = 0
    samples = 0  # in all pieces
    for block in blocks:
        pieces.append(block)
        samples += len(block)
        while samples >= (known + stretch + context) * frame_samples:
            held = _joined(pieces)
            yield Stretch(held[: (known + stretch + context) * frame_samples], known, stretch)
            kept = min(known + stretch, history)
            pieces = [held[(known + stretch - kept) * frame_samples :]]
            known = kept
            samples = len(pieces[0])
    if samples // frame_samples > known:
        yield Stretch(_joined(pieces), known, samples // frame_samples - known)


def _joined(pieces: list[NDArray[np.int16]]) -> NDArray[np.int16]:
    """One after another; a long recording that is there already is not copied."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def answers_of_stream(
    engine: Engine, blocks: Iterable[NDArray[np.int16]], stretch_s: float = STRETCH_S
) -> Iterator[Answers]:
    """Score sound of any length in flat memory: what is yielded, joined, is that of the whole."""
    for stretch in stretches(engine, blocks, stretch_s):
        yield stretch.answers(engine)
