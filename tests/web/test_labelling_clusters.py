"""The page shows clusters of faults as its groups, so that one key names a whole cluster."""

import shutil
import signal
from pathlib import Path

import pytest

from beepwatch.cli import run_command_line
from beepwatch.train.datasets.clustering import LARGEST_GROUP
from beepwatch.train.datasets.impressions import Impression
from beepwatch.train.kinds.clustering import cluster
from beepwatch.train.kinds.partition import Plan
from beepwatch.web.labelling import Clips
from tests.train.kinds.faults import FAULTS, write_machine, write_sounds
from tests.web.page_server import write_wav
from tests.web.program import labelling_program


def heard(*paths: str) -> list[Impression]:
    return [
        Impression(path=path, duration_s=3.0, score=0.5, pitch_hz=0.0, blocks=()) for path in paths
    ]


def test_groups_that_are_given_are_the_pages_and_the_rest_is_left_out() -> None:
    clips = Clips(
        Path("fans"), ["worn"], heard("a", "b", "well"), groups=[["b", "a"], ["gone"], []]
    )
    assert [[clip.path for clip in group] for group in clips.groups] == [["b", "a"]]
    assert set(clips.id_of) == {"a", "b"}
    assert clips.by_id({"a": "worn", "well": "normal"}) == {clips.id_of["a"]: "worn"}


def test_a_large_cluster_is_several_groups() -> None:
    paths = [str(number) for number in range(LARGEST_GROUP + 1)]
    clips = Clips(Path("fans"), [], heard(*reversed(paths)), groups=[paths])
    assert [[clip.path for clip in group] for group in clips.groups] == [paths[:-1], paths[-1:]]


def test_the_program_shows_what_was_clustered(tmp_path: Path) -> None:
    for clip in write_sounds(tmp_path / "data").rglob("*.wav"):
        write_wav(clip)
    cluster(write_machine(tmp_path / "store"), tmp_path / "kinds", plan=Plan(most=4))
    shutil.rmtree(tmp_path / "store")
    with labelling_program(
        tmp_path / "data", "--clusters", str(tmp_path / "kinds"), "--labels", "worn,loose"
    ) as program:
        clips, groups = sum(FAULTS.values()), len(FAULTS)
        assert program.said.startswith(f"{clips} clips in {groups} groups: http://127.0.0.1:")
        assert program.end(signal.SIGTERM) == 0


def test_a_directory_without_clusters_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kinds").mkdir()
    words = ["dataset", "label", str(tmp_path), "--clusters", str(tmp_path / "kinds")]
    assert run_command_line(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"beepwatch: {tmp_path}/kinds holds no clusters. Make some: beepwatch ")
