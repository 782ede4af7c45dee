"""Recordings that had no say: each machine left out once, and some drawn at random."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.cli import run_command_line
from beepwatch.errors import ConfigurationError
from beepwatch.train.classifier import Judgement
from beepwatch.train.judged_apart import Apart, Report, check, judge_apart
from tests.train.datasets.stores import recording, write_index
from tests.train.featuring.recipes import recipe as feature_recipe

FRAMES = 8
MACHINES = ("a", "b", "c")
RECIPE = """
[blocks]
context = 8
step = 8
[held_out]
by = ["device"]
[network]
channels = [8]
kernel_frames = 3
dropout = 0
[training]
epochs = 6
batch_blocks = 8
learning_rate = 0.02
[report]
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Machines a and b have their fault in the first column; in c it is the other way round."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    frames = []
    for machine in MACHINES:
        for number in range(12):
            label = ("normal", "worn")[number % 2]
            high = (label == "worn") != (machine == "c")
            rows.append(
                recording(f"{machine}{number}", FRAMES, label=label, device=machine)
                | {"first_frame": FRAMES * len(rows)}
            )
            frames.append(rng.normal((2.0 if high else -2.0, 0.0), 0.3, (FRAMES, 2)))
    rows.append(recording("alone", FRAMES, label="bent", device="a") | {"first_frame": 0})
    rows.append(recording("tested", FRAMES, device="d", split="test") | {"first_frame": 0})
    np.save(tmp_path / "features.npy", np.concatenate(frames).astype(np.float32))
    write_index(tmp_path, rows)
    told = {"recipe": msgspec.to_builtins(feature_recipe())}
    (tmp_path / "features.json").write_bytes(msgspec.json.encode(told))
    return tmp_path


def report_of(store: Path, wanted: str) -> Report | None:
    (store / "recipe.toml").write_text(RECIPE + wanted, encoding="utf-8")
    return judge_apart(store / "recipe.toml", store, store)


def test_a_machine_that_was_left_out_had_no_say(store: Path) -> None:
    """Whoever has never heard c takes everything of it for the opposite; of a and b one teaches."""
    report = report_of(store, 'leave_one_out = "device"')
    assert report is not None
    assert report.together is not None
    found = {one.left_out: one for one in report.each}
    assert sorted(found) == ["a", "b", "c"]  # nothing of the split test
    assert found["c"].judged.accuracy == 0.0
    assert (found["c"].learnt, found["c"].strangers) == (25, 0)
    assert found["a"].strangers == 1  # bent, which only a is
    assert np.sum(report.together.recordings) == 36
    assert report.random is None
    assert report.lines()[0] == "each device left out once (3):"
    assert "worst: 0.0% of c" in report.lines()[2]
    assert json.loads((store / "judged.json").read_bytes())["column"] == "device"
    assert (store / "confusions.png").read_bytes().startswith(b"\x89PNG")


def test_with_no_column_and_no_share_nothing_is_trained(store: Path) -> None:
    assert report_of(store, "") is None
    assert not (store / "judged.json").exists()


def test_a_column_with_one_value_cannot_be_left_out(store: Path) -> None:
    wanted = 'leave_one_out = "session"'
    with pytest.raises(
        ConfigurationError, match=r"leave_one_out is 'session', of which .* no values"
    ):
        report_of(store, wanted)
    with pytest.raises(ConfigurationError, match=r"Fill that column, or empty the key"):
        check(store / "recipe.toml", store)


def test_the_figures_are_those_of_all_together() -> None:
    """Of four recordings one is wrong: F1 of a is 4/5, of b 2/3."""
    judged = Judgement(labels=("a", "b"), epoch=1, loss=0.1, blocks=[], recordings=[[2, 0], [1, 1]])
    assert judged.accuracy == 0.75
    assert judged.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    one = Apart(left_out="drawn at random", learnt=3, strangers=2, judged=judged)
    lines = Report(column="", each=(), together=None, random=one).lines()
    assert lines[-2:] == [
        "75.0% of the recordings, macro F1 0.733",
        "2 were left aside: nothing else has their label",
    ]


def test_the_command_line_reports_both(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = store / "recipe.toml"
    text = RECIPE.replace("epochs = 6", "epochs = 1")
    recipe.write_text(text + 'leave_one_out = "device"\nrandom_share = 0.3', encoding="utf-8")
    words = ["train", str(recipe), "--features", str(store), "--out", str(store / "model")]
    assert run_command_line(words) == 0
    said = capsys.readouterr().out
    assert said.index("each device left out once (3):") < said.index("recordings drawn at random")
    assert {path.name for path in (store / "model").iterdir()} == {
        *("classifier.json", "confusions.png", "judged.json", "weights.safetensors"),
    }
