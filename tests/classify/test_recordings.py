"""Recordings are named by blocks of them, whatever their length and however they come."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists
from numpy.typing import NDArray

from beepwatch.classify.bundle import is_of_recordings, load_bundle
from beepwatch.classify.recordings import RecordingEngine, load_recording_bundle
from beepwatch.errors import ModelError
from tests.classify.loudness import BLOCK_S, LABELS, RATE_HZ, STEP_S, loudness_bundle

LOUD, SOFT = 8_000, 100


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written into."""
    return loudness_bundle(tmp_path_factory.mktemp("loudness"))


@pytest.fixture(scope="module")
def engine(bundle: Path) -> RecordingEngine:
    return RecordingEngine(load_recording_bundle(bundle))


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """One that a test may spoil."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


def sound(*parts: tuple[float, int]) -> NDArray[np.int16]:
    """Stretches of so many seconds with a sample's size."""
    return np.concatenate([np.full(round(s * RATE_HZ), size, np.int16) for s, size in parts])


def named(engine: RecordingEngine, *pieces: NDArray[np.int16]) -> str:
    heard = engine.hear(pieces)
    assert heard is not None
    assert heard.shares.sum() == pytest.approx(1)
    return LABELS[int(heard.shares.argmax())]


def test_the_name_is_that_of_most_of_the_blocks(engine: RecordingEngine) -> None:
    assert named(engine, sound((5, SOFT))) == "normal"
    assert named(engine, sound((5, LOUD))) == "bearing"
    assert named(engine, sound((9, SOFT), (1, LOUD))) == "normal"


@pytest.mark.parametrize("length_s", [0.001, 0.02, 0.5, BLOCK_S - 0.02])
def test_what_is_shorter_than_a_block_is_judged_as_it_is(
    length_s: float, engine: RecordingEngine
) -> None:
    """No silence is added but to the only frame: it would be soft, and be normal."""
    heard = engine.hear([sound((length_s, LOUD))])
    assert heard is not None
    (block,) = heard.blocks
    assert block.start_s == 0
    assert block.end_s == pytest.approx(length_s, abs=1e-4)
    if length_s > 0.02:
        assert LABELS[int(block.shares.argmax())] == "bearing"


def test_blocks_lie_a_step_apart_and_the_last_one_at_the_end(engine: RecordingEngine) -> None:
    """Of what is loud, half a second is in no block that lies a whole step from another."""
    heard = engine.hear([sound((4.5, SOFT), (1.0, 20_000))])
    assert heard is not None
    starts = [block.start_s for block in heard.blocks]
    assert starts == pytest.approx([0, 1, 2, 3, 3.5], abs=0.02)
    assert [block.end_s for block in heard.blocks] == pytest.approx([2, 3, 4, 5, 5.5], abs=0.021)
    assert LABELS[int(heard.blocks[-1].shares.argmax())] == "bearing"
    assert {LABELS[int(block.shares.argmax())] for block in heard.blocks[:-2]} == {"normal"}


def test_without_a_sample_there_is_no_name(engine: RecordingEngine) -> None:
    assert engine.hear([]) is None
    assert engine.hear([np.zeros(0, np.int16)]) is None


@given(cuts=lists(integers(1, 40_000), max_size=12))
@settings(max_examples=30, deadline=None)
def test_how_the_sound_is_cut_does_not_matter(engine: RecordingEngine, cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    whole = rng.integers(-5_000, 5_000, round(7.3 * RATE_HZ)).astype(np.int16)
    pieces = np.split(whole, np.clip(np.cumsum(cuts), 0, len(whole)))
    at_once, cut = engine.hear([whole]), engine.hear(pieces)
    assert at_once is not None
    assert cut is not None
    np.testing.assert_array_equal(at_once.shares, cut.shares)
    assert [one.start_s for one in at_once.blocks] == [one.start_s for one in cut.blocks]
    assert len(at_once.blocks) == round((7.3 - BLOCK_S) / STEP_S + 1.5)


# What is no such bundle


def lie(directory: Path, **changed: Any) -> None:  # noqa: ANN401 - any JSON value may be the lie
    path = directory / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"labels": []}, "labels"),
        ({"labels": ["coil", "coil", "normal"]}, "labels"),
        ({"normal": ["quiet"]}, "normal ['quiet'] must be some of labels"),
        ({"rate_hz": 4_000}, "rate_hz is 4000"),
        ({"hop_samples": 0}, "hop_samples is 0"),
        ({"block_frames": 1_000_000}, "block_frames is 1000000"),
        ({"block_frames": 900_000}, "a block has 288000000 samples"),
        ({"model_id": "0" * 12}, "model_id 000000000000"),
        ({"files": {"model.onnx": "0" * 64}}, "lists files"),
        ({"format": 99}, "format 99"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_description_that_lies_is_refused(
    copy: Path, changed: dict[str, Any], named: str
) -> None:
    lie(copy, **changed)
    with pytest.raises(ModelError) as error:
        load_recording_bundle(copy)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors"])
def test_a_changed_byte_is_found(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[-1] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} has SHA-256"):
        load_recording_bundle(copy)


def test_a_graph_of_another_number_of_labels_is_refused(copy: Path) -> None:
    lie(copy, labels=["bearing", "normal"])
    with pytest.raises(ModelError, match=r"gives .* expected"):
        RecordingEngine(load_recording_bundle(copy))


def test_a_graph_that_is_none_is_refused(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"no graph at all")
    digest = hashlib.sha256(b"no graph at all").hexdigest()
    files = json.loads((copy / "bundle.json").read_text())["files"]
    lie(copy, files=files | {"model.onnx": digest}, model_id=digest[:12])
    with pytest.raises(ModelError, match="cannot open"):
        RecordingEngine(load_recording_bundle(copy))


def test_who_wants_to_hear_sounds_with_it_is_told_what_it_is_for(bundle: Path) -> None:
    assert is_of_recordings(bundle)
    with pytest.raises(ModelError, match=f"beepwatch serve --model {bundle}"):
        load_bundle(bundle)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"kind": 7}', b'{"kind": "else"}'])
def test_what_says_nothing_of_recordings_is_not_of_them(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bundle.json").write_bytes(content)
    assert not is_of_recordings(tmp_path)
    assert not is_of_recordings(tmp_path / "nowhere")
