"""A bundle that tells one lie is refused, in one line that names the lie."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.errors import ModelError


def lie(directory: Path, **changed: Any) -> None:  # noqa: ANN401 - any JSON value may be the lie
    """Change some of what bundle.json says."""
    path = directory / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def refusal(directory: Path) -> str:
    """The one line with which a bundle is refused."""
    with pytest.raises(ModelError) as caught:
        load_bundle(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_honest_bundle_loads(untrained: Path) -> None:
    info = load_bundle(untrained).info
    assert info.labels == ("beep", "spin")
    assert (info.rate_hz, info.frame_s, info.frame_samples) == (16_000, 0.02, 320)
    assert info.thresholds == {"beep": 0.5, "spin": 0.7}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"labels": []}, "labels"),
        ({"labels": ["beep", "beep"]}, "labels"),
        ({"thresholds": {"beep": 0.5}}, "thresholds"),
        ({"thresholds": {"beep": 0.5, "spin": 1.0}}, "threshold of 'spin' is 1.0"),
        ({"thresholds": {"beep": 0.0, "spin": 0.5}}, "threshold of 'beep' is 0.0"),
        ({"rate_hz": 4_000}, "rate_hz is 4000"),
        ({"frame_s": 0.04003}, "no whole number of samples"),
        ({"frame_s": 0.0}, "no whole number of samples"),
        ({"window_s": 0.01}, "window_s is 0.01"),
        ({"context_s": 3.0}, "context_s is 3.0"),
        ({"history_s": -1.0}, "history_s is -1.0"),
        ({"files": {"model.onnx": "0" * 64}}, "lists files"),
        ({"model_id": "0" * 12}, "model_id 000000000000"),
        ({"parameters": 7}, "expected 7"),
        ({"format": 99}, "format 99"),
        ({"labels": "beep"}, "labels"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_description_that_lies_is_refused(
    bundle_copy: Path, changed: dict[str, Any], named: str
) -> None:
    lie(bundle_copy, **changed)
    assert named in refusal(bundle_copy)


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors"])
def test_a_changed_byte_is_found(bundle_copy: Path, name: str) -> None:
    content = bytearray((bundle_copy / name).read_bytes())
    content[-1] ^= 1
    (bundle_copy / name).write_bytes(content)
    assert f"{name} has SHA-256" in refusal(bundle_copy)


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors"])
def test_a_missing_file_is_named(bundle_copy: Path, name: str) -> None:
    (bundle_copy / name).unlink()
    assert f"cannot read {name}" in refusal(bundle_copy)


def test_weights_that_are_no_safetensors_are_refused(bundle_copy: Path) -> None:
    import hashlib

    junk = b"\x80\x04junk that a pickle might begin with"
    (bundle_copy / "weights.safetensors").write_bytes(junk)
    files = json.loads((bundle_copy / "bundle.json").read_text())["files"]
    files["weights.safetensors"] = hashlib.sha256(junk).hexdigest()
    lie(bundle_copy, files=files)
    assert "holds None parameters" in refusal(bundle_copy)


def test_a_directory_without_description_is_refused(tmp_path: Path) -> None:
    assert "bundle.json" in refusal(tmp_path)


def test_a_description_that_is_no_json_is_refused(bundle_copy: Path) -> None:
    (bundle_copy / "bundle.json").write_bytes(b"\xff\xfe")
    assert "no bundle description" in refusal(bundle_copy)


def test_a_directory_is_found_as_given(untrained: Path) -> None:
    assert find_bundle(str(untrained)) == untrained


def test_a_folder_of_clips_is_not_taken_for_the_shipped_model(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data sets have folders by label. Who means a directory here says so."""
    shipped = find_bundle("beep")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(untrained, "beep")
    assert find_bundle("beep") == shipped
    assert find_bundle("./beep") == Path("beep")


def test_the_shipped_model_is_found_by_name_and_holds() -> None:
    info = load_bundle(find_bundle("beep")).info
    assert info.name == "beep"
    assert info.labels == ("beep",)
    assert info.parameters < 150_000


def test_the_shipped_bundle_is_under_a_megabyte() -> None:
    info = load_bundle(find_bundle("beep")).info
    assert sum((find_bundle("beep") / name).stat().st_size for name in info.files) < 1_000_000


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"no model bundle 'boop'.*'beep'"):
        find_bundle("boop")


@pytest.mark.parametrize("given", ["~nobody-of-that-name/model", "x" * 300])
def test_what_can_be_no_directory_is_an_unknown_name(given: str) -> None:
    with pytest.raises(ModelError, match=r"no model bundle '.*'beep'"):
        find_bundle(given)
