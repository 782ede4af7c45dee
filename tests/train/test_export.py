"""What is exported answers as what was trained, is small and tells nothing of the machine."""

import getpass
import re
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from beepwatch.classify.bundle import BundleInfo, TrainingData, load_bundle
from beepwatch.classify.engines import OUTPUTS
from beepwatch.train.checkpoints import build
from beepwatch.train.dataset import data_digest, read_manifest
from beepwatch.train.export import parameter_count, training_data, write_bundle, write_description
from beepwatch.train.networks import ToneNet
from beepwatch.train.recipe import read_recipe

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "models" / "beep" / "recipe.toml"


@pytest.fixture(scope="module")
def network() -> ToneNet:
    """The shipped recipe's network, untrained, its normalisations as after some training."""
    network = build(read_recipe(RECIPE)[0])
    network.train()
    with torch.no_grad():
        for seed in range(4):
            log, steady = network.spectra(torch.from_numpy(room(seed, 3.0))[None])
            network.by_band(network.pictures(log, network.recent(log), steady))
    return network.eval()


@pytest.fixture(scope="module")
def bundle(network: ToneNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    recipe, digest = read_recipe(RECIPE)
    write_bundle(
        out,
        network,
        recipe=recipe,
        recipe_digest=digest,
        data=TrainingData(digest="0" * 64, licences={"CC0": 1}),
        thresholds={"beep": 0.5},
        quality={},
    )
    return out


def room(seed: int, length_s: float) -> NDArray[np.int16]:
    """Noise with beeps at a pitch of their own, int16 [samples], whole steps."""
    rng = np.random.default_rng(seed)
    samples = round(length_s * 25) * 640
    time_s = np.arange(samples) / 16_000
    sound = rng.normal(0, 10 ** rng.uniform(0.5, 3), samples)
    sound += 5_000 * (time_s % 0.6 > 0.4) * np.sin(2 * np.pi * rng.uniform(450, 6_000) * time_s)
    return np.clip(sound, -32_768, 32_767).astype(np.int16)


@pytest.mark.parametrize("length_s", [0.04, 0.6, 3.0, 20.0])
def test_the_graph_answers_as_the_network(network: ToneNet, bundle: Path, length_s: float) -> None:
    pcm = np.stack([room(7, length_s)])
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    logits, pitch_hz, embedding = session.run(list(OUTPUTS), {"pcm": pcm})
    with torch.inference_mode():
        expected_logits, expected_pitch_hz, expected = network(torch.from_numpy(pcm))
    assert logits.shape == (1, pcm.shape[1] // 320, 1)
    assert np.abs(logits - expected_logits.numpy()).max() < 1e-4
    # Where two bands are as convinced, rounding chooses; elsewhere it is the same pitch.
    off_hz = np.abs(pitch_hz - expected_pitch_hz.numpy())
    assert (off_hz < 0.5).mean() > 0.95
    off = np.abs(embedding - expected.numpy())
    assert off[..., :64].max() < 1e-3  # logits and energies
    assert (off[..., 64:].max(axis=2) < 1e-3).mean() > 0.95  # of the most convinced band


@pytest.mark.parametrize("fill", [0, 32_767, -32_768])
def test_the_graph_answers_extremes_with_numbers(bundle: Path, fill: int) -> None:
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    for answers in session.run(None, {"pcm": np.full((1, 6_400), fill, np.int16)}):
        assert np.isfinite(answers).all()


def test_the_shipped_recipe_stays_within_its_limits(network: ToneNet, bundle: Path) -> None:
    assert parameter_count(network) <= 150_000
    assert load_bundle(bundle).info.parameters == parameter_count(network)
    assert sum(path.stat().st_size for path in bundle.iterdir()) <= 1_000_000


def test_the_same_weights_give_the_same_bytes(
    network: ToneNet, bundle: Path, tmp_path: Path
) -> None:
    recipe, digest = read_recipe(RECIPE)
    info = load_bundle(bundle).info
    write_bundle(
        tmp_path,
        network,
        recipe=recipe,
        recipe_digest=digest,
        data=info.data,
        thresholds=info.thresholds,
        quality=info.quality,
    )
    for name in ("model.onnx", "weights.safetensors", "bundle.json"):
        assert (tmp_path / name).read_bytes() == (bundle / name).read_bytes()


def test_the_graph_tells_nothing_of_the_machine_that_trained(bundle: Path) -> None:
    content = (bundle / "model.onnx").read_bytes()
    assert not re.search(rb"\.py\b|site-packages|/home/|/root/|/work/", content)
    assert str(ROOT).encode() not in content
    assert getpass.getuser().encode() + b"/" not in content
    graph = onnx.load(bundle / "model.onnx").graph
    assert not any(node.metadata_props or node.doc_string for node in graph.node)


def test_whoever_may_read_the_description_may_read_the_weights(bundle: Path) -> None:
    """The daemon is often another user than the one who trained."""
    modes = {path.name: path.stat().st_mode for path in bundle.iterdir()}
    assert set(modes.values()) == {modes["bundle.json"]}


def test_a_description_may_be_written_anew(bundle: Path, tmp_path: Path) -> None:
    """As when thresholds are found after the graph was written."""
    info = load_bundle(bundle).info
    changed = msgspec.structs.replace(info, thresholds={"beep": 0.75}, quality={"dev_hours": 1.5})
    write_description(tmp_path, changed)
    found = msgspec.json.decode((tmp_path / "bundle.json").read_bytes(), type=BundleInfo)
    assert found == changed


def test_provenance_counts_the_files_of_each_licence(data: Path) -> None:
    used = [one for one in read_manifest(data) if one.split == "train"]
    found = training_data(data, used)
    assert found.licences == {"CC0": 4, "unknown": 1}
    assert found.digest == data_digest(data, used)
