"""Both runtimes answer alike, whatever the length of what they hear."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from beepwatch.classify.bundle import BundleInfo, find_bundle, load_bundle, sha256_of
from beepwatch.classify.engines import Engine, answers_of_stream, open_engine, sigmoid
from beepwatch.errors import ModelError

Recording = Callable[[str], NDArray[np.int16]]


@pytest.fixture(scope="module")
def shipped() -> Engine:
    return open_engine(load_bundle(find_bundle("beep")))


@pytest.fixture(scope="module")
def shipped_torch() -> Engine:
    return open_engine(load_bundle(find_bundle("beep")), "torch")


def hiss(samples: int, seed: int = 0, level: float = 1_000) -> NDArray[np.int16]:
    """White noise, int16 [samples]."""
    noise = np.random.default_rng(seed).normal(0, level, samples)
    return np.clip(noise, -32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize("level", [3, 1_000, 20_000])
def test_torch_and_onnx_agree_on_noise(
    shipped: Engine, shipped_torch: Engine, level: float
) -> None:
    pcm = hiss(16_000 * 3, seed=1, level=level)
    difference = shipped.answers(pcm).probabilities - shipped_torch.answers(pcm).probabilities
    assert np.abs(difference).max() < 1e-4


@pytest.mark.parametrize("name", ["smoke-alarm-16k", "washer-melody-16k", "baby-cry-16k"])
def test_torch_and_onnx_agree_on_recordings(
    shipped: Engine, shipped_torch: Engine, recording: Recording, name: str
) -> None:
    pcm = recording(name)
    difference = shipped.answers(pcm).probabilities - shipped_torch.answers(pcm).probabilities
    assert np.abs(difference).max() < 1e-4


def test_torch_and_onnx_agree_for_several_labels(untrained: Path) -> None:
    bundle = load_bundle(untrained)
    pcm = hiss(16_000 * 3)
    by_onnx = open_engine(bundle, "onnx").answers(pcm).probabilities
    by_torch = open_engine(bundle, "torch").answers(pcm).probabilities
    assert by_onnx.shape == by_torch.shape == (150, 2)
    assert np.abs(by_onnx - by_torch).max() < 1e-4
    assert np.abs(by_onnx[:, 0] - by_onnx[:, 1]).max() > 1e-3


def test_digital_silence_is_no_beep(shipped: Engine) -> None:
    assert shipped.answers(np.zeros(48_000, dtype=np.int16)).probabilities.max() < 0.05


@pytest.mark.parametrize("name", ["smoke-alarm-16k", "washer-melody-16k"])
def test_the_shipped_model_hears_real_beeps(
    shipped: Engine, recording: Recording, name: str
) -> None:
    threshold = load_bundle(find_bundle("beep")).info.thresholds["beep"]
    assert shipped.answers(recording(name)).probabilities.max() > threshold


def test_the_shipped_model_does_not_take_a_crying_child_for_a_beep(
    shipped: Engine, recording: Recording
) -> None:
    threshold = load_bundle(find_bundle("beep")).info.thresholds["beep"]
    assert shipped.answers(recording("baby-cry-16k")).probabilities.max() < threshold


@pytest.mark.parametrize(
    ("samples", "frames"), [(320, 1), (639, 1), (640, 2), (960, 3), (48_001, 150)]
)
def test_every_whole_frame_is_answered(shipped: Engine, samples: int, frames: int) -> None:
    assert shipped.answers(hiss(samples)).probabilities.shape == (frames, 1)


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(319, dtype=np.int16),
        np.zeros(48_000, dtype=np.float32),
        np.zeros((1, 48_000), dtype=np.int16),
    ],
    ids=["too short", "float", "two-dimensional"],
)
def test_what_is_no_sound_is_refused(shipped: Engine, pcm: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="expected int16"):
        shipped.answers(pcm)


def test_sound_that_cannot_be_written_is_heard_by_both(untrained: Path) -> None:
    """A message's bytes give a read-only array."""
    pcm = np.frombuffer(hiss(6_400).tobytes(), dtype="<i2")
    bundle = load_bundle(untrained)
    assert open_engine(bundle, "onnx").answers(pcm).probabilities.shape == (20, 2)
    assert open_engine(bundle, "torch").answers(pcm).probabilities.shape == (20, 2)


def test_a_windows_frames_with_history_and_context_are_those_of_the_whole_stream(
    shipped: Engine, recording: Recording
) -> None:
    pcm = np.concatenate([recording("washer-melody-16k"), hiss(32_000)])
    whole = shipped.answers(pcm).probabilities
    first = round(shipped.history_s / shipped.frame_s)
    last = 150 - round(shipped.context_s / shipped.frame_s)
    assert last - first >= 50, "a hop of 1 s must be answered exactly"
    for start in range(0, len(whole) - 150, 50):
        window = shipped.answers(pcm[start * 320 : (start + 150) * 320]).probabilities
        difference = window[first:last] - whole[start + first : start + last]
        assert np.abs(difference).max() < 1e-4


def test_no_frame_depends_on_sound_beyond_its_context(shipped: Engine) -> None:
    calm, loud = hiss(64_000), hiss(64_000)
    loud[48_000:] = hiss(16_000, seed=5, level=20_000)
    settled = round((3.0 - shipped.context_s) / shipped.frame_s)
    before, after = (shipped.answers(pcm).probabilities[:150] for pcm in (calm, loud))
    difference = before - after
    assert np.abs(difference[:settled]).max() < 1e-5
    assert np.abs(difference[settled:]).max() > 1e-6, "the context is said to be longer than it is"


@settings(max_examples=15)
@given(
    cuts=st.lists(st.integers(1, 30_000), max_size=12),
    stretch_s=st.sampled_from([0.04, 0.5, 1.0, 20.0]),
)
def test_how_a_long_recording_is_cut_does_not_matter(
    shipped: Engine, cuts: list[int], stretch_s: float
) -> None:
    pcm = hiss(16_000 * 6 + 123, seed=2)
    pcm[40_000:52_000] += (8_000 * np.sin(np.arange(12_000) * 1.2)).astype(np.int16)
    blocks = np.split(pcm, np.minimum(np.cumsum(cuts), len(pcm))) if cuts else [pcm]
    parts = list(answers_of_stream(shipped, blocks, stretch_s))
    joined = np.concatenate([part.probabilities for part in parts])
    assert joined.shape == (300, 1)
    assert np.abs(joined - shipped.answers(pcm).probabilities).max() < 1e-4


def test_a_stream_shorter_than_a_frame_has_no_answers(shipped: Engine) -> None:
    assert list(answers_of_stream(shipped, [hiss(300)])) == []


def test_the_sigmoid_does_not_overflow() -> None:
    logits = np.array([-1e4, 0.0, 1e4], dtype=np.float32)
    assert sigmoid(logits).tolist() == [0.0, 0.5, 1.0]


def test_an_onnx_session_has_one_thread_that_does_not_spin(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    seen: list[Any] = []
    real = onnxruntime.InferenceSession

    def spy(model: bytes, options: Any, **rest: Any) -> Any:  # noqa: ANN401 - passes all on
        seen.append(options)
        return real(model, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    open_engine(load_bundle(untrained))
    (options,) = seen
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


SILENT = """
import sys
from pathlib import Path
from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import open_engine

before = len(list(Path("/proc/self/task").iterdir()))
open_engine(load_bundle(Path(sys.argv[1])))
print(len(list(Path("/proc/self/task").iterdir())) - before)
"""


def test_onnx_runtime_reports_its_use_to_nobody(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default it writes a number for this device below HOME and starts a thread that reports."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    command = [sys.executable, "-c", SILENT, str(untrained)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0\n", "threads"
    assert list(tmp_path.rglob("*")) == []


WINDOWS = """
import sys
from pathlib import Path
import numpy as np
from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import open_engine

def own_kb():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

engine = open_engine(load_bundle(Path(sys.argv[1])))
sound = np.random.default_rng(1).normal(0, 1_000, 48_000).astype(np.int16)
held_kb = []
for windows in (10, 100):
    for _ in range(windows):
        engine.answers(sound)
    held_kb.append(own_kb())
print(held_kb[1] - held_kb[0])
"""


def test_after_the_first_windows_no_window_takes_more_memory(untrained: Path) -> None:
    """What ONNX Runtime keeps of one for the next does not grow."""
    command = [sys.executable, "-c", WINDOWS, str(untrained)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 512  # kB


def rewrite(directory: Path, **changed: Any) -> None:  # noqa: ANN401 - any field
    """Make the description true again after a file was exchanged."""
    path = directory / "bundle.json"
    info = msgspec.json.decode(path.read_bytes(), type=BundleInfo)
    files = {name: sha256_of(directory / name) for name in info.files}
    info = msgspec.structs.replace(info, files=files, model_id=files["model.onnx"][:12], **changed)
    path.write_bytes(msgspec.json.encode(info))


def test_a_graph_with_other_labels_than_the_bundle_is_refused(bundle_copy: Path) -> None:
    rewrite(bundle_copy, labels=("beep",), thresholds={"beep": 0.5})
    bundle = load_bundle(bundle_copy)
    with pytest.raises(ModelError, match=r"gives .*2.*; expected"):
        open_engine(bundle, "onnx")


def test_a_graph_with_another_input_is_refused(bundle_copy: Path) -> None:
    model = onnx.load(bundle_copy / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    (bundle_copy / "model.onnx").write_bytes(b"not a graph")
    rewrite(bundle_copy)
    with pytest.raises(ModelError, match="cannot open"):
        open_engine(load_bundle(bundle_copy), "onnx")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"architecture": "NoNet"}, "unknown architecture 'NoNet'"),
        ({"arguments": {"labels": 1}}, "does not fit ToneNet"),
        ({"arguments": {"colour": 1}}, "does not fit ToneNet"),
        ({"arguments": {"lowest_hz": 333.3}}, "does not fit ToneNet: bands from 333.3 Hz"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    bundle_copy: Path, changed: dict[str, Any], named: str
) -> None:
    rewrite(bundle_copy, **changed)
    with pytest.raises(ModelError, match=named):
        open_engine(load_bundle(bundle_copy), "torch")


def test_weights_that_are_cut_short_are_refused(bundle_copy: Path) -> None:
    weights = bundle_copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    rewrite(bundle_copy)
    with pytest.raises(ModelError, match="does not fit ToneNet"):
        open_engine(load_bundle(bundle_copy), "torch")


def test_the_onnx_engine_does_not_load_torch() -> None:
    program = (
        "import sys, numpy as np\n"
        "from beepwatch.classify.bundle import find_bundle, load_bundle\n"
        "from beepwatch.classify.engines import open_engine\n"
        "engine = open_engine(load_bundle(find_bundle('beep')))\n"
        "engine.answers(np.zeros(48000, dtype=np.int16)).probabilities\n"
        "print([name for name in ('torch', 'scipy', 'onnx') if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
