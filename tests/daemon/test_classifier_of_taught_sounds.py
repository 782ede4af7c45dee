"""A classifier with taught sounds: a broken one costs a line of the log and nothing else."""

import json
from pathlib import Path

import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.logs import LogSettings
from beepwatch.messages import Finish, Finished, Ready
from tests.classify.pitched import pitched
from tests.daemon.loud import START
from tests.daemon.test_classifier import classifying


def test_broken_and_stale_sounds_are_left_out_with_a_line_each_and_it_listens(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(pitched("washer", 2_000.0), START)
    shelf.put(pitched("old", 2_000.0, model_id="0" * 12), START)
    shelf.put(pitched("torn", 2_000.0), START)
    (shelf.directory / "torn" / "head.json").write_text('{"format": 1, "na')
    child = classifying(tmp_path, logs=LogSettings(level="error"))
    child.hear_until(Ready)
    child.say(Finish(within_s=1.0))
    assert any(isinstance(answer, Finished) for answer in child.hear())
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    problems = [line["problem"] for line in lines if line["event"] == "taught_sound_unusable"]
    assert [problem.split()[3] for problem in problems] == ["old", "torn"]
