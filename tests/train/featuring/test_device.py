"""A device makes the rows that the processor makes, whatever it has beside them in a batch."""

import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from beepwatch.cli import run_command_line
from beepwatch.clock import ManualClock
from beepwatch.errors import ConfigurationError
from beepwatch.train import features
from beepwatch.train.featuring import batching, work
from beepwatch.train.featuring import device as on_device
from beepwatch.train.featuring.batching import Batches, DeviceError
from beepwatch.train.featuring.decoding import Decoders
from beepwatch.train.featuring.device import BatchTransform, blocks_of_batch
from beepwatch.train.featuring.recipe import FeatureRecipe
from beepwatch.train.featuring.spectra import BLOCK_FRAMES, Transform, blocks, column_names
from tests.train.featuring.conftest import hiss
from tests.train.featuring.decoders import dangerous
from tests.train.featuring.recipes import recipe
from tests.train.featuring.test_golden import DOUBLE, OF_HTK, OF_SLANEY

CLOSE = 1e-4
LATER = ManualClock(datetime(2100, 1, 1, tzinfo=UTC))
FILES = ("features.npy", "index.csv", "features.json")
Floats = NDArray[np.float32]

NO_DELTAS: dict[str, Any] = {"deltas": None}
SHAPE = {"power": 1.5, "bandwidth_order": 3, "rolloff_share": 0.5}
LOUD = {"notes": 24, "a4_hz": 442, "power": 1.5, "centre_octave": 4, "octave_width": 1}
KINDS: dict[str, FeatureRecipe] = {
    "all, as librosa": recipe(**OF_SLANEY | NO_DELTAS),
    "all, double": recipe(**OF_SLANEY | NO_DELTAS, frames=DOUBLE),
    "htk": recipe(**OF_HTK | NO_DELTAS),
    "log of a sum": recipe(log={"floor": 1, "floor_is": "added", "gain": 100, "base": 2}),
    "odd powers": recipe(
        features=["logmel", "centroid", "bandwidth", "rolloff", "chroma"],
        mel={"power": 1.3, "norm": "none"},
        shape=SHAPE,
        chroma={**LOUD, "norm": "sum"},
    ),
    "notes as they are": recipe(
        features=["chroma"], mel=None, log=None, chroma={**LOUD, "norm": "none"}
    ),
    "gaps between frames": recipe(
        features=["rms", "zero_crossings", "magnitude"],
        mel=None,
        log=None,
        frames={"hop_samples": 700, "window": "blackman", "divided_by": "root_energy"},
    ),
}


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where there is a GPU the same things hold on it."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    return torch.device("cpu" if request.param == "cpu" else "cuda:0")


@pytest.fixture(scope="module")
def sound() -> Floats:
    """Hiss that swells, with tones in it, silence of every kind, and a last block that is short."""
    at_s = np.arange(16_000 * 9) / 16_000
    samples = np.random.default_rng(1).normal(0, 0.02, len(at_s)) * (1.2 + np.sin(at_s))
    for pitch_hz in (440.0, 2_093.0, 3_085.0):
        samples += 0.1 * np.sin(2 * np.pi * pitch_hz * at_s) * (at_s % 1 < 0.5)
    samples[20_000:24_000] = 0
    return samples.astype(np.float32)


def by_processor(sound: Floats, of: FeatureRecipe) -> Floats:
    transform = Transform(of)
    return np.concatenate([transform.rows(block) for block in blocks([sound], of.frames)])


def differences(found: Floats, expected: Floats, of: FeatureRecipe) -> dict[str, float]:
    """Of each feature the largest one, relative where a value is above 1."""
    assert found.shape == expected.shape
    far: dict[str, float] = {}
    names = column_names(of)
    for name in of.features:
        columns = [each == name or each.rpartition("_")[0] == name for each in names]
        difference = np.abs(found - expected)[:, columns]
        if name == "phase":  # of what is there; that of nothing is anything
            heard = expected[:, [each.startswith("magnitude") for each in names]] > 1e-2
            difference = np.minimum(difference, 2 * np.pi - difference)[heard]
        else:
            difference /= np.maximum(np.abs(expected[:, columns]), 1)
        far[name] = float(difference.max())
    return far


@pytest.mark.parametrize("kind", KINDS)
def test_every_feature_is_that_of_the_processor(
    kind: str, device: torch.device, sound: Floats
) -> None:
    of = KINDS[kind]
    batches = Batches(of, device)
    try:
        found = np.concatenate(list(batches.rows(blocks([sound], of.frames))))
    finally:
        batches.close()
    far = differences(found, by_processor(sound, of), of)
    assert {name: off for name, off in far.items() if off > CLOSE} == {}


def test_beside_a_loud_pure_tone_double_precision_is_right_too(device: torch.device) -> None:
    of = recipe(**OF_SLANEY | NO_DELTAS, frames=DOUBLE)
    tone = (0.9 * np.sin(2 * np.pi * 1_000 / 16_000 * np.arange(20_000))).astype(np.float32)
    batches = Batches(of, device)
    try:
        found = np.concatenate(list(batches.rows(blocks([tone], of.frames))))
    finally:
        batches.close()
    far = differences(found, by_processor(tone, of), of)
    assert far["logmel"] < CLOSE
    assert far["mfcc"] < CLOSE


def test_rows_do_not_depend_on_what_shares_their_batch(device: torch.device, sound: Floats) -> None:
    """Bit by bit: alone, at another place, among others."""
    of = recipe(**OF_SLANEY | NO_DELTAS)
    transform = BatchTransform(of, device)
    block = torch.from_numpy(next(iter(blocks([sound], of.frames))).copy())
    many = blocks_of_batch(of)
    alone = torch.zeros((many, transform.samples))
    alone[0] = block
    among = torch.randn((many, transform.samples), generator=torch.Generator().manual_seed(1))
    among[many - 2] = block
    one = transform.rows(alone.to(device))[0]
    assert one.shape == (BLOCK_FRAMES, transform.columns)
    assert torch.equal(one, transform.rows(among.to(device))[many - 2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_no_more_memory_of_the_device_is_taken_than_may_be(sound: Floats) -> None:
    for precision in ("single", "double"):
        of = recipe(**OF_SLANEY | NO_DELTAS, frames={"precision": precision, "fft_samples": 8_192})
        torch.cuda.reset_peak_memory_stats()
        batches = Batches(of, torch.device("cuda:0"))
        list(batches.rows(blocks([sound], of.frames)))
        batches.close()
        assert torch.cuda.max_memory_allocated() <= on_device.MEMORY_BYTES


def test_a_batch_is_as_large_as_the_memory_allows() -> None:
    """40 MB a block of 8,192 samples in single precision and 58 in double, of 1,074 MB."""
    assert blocks_of_batch(recipe()) == 32
    large = {"fft_samples": 8_192, "window_samples": 8_192}
    assert blocks_of_batch(recipe(frames=large)) == 24
    assert blocks_of_batch(recipe(frames={**large, "precision": "double"})) == 17
    assert blocks_of_batch(recipe(frames={"fft_samples": 1 << 20})) == 0


def extract(recipe_file: Path, data: Path, out: Path, **how: Any) -> features.Outcome:  # noqa: ANN401
    return features.extract(recipe_file, data, out, clock=LATER, **how)


def stored(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


@pytest.fixture
def more(data: Path) -> Path:
    """Short recordings and one of several batches; two are the same."""
    for number in range(30):
        hiss(data / f"more/{number:02}.wav", 100 + number % 29, samples=3_000 + 500 * number)
    hiss(data / "more/long.flac", 7, samples=40 * BLOCK_FRAMES * 256)
    paths = sorted(file.name for file in (data / "more").iterdir())
    with (data / "dataset.csv").open("a") as table:
        table.writelines(f"more/{path},more,train\n" for path in paths)
    return data


def test_a_store_is_the_same_for_any_order_and_number_of_decoders(
    augmented_file: Path, more: Path, tmp_path: Path
) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    outcome = extract(augmented_file, more, one, device="torch:cpu", workers=1)
    assert outcome.problems == ()
    (more / "wash/e.flac").rename(more / "e.flac")
    extract(augmented_file, more, many, device="torch:cpu", workers=4)
    (more / "e.flac").rename(more / "wash/e.flac")
    assert extract(augmented_file, more, many, device="torch:cpu", workers=4).made == 1
    assert stored(many) == stored(one)


def test_a_device_is_told_and_what_another_made_is_not_mixed_with_its_rows(
    recipe_file: Path, more: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = extract(recipe_file, more, out).made
    by_processor = np.load(out / "features.npy")
    before = json.loads((out / "features.json").read_text())
    assert before["device"] == "cpu"
    assert extract(recipe_file, more, out, device="torch:cpu").made == made
    after = json.loads((out / "features.json").read_text())
    assert after["device"] == f"cpu by torch {torch.__version__}"
    assert after["recipe_sha256"] == before["recipe_sha256"]
    found = np.load(out / "features.npy")
    assert np.abs(found - by_processor).max() / np.abs(by_processor).max() < CLOSE
    assert extract(recipe_file, more, out, device="torch:cpu").written is False


def test_what_cannot_be_read_costs_one_line_and_no_other_recording(
    recipe_file: Path, more: Path, tmp_path: Path
) -> None:
    whole = (more / "more/long.flac").read_bytes()
    (more / "more/long.flac").write_bytes(whole[: len(whole) // 2])
    (more / "beep/a.wav").unlink()
    outcome = extract(recipe_file, more, tmp_path / "out", device="torch:cpu", workers=2)
    assert [line.partition("data/")[2][:14] for line in outcome.problems] == [
        *("beep/a.wav can", "more/long.flac"),
    ]
    assert outcome.recordings == 35


@pytest.mark.parametrize("workers", [1, 3])
def test_what_kills_its_decoder_is_named_and_the_run_goes_on(
    workers: int,
    recipe_file: Path,
    more: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What two have died on; one that died for another reason is tried again."""
    whole = tmp_path / "whole"
    for name in ("deadly", "once", "bug"):
        hiss(more / f"more/{name}.wav", 3, samples=30_000)
    table = (more / "dataset.csv").read_text()
    (more / "dataset.csv").write_text(table + "more/once.wav,more,train\n")
    extract(recipe_file, more, whole, device="torch:cpu")
    (more / "dataset.csv").write_text(
        table + "".join(f"more/{name}.wav,more,train\n" for name in ("bug", "deadly", "once"))
    )
    monkeypatch.setattr(batching, "Decoders", partial(Decoders, serve=dangerous))
    out = tmp_path / "out"
    outcome = extract(recipe_file, more, out, device="torch:cpu", workers=workers)
    bug, deadly = outcome.problems
    assert bug.endswith("more/bug.wav: ZeroDivisionError: a frame of no length.")
    assert deadly == (
        "more/deadly.wav: 2 decoders died on it: ended by SIGSEGV. "
        "Leave it out, or report it with --debug."
    )
    assert (more / "more/once.tried").exists()
    assert (out / "features.npy").read_bytes() == (whole / "features.npy").read_bytes()
    assert (out / "index.csv").read_bytes() == (whole / "index.csv").read_bytes()


def test_a_run_that_is_given_up_leaves_no_decoder_behind(
    recipe_file: Path, more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(batches=1)
    monkeypatch.setattr(BatchTransform, "rows", lambda self, samples: failing.rows(self, samples))
    with pytest.raises(DeviceError):
        extract(recipe_file, more, tmp_path / "out", device="torch:cpu", workers=2)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("error", [ValueError, RuntimeError, MemoryError])
def test_what_nobody_foresaw_of_a_recording_costs_one_line_as_on_the_processor(
    error: type[Exception],
    recipe_file: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it is worked on beside the device, behind its decoder."""

    def worked_on(rows: object, opened: object, plan: object, job: work.Job, file: object) -> Any:  # noqa: ANN401
        if job.path == "beep/b.wav":
            raise error("a bug of\nsome library")
        return on_it(rows, opened, plan, job, file)

    on_it: Callable[..., Any] = work._worked_on
    monkeypatch.setattr(work, "_worked_on", worked_on)
    by_processor = extract(recipe_file, data, tmp_path / "processor", workers=0)
    by_device = extract(recipe_file, data, tmp_path / "device", device="torch:cpu", workers=2)
    assert by_device.problems == by_processor.problems
    assert by_device.problems == (
        f"beep/b.wav: {error.__name__}: a bug of some library. "
        "Leave it out, or report it with --debug.",
    )
    assert by_device.recordings == by_processor.recordings == 5


class Failing:
    """A device that is lost after so many batches."""

    def __init__(self, batches: int, error: type[Exception] = RuntimeError) -> None:
        self.left = batches
        self._error = error
        self._rows = BatchTransform.rows

    def rows(self, transform: BatchTransform, samples: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise self._error("CUDA error: unspecified launch failure\nmore of it")
        return self._rows(transform, samples)


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_device_that_is_lost_ends_the_run_and_what_is_made_is_kept(
    error: type[Exception],
    recipe_file: Path,
    more: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it says of it: nobody waits for rows that never come."""
    out = tmp_path / "out"
    failing = Failing(batches=3, error=error)
    with monkeypatch.context() as lost:
        lost.setattr(BatchTransform, "rows", lambda self, samples: failing.rows(self, samples))
        with pytest.raises(DeviceError, match=r"unspecified launch failure. Run this again"):
            extract(recipe_file, more, out, device="torch:cpu")
    made = extract(recipe_file, more, out, device="torch:cpu").made
    assert 0 < made < 37


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return iter(())


def by_verb(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run_command_line(["dataset", "features", *words]) == 0
    return [line for line in capsys.readouterr().err.splitlines() if "beepwatch:" in line]


@pytest.mark.usefixtures("without_gpu")
def test_without_a_gpu_the_processor_does_it_and_one_line_says_so(
    recipe_file: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(recipe_file), "--data", str(data), "--workers", "0", "--out"]
    assert by_verb([*words, str(tmp_path / "cpu")], capsys) == []
    assert by_verb([*words, str(tmp_path / "cuda"), "--device", "cuda"], capsys) == [
        f"beepwatch: --device cuda is not used, the processor is: torch {torch.__version__} "
        "finds no GPU here."
    ]
    assert stored(tmp_path / "cuda") == stored(tmp_path / "cpu")


def test_without_torch_too(
    recipe_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    said: list[str] = []
    extract(recipe_file, data, tmp_path / "out", device="cuda", say=said.append)
    assert said == [
        "--device cuda is not used, the processor is: torch is not installed; "
        "pip install 'beepwatch[train]'."
    ]


def test_frames_that_no_device_has_room_for_are_the_processors(
    recipe_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "MEMORY_BYTES", 1_000_000)
    said: list[str] = []
    extract(recipe_file, data, tmp_path / "out", device="torch:cpu", say=said.append)
    assert len(said) == 1
    assert "frames of 512 samples are too large for it" in said[0]


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1"])
def test_what_is_no_device_is_refused(
    name: str, recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="give cpu, cuda"):
        extract(recipe_file, data, tmp_path / "out", device=name)
    with pytest.raises(ConfigurationError, match="exclude one another"):
        extract(recipe_file, data, tmp_path / "out", device="cuda", cluster="tcp://127.0.0.1:1")
