"""From a folder of recordings to a network that names new ones."""

import shutil
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beepwatch.capture.files import decode
from beepwatch.classify.recordings import (
    RecordingBundle,
    RecordingEngine,
    load_recording_bundle,
)
from beepwatch.cli import run_command_line
from beepwatch.errors import ConfigurationError, DiskFull, ModelError
from beepwatch.train.augment import to_int16
from beepwatch.train.classifier import (
    Classifier,
    Judgement,
    judge,
    train,
)
from beepwatch.train.datasets.loader import Blocks, StoredFeatures, UnusableFeatures
from beepwatch.train.display import Lines
from beepwatch.train.features import extract
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.stages import TooShort
from beepwatch.train.recording_networks import Network, NetworkRecipe
from beepwatch.train.recording_recipe import read_classifier_recipe
from tests.capture.sounds import write_wav
from tests.train.datasets.stores import WIDTH, recording, write_store
from tests.train.featuring.recipes import recipe as feature_recipe

RATE_HZ = 16_000
FEATURES = """
features = ["logmel", "rms"]
sound = {rate_hz = 16_000, channel = "mean"}
frames = {fft_samples = 512, window_samples = 400, hop_samples = 256, window = "hann", \
periodic = true, divided_by = "nothing", centred = true, padding = "zeros", precision = "single"}
mel = {bands = 8, lowest_hz = 60, highest_hz = 7_600, scale = "slaney", norm = "slaney", power = 2}
log = {base = 10, factor = 10, gain = 1, floor = 1e-10, floor_is = "least"}
normalisation = {kind = "none"}
"""
RECIPE = "[blocks]\ncontext = 16\nstep = 8\n[training]\nepochs = 4\n[network]\nchannels = [8, 8]\n"
SERVED = '[served]\nname = "tones"\nnormal = ["none"]\n'


def write_recording(path: Path, label: str, number: int) -> None:
    """1.5 s: a tone in noise, another pitch for each label; or noise alone."""
    rng = np.random.default_rng(number)
    time_s = np.arange(round(1.5 * RATE_HZ)) / RATE_HZ
    pitch_hz = {"low": 300, "high": 3_000, "none": 0}[label] * rng.uniform(0.95, 1.05)
    sound: NDArray[np.float64] = 0.2 * np.sin(2 * np.pi * pitch_hz * time_s)
    sound += rng.normal(0, 0.02, len(sound))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(to_int16(sound).tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data` with eight recordings of each of three labels, `store`, and `recipe.toml`."""
    directory = tmp_path_factory.mktemp("classifier")
    for number in range(24):
        label = ("low", "high", "none")[number % 3]
        write_recording(directory / "data" / label / f"{number}.wav", label, number)
    (directory / "features.toml").write_text(FEATURES, encoding="utf-8")
    extract(directory / "features.toml", directory / "data", directory / "store", workers=0)
    (directory / "recipe.toml").write_text(RECIPE + SERVED, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def trained(folder: Path) -> Judgement:
    """`model` in the folder, and how it was judged."""
    return train(folder / "recipe.toml", folder / "store", folder / "model")


def test_held_out_recordings_are_named(trained: Judgement) -> None:
    assert trained.labels == ("high", "low", "none")
    assert trained.accuracy == 1.0
    assert trained.recall == 1.0
    assert np.asarray(trained.recordings).sum(axis=1).tolist() == [2, 2, 2]  # of eight each


def test_a_new_recording_is_named(folder: Path, trained: Judgement, tmp_path: Path) -> None:
    classifier = Classifier(folder / "model")
    for number, label in enumerate(trained.labels, start=100):
        write_recording(tmp_path / "new.wav", label, number)
        heard = classifier.hear(tmp_path / "new.wav")
        assert max(heard, key=lambda name: heard[name]) == label
        assert sum(heard.values()) == pytest.approx(1.0)


def test_a_recording_that_is_shorter_than_a_frame_is_refused(
    folder: Path, trained: Judgement, tmp_path: Path
) -> None:
    """Where frames are not centred it has none; the weights do not matter for that."""
    del trained
    shutil.copytree(folder / "model", tmp_path, dirs_exist_ok=True)
    told = (tmp_path / "classifier.json").read_text(encoding="utf-8")
    bare = told.replace('"centred": true', '"centred": false').replace('"zeros"', '"nothing"')
    (tmp_path / "classifier.json").write_text(bare, encoding="utf-8")
    write_wav(tmp_path / "click.wav", np.full(100, 900, np.int16), RATE_HZ)
    with pytest.raises(TooShort, match=r"click\.wav has 100 samples, less than one frame"):
        Classifier(tmp_path).hear(tmp_path / "click.wav")


def test_what_is_kept_is_what_was_judged(folder: Path, trained: Judgement) -> None:
    """All of the store, with the weights and labels from the disk, is named by the best epoch's."""
    classifier = Classifier(folder / "model")
    assert classifier.description.judged == trained
    store = StoredFeatures(folder / "store")
    every = Blocks(store, np.arange(24), context=16, step=8, labels=classifier.description.labels)
    again = judge(classifier.network, every)
    assert np.trace(again.recordings) == 24


def test_the_same_recipe_and_store_give_the_same_weights(
    folder: Path, trained: Judgement, tmp_path: Path
) -> None:
    again = train(folder / "recipe.toml", folder / "store", tmp_path)
    assert again == trained
    for file in ("weights.safetensors", "classifier.json", "model.onnx", "bundle.json"):
        assert (tmp_path / file).read_bytes() == (folder / "model" / file).read_bytes()


# What is served


@pytest.fixture(scope="module")
def bundle(folder: Path, trained: Judgement) -> RecordingBundle:
    """What `beepwatch serve` opens."""
    del trained
    return load_recording_bundle(folder / "model")


def test_the_bundle_says_what_it_is(bundle: RecordingBundle, trained: Judgement) -> None:
    info = bundle.info
    assert (info.labels, info.normal) == (("high", "low", "none"), ("none",))
    assert (info.name, info.architecture) == ("tones", "plain")
    assert (info.block_frames, info.step_frames, info.centred) == (16, 8, True)
    assert info.quality["accuracy"] == trained.accuracy
    assert len(info.data_digest) == len(info.recipe_digest) == len(info.features_digest) == 64


def test_whoever_serves_it_may_read_all_of_it(folder: Path, bundle: RecordingBundle) -> None:
    modes = {name: (folder / "model" / name).stat().st_mode for name in bundle.info.files}
    assert set(modes.values()) == {(folder / "model" / "bundle.json").stat().st_mode}


@pytest.mark.parametrize("frames", [16, 24, 64])
def test_the_bundle_answers_as_what_was_trained(
    folder: Path, bundle: RecordingBundle, tmp_path: Path, frames: int
) -> None:
    """Of whole blocks, without torch's network and without the features' program."""
    classifier, engine = Classifier(folder / "model"), RecordingEngine(bundle)
    for label in ("high", "low", "none"):
        write_recording(tmp_path / "new.wav", label, frames)
        (sound,) = decode(tmp_path / "new.wav", RATE_HZ)
        pcm = sound[: (frames - 1) * 256]
        write_wav(tmp_path / "cut.wav", pcm, RATE_HZ)
        expected = list(classifier.hear(tmp_path / "cut.wav").values())
        heard = engine.hear([pcm])
        assert heard is not None
        assert heard.shares == pytest.approx(expected, abs=1e-4)


def told_by(recipe: str, store: Path, out: Path) -> list[str]:
    """What training says, epochs left out."""
    said: list[str] = []
    (out.parent / "recipe.toml").write_text(recipe, encoding="utf-8")
    train(out.parent / "recipe.toml", store, out, Lines(said.append))
    return [line for line in said if not line.startswith(("epoch", "step"))]


def test_without_a_label_of_what_is_well_it_is_said(folder: Path, tmp_path: Path) -> None:
    short = RECIPE.replace("epochs = 4", "epochs = 1")
    first, last = told_by(short, folder / "store", tmp_path / "out")
    assert first.startswith("none of its labels is among those of what is well, ['normal']")
    assert last == f"To ask it over HTTP: beepwatch serve --model {tmp_path / 'out'}"
    assert load_recording_bundle(tmp_path / "out").info.normal == ()


def test_features_that_cannot_be_within_a_network_leave_it_without_a_bundle(
    folder: Path, tmp_path: Path
) -> None:
    """Not with the one that was there, whose weights are others."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bundle.json").write_text("{}")
    features = FEATURES.replace('"rms"', '"zero_crossings"')
    (tmp_path / "features.toml").write_text(features, encoding="utf-8")
    extract(tmp_path / "features.toml", folder / "data", tmp_path / "store", workers=0)
    short = RECIPE.replace("epochs = 4", "epochs = 1")
    (line,) = told_by(short, tmp_path / "store", tmp_path / "out")
    assert line.startswith("it cannot be served, because it has no bundle: features has 'zero_c")
    assert not (tmp_path / "out" / "bundle.json").exists()
    assert Classifier(tmp_path / "out").description.columns == 9


def test_the_command_line_trains_and_shows_the_confusions(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(folder / "recipe.toml"), "--features", str(folder / "store")]
    assert run_command_line(["train", *arguments, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["high", "low", "none"]
    assert lines[-1].startswith("100.0% of the held-out recordings")
    assert Classifier(tmp_path / "out").description.columns == 9


def test_training_needs_something_to_learn_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["train", "recipe.toml"]) == 2
    assert "give --data DIR, or --features STORE" in capsys.readouterr().err


# Judging


def test_confusions_are_counted_by_block_and_by_recording(tmp_path: Path) -> None:
    """A network that says "b" from 10 on: of recording a's four blocks the last one."""
    write_store(tmp_path, [recording("a", 13, label="a"), recording("b", 6, label="b")])
    blocks = Blocks(StoredFeatures(tmp_path), np.arange(2), context=4, step=3)
    network = Network(WIDTH, 2, NetworkRecipe(channels=(1,), kernel_frames=1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        convolution, normalisation = network.layers[0], network.layers[1]
        assert isinstance(convolution, torch.nn.Conv1d)
        assert isinstance(normalisation, torch.nn.BatchNorm1d)
        convolution.weight[0, 0, 0] = 1  # the first column
        normalisation.weight.fill_(1)
        network.answer.weight.copy_(torch.tensor([[-1.0], [1.0]]))
        network.answer.bias.copy_(torch.tensor([10.0, -10.0]))
    found = judge(network, blocks, epoch=3)
    assert found.blocks == [[3, 1], [0, 1]]
    assert found.recordings == [[1, 0], [0, 1]]
    assert (found.accuracy, found.recall, found.epoch) == (1.0, 0.875, 3)
    assert found.table().splitlines()[1].split() == ["a", "1", "0"]


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 50])
def test_blocks_of_any_length_have_an_answer(frames: int) -> None:
    network = Network(3, 4, NetworkRecipe()).eval()
    assert network(torch.zeros(2, frames, 3)).shape == (2, 4)


# What cannot be followed


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "blocks is missing. Give it."),
        ("[blocks]\ncontext = 0\nstep = 1", "blocks.context is 0"),
        (RECIPE + "[held_out]\nshare = 1", "held_out.share is 1"),
        (RECIPE.replace("epochs", "epoch"), "Did you mean epochs"),
        ("[blocks", "is no TOML"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_told(
    tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        read_classifier_recipe(tmp_path / "recipe.toml")
    assert complaint in str(error.value)


def test_one_label_is_too_few(tmp_path: Path) -> None:
    write_store(tmp_path, [recording(str(n), 20) for n in range(4)])
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"has 1 label, .* Two labels are the least"):
        train(tmp_path / "recipe.toml", tmp_path, tmp_path / "out")


def test_rows_without_a_label_are_not_learnt_and_a_dev_split_judges(tmp_path: Path) -> None:
    rows = [
        recording("a", 20, label="a"),
        recording("b", 20, label="b"),
        recording("nameless", 20, label=""),
        recording("c", 20, label="a", split="dev"),
        recording("made", 20, label="a", split="dev", augmentation="x", parent="c"),
        recording("d", 20, label="b", split="test"),
    ]
    write_store(tmp_path, rows)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    told = {"recipe": msgspec.to_builtins(feature_recipe())}
    (tmp_path / "features.json").write_bytes(msgspec.json.encode(told))
    judged = train(tmp_path / "recipe.toml", tmp_path, tmp_path / "out")
    assert judged.labels == ("a", "b")
    assert sum(judged.recordings[0]) == 1
    assert sum(judged.recordings[1]) == 0


def test_what_is_no_store_and_what_is_no_classifier_is_told(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    with pytest.raises(UnusableFeatures, match=r"features\.npy cannot be read"):
        train(tmp_path / "recipe.toml", tmp_path, tmp_path / "out")
    with pytest.raises(ModelError, match="holds no classifier"):
        Classifier(tmp_path)


def test_damaged_weights_are_told(folder: Path, trained: Judgement, tmp_path: Path) -> None:
    del trained
    described = (folder / "model" / "classifier.json").read_bytes()
    (tmp_path / "classifier.json").write_bytes(described)
    (tmp_path / "weights.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelError, match="holds no classifier"):
        Classifier(tmp_path)


def test_an_out_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(DiskFull, match="out cannot be written"):
        train(folder / "recipe.toml", folder / "store", tmp_path / "out")


# What ships


@pytest.mark.parametrize(("name", "kind"), [("recipe", "residual"), ("reference", "image")])
def test_the_recipes_for_machines_can_be_followed(name: str, kind: str) -> None:
    """Each is shown three seconds at once, with the features that lie beside it."""
    directory = Path(__file__).parents[2] / "models" / "machine"
    plan = read_classifier_recipe(directory / f"{name}.toml")
    features = read_feature_recipe(directory / "features.toml")
    assert plan.network.kind == kind
    assert plan.report.leave_one_out == "device"
    frame_s = features.frames.hop_samples / features.sound.rate_hz
    assert plan.blocks.context * frame_s == pytest.approx(3.0, abs=0.02)
    assert [each.name for each in features.augment] == ["noise", "roll", "stretch"]
