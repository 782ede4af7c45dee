"""`beepwatch serve --model` with a network that names recordings, over HTTP."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.recordings import load_recording_bundle
from beepwatch.cli import run_command_line
from beepwatch.web.inference.ears.recordings import RecordingEar
from beepwatch.web.inference.ears.upload import said_of
from beepwatch.web.inference.recordings import Labelled
from beepwatch.web.inference.settings import Recordings
from tests.classify.loudness import LABELS, LIMIT, RATE_HZ, loudness_bundle
from tests.web.inference.program import ServingProgram, serving_program
from tests.web.inference.served import wav

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loudness_bundle(tmp_path_factory.mktemp("loudness"))


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProgram]:
    state = tmp_path_factory.mktemp("state")
    with serving_program(state, "--model", str(bundle), "--workers", "1") as running:
        yield running


def recording(*parts: tuple[float, float]) -> bytes:
    """Stretches of so many seconds of a level, full scale 1."""
    sound = [np.full(round(s * RATE_HZ), round(32_768 * level), np.int16) for s, level in parts]
    return wav(np.concatenate(sound))


def test_it_says_what_it_tells_apart(server: ServingProgram, bundle: Path) -> None:
    model_id = load_recording_bundle(bundle).info.model_id
    what = f"telling apart bearing, coil, normal, with the model loudness {model_id}"
    assert server.said.startswith(f"{what}: http://")
    assert server.ask("GET", "/").json["model"] == {
        "kind": "recordings",
        "id": model_id,
        "name": "loudness",
        "labels": list(LABELS),
        "thresholds": {},
        "normal": ["normal"],
    }


@pytest.mark.parametrize(("level", "label"), [(0.02, "normal"), (0.3, "bearing")])
def test_whatever_is_not_normal_is_an_anomaly(
    level: float, label: str, server: ServingProgram
) -> None:
    told = server.post(recording((5.0, level))).json
    assert told["Anomaly"] is (label != "normal")
    assert told["Details"]["Message"] == f"{label} (100 %)"
    expected = [float(one == label) for one in LABELS]
    assert told["Details"]["Probabilities"] == pytest.approx(expected, abs=1e-3)


def test_the_middle_is_halfway(server: ServingProgram) -> None:
    bearing, coil, normal = server.post(recording((5.0, LIMIT))).json["Details"]["Probabilities"]
    assert (bearing, coil, normal) == (pytest.approx(0.5, abs=0.02), 0, pytest.approx(1 - bearing))


def test_classify_tells_of_each_stretch(server: ServingProgram) -> None:
    """From 5 s on it is loud, which is not the most of the stretch from 4 s to 6 s."""
    told = server.post(recording((5.0, 0.01), (2.3, 0.15)), "/v1/classify").json
    assert set(told) == {
        *("model", "duration_s", "anomaly", "label", "probabilities", "windows", "problem")
    }
    assert (told["duration_s"], told["anomaly"], told["label"]) == (7.3, False, "normal")
    assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    likely = [max(LABELS, key=lambda x: one["probabilities"][x]) for one in told["windows"]]
    assert likely == ["normal"] * 5 + ["bearing"] * 2
    assert [one["start_s"] for one in told["windows"]] == pytest.approx(
        [0, 1, 2, 3, 4, 5, 5.3], abs=0.02
    )
    assert told["windows"][-1]["end_s"] == pytest.approx(7.3)


@pytest.mark.parametrize("seconds", [1 / RATE_HZ, 0.5, 1.99, 65.0])
def test_any_length_is_judged(seconds: float, server: ServingProgram) -> None:
    told = server.post(recording((seconds, 0.0)), "/v1/classify").json
    assert told["duration_s"] == pytest.approx(seconds, abs=0.001)
    assert told["windows"][-1]["end_s"] == pytest.approx(seconds, abs=0.021)
    assert told["label"] == "normal"


@pytest.mark.parametrize("content", [b"", b"Hello, this is no sound.\n" * 50])
def test_what_is_no_audio_is_400(content: bytes, server: ServingProgram) -> None:
    told = server.post(content)
    assert (told.status, list(told.json)) == (400, ["error"])


@pytest.mark.parametrize(
    ("normal", "anomaly"),
    [
        (["normal"], True),
        (["coil", "normal"], True),
        (["bearing", "normal"], False),
        ([], True),
    ],
)
def test_several_labels_of_what_is_well_count_together(
    normal: list[str], anomaly: bool, bundle: Path, tmp_path: Path
) -> None:
    """Just above the limit a bearing is likeliest."""
    path = tmp_path / "a.wav"
    path.write_bytes(recording((4.0, 0.101)))
    told = said_of(
        RecordingEar(Recordings(bundle=with_normal(bundle, tmp_path, normal))), path, in_full=False
    )
    assert isinstance(told, Labelled)
    assert (told.anomaly, told.label) == (anomaly, "bearing")


def test_the_name_is_the_likeliest_of_its_side(bundle: Path, tmp_path: Path) -> None:
    """Just below the limit normal is the likeliest label, whatever it means."""
    path = tmp_path / "a.wav"
    path.write_bytes(recording((4.0, 0.0995)))
    for normal, anomaly, label in ((["normal"], False, "normal"), (["coil"], True, "normal")):
        told = said_of(
            RecordingEar(Recordings(bundle=with_normal(bundle, tmp_path, normal))),
            path,
            in_full=False,
        )
        assert isinstance(told, Labelled)
        assert (told.anomaly, told.label) == (anomaly, label)


def with_normal(bundle: Path, directory: Path, normal: list[str]) -> str:
    """A copy in which those labels mean that all is well."""
    copy = Path(shutil.copytree(bundle, directory / "bundle", dirs_exist_ok=True))
    said = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(said | {"normal": normal}))
    return str(copy)


# What cannot be served


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of them."""
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_damaged_bundle_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = loudness_bundle(tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes()[:-1])
    assert run_command_line(["serve", "--port", "0", "--model", str(bundle)]) == 3
    assert "model.onnx has SHA-256" in complaint(capsys)


def test_the_daemon_does_not_listen_with_one(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEEPWATCH_MODEL__BUNDLE", str(bundle))
    assert run_command_line(["scan", str(bundle)]) == 3
    assert f"beepwatch serve --model {bundle}" in complaint(capsys)
