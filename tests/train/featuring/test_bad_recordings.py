"""Recordings that are none, or broken, cost a line each and nothing else."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beepwatch.errors import UnreadableAudio
from beepwatch.train.featuring.provenance import versions_of
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.sound import Recording
from beepwatch.train.featuring.work import Job, Plan, work_on, work_on_one
from tests.train.featuring.stores import extract


def test_a_broken_recording_costs_one_line(recipe_file: Path, data: Path, tmp_path: Path) -> None:
    whole = (data / "spin/d.wav").read_bytes()
    (data / "spin/d.wav").write_bytes(whole[: len(whole) // 2])
    (data / "beep/b.wav").unlink()
    outcome = extract(recipe_file, data, tmp_path / "out")
    assert outcome.recordings == 4
    missing, cut = outcome.problems
    assert "b.wav cannot be read: no such file" in missing
    assert "d.wav is cut short" in cut
    meta = json.loads((tmp_path / "out" / "features.json").read_text())
    assert meta["failed"] == ["beep/b.wav", "spin/d.wav"]
    (data / "spin/d.wav").write_bytes(whole)
    assert extract(recipe_file, data, tmp_path / "out").made == 1


def test_a_set_without_one_good_recording_is_refused(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UnreadableAudio, match="holds no recordings"):
        extract(recipe_file, tmp_path / "none", tmp_path / "out")
    (tmp_path / "none" / "a.wav").write_bytes(b"")
    with pytest.raises(UnreadableAudio, match=r"a\.wav is empty"):
        extract(recipe_file, tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out" / "features.json").exists()


def test_what_is_no_file_costs_a_line_and_keeps_nobody_waiting(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    """A pipe that nobody writes into would never be opened, a device never come to its end."""
    for name in ("beep/a.wav", "beep/b.wav", "spin/c.wav"):
        (data / name).unlink()
    os.mkfifo(data / "beep/a.wav")
    (data / "beep/b.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(data / "spin/c.wav"))  # an absolute path may be too long
        outcome = extract(recipe_file, data, tmp_path / "out", workers=1)
    advice = "Name a recording in a file, or leave it out."
    assert outcome.problems == (
        f"{data}/beep/a.wav is a pipe. {advice}",
        f"{data}/beep/b.wav is a device. {advice}",
        f"{data}/spin/c.wav is a socket. {advice}",
    )
    assert outcome.recordings == 3


def test_a_file_that_becomes_a_pipe_is_refused_by_the_worker_too(
    recipe_file: Path, data: Path
) -> None:
    recipe = read_feature_recipe(recipe_file)
    plan = Plan(recipe=recipe, versions=versions_of(recipe, data), data=str(data), into=None)
    (data / "beep/a.wav").unlink()
    os.mkfifo(data / "beep/a.wav")
    (done,) = work_on(plan, [Job(path="beep/a.wav", versions=("",))])
    assert done.problem is not None
    assert "is a pipe" in done.problem


@pytest.mark.parametrize(
    ("number", "is_full"), [("ENOSPC", True), ("EDQUOT", True), ("EIO", False)]
)
def test_no_room_ends_a_run_and_a_broken_disk_costs_a_recording(
    number: str, is_full: bool, recipe_file: Path, data: Path
) -> None:
    def opened(*_: object) -> Recording:
        raise OSError(getattr(errno, number), "as the system says")

    recipe = read_feature_recipe(recipe_file)
    plan = Plan(recipe=recipe, versions=versions_of(recipe, data), data=str(data), into=None)
    done = work_on_one(plan, Job(path="beep/a.wav", versions=("",)), opened=opened)
    assert done.problem is not None
    assert done.disk_full is is_full


def test_a_pipe_is_not_mixed_in(augmented_file: Path, data: Path, tmp_path: Path) -> None:
    augmented_file.write_text(
        augmented_file.read_text()
        + '[[augment]]\nname = "far"\nsteps = [{ kind = "room", responses = ["hall"] }]\n'
    )
    os.mkfifo(data / "hall")
    with pytest.raises(UnreadableAudio, match="hall is a pipe"):
        extract(augmented_file, data, tmp_path / "out")


def program(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "beepwatch", "dataset", "features", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_verb_names_what_is_broken_and_exits_with_1(recipe_file: Path, data: Path) -> None:
    (data / "beep/a.wav").write_bytes(b"RIFF")
    words = [str(recipe_file), "--data", str(data), "--workers", "0"]
    with program(*words) as running:
        told, complaints = running.communicate()
    assert running.returncode == 1
    assert "a.wav" in complaints.splitlines()[-1]
    assert "5 recordings" in told
    assert np.load(data / "features" / "small" / "features.npy", mmap_mode="r").shape[1] == 9
