"""`beepwatch scan`: what it prints, writes beside that, and says of files that it cannot read."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beepwatch.cli import run_command_line
from tests.capture.sounds import write_wav
from tests.verbs import BEEPS, RECORDING, own_home, program  # noqa: F401 - a fixture


def test_scan_goes_on_after_a_file_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "text.wav"
    bad.write_text("no sound at all\n" * 20)
    assert run_command_line(["scan", str(bad), str(RECORDING), "--json"]) == 1
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert {row["file"] for row in rows} == {str(RECORDING)}
    assert all(
        row.keys() >= {"file", "label", "onset_s", "offset_s", "pulses", "score"} for row in rows
    )
    onsets = [row["onset_s"] for row in rows]
    assert onsets == sorted(onsets)
    assert len(onsets) >= BEEPS


def test_scan_for_people_and_with_workers_finds_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.FLAC", "b.flac"):
        (tmp_path / name).symlink_to(RECORDING)
    (tmp_path / "notes.txt").write_text("not audio")
    assert run_command_line(["scan", str(tmp_path)]) == 0
    alone = capsys.readouterr().out
    assert run_command_line(["scan", str(tmp_path), "--workers", "2"]) == 0
    assert capsys.readouterr().out == alone
    assert f"{tmp_path}/a.FLAC" in alone
    assert "pulses in" in alone


def test_scan_writes_a_table_and_label_tracks_beside_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kitchen.flac").symlink_to(RECORDING)
    words = ["scan", str(tmp_path), "--json", "--csv", str(tmp_path / "all.csv")]
    assert run_command_line([*words, "--labels", str(tmp_path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) >= BEEPS
    with (tmp_path / "all.csv").open(newline="") as table:
        told = [{key: str(value) for key, value in row.items()} for row in rows]
        assert list(csv.DictReader(table)) == told
    track = (tmp_path / "kitchen.flac.txt").read_text().splitlines()
    assert track == [f"{row['onset_s']:.3f}\t{row['offset_s']:.3f}\tbeep" for row in rows]


def test_a_name_too_long_for_a_label_track_leaves_the_rest_of_a_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a" * 250, "b"):
        write_wav(tmp_path / "in" / f"{name}.wav", np.zeros(16_000, np.int16), 16_000)
    words = ["scan", str(tmp_path / "in"), "--labels", str(tmp_path / "labels")]
    assert run_command_line(words) == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert complaint.startswith(f"beepwatch: {tmp_path}/labels/aaa")
    assert [track.name for track in (tmp_path / "labels").glob("*.txt")] == ["b.wav.txt"]


def test_a_label_track_that_was_corrected_costs_scan_one_line_and_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_wav(tmp_path / "in" / f"{name}.wav", np.zeros(16_000, np.int16), 16_000)
    labels = tmp_path / "labels"
    words = ["scan", str(tmp_path / "in"), "--labels", str(labels)]
    assert run_command_line(words) == 0
    assert run_command_line(words) == 0
    (labels / "a.wav.txt").write_text("0.100000\t0.200000\ttoo soft to hear\n")
    (labels / "b.wav.txt").unlink()
    assert run_command_line(words) == 1
    assert capsys.readouterr().err == (
        f"beepwatch: {labels}/a.wav.txt is not as a scan wrote it, and is left as it is. "
        "Move it away, or name another directory with --labels.\n"
    )
    assert (labels / "a.wav.txt").read_text().endswith("too soft to hear\n")
    assert (labels / "b.wav.txt").read_bytes() == b""


def test_a_damaged_mp3_costs_scan_one_line(tmp_path: Path) -> None:
    """The real program: libraries that write to standard error by themselves stay quiet."""
    noise = bytes(index * index % 251 for index in range(50_000))
    (tmp_path / "a.mp3").write_bytes(b"\xff\xfb\x90\x64" + noise)
    done = program("scan", str(tmp_path), str(RECORDING))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"beepwatch: {tmp_path}/a.mp3 ")
    assert done.stdout.count("\n") >= BEEPS


def test_scan_leaves_numpy_without_threads_of_its_own() -> None:
    """They spin for as long as the rest of numpy takes to be imported, each on a core.

    Asked of a scan that ends before its own threads begin: its table would be written over sound.
    """
    told = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    words = ["scan", str(RECORDING), "--csv", str(RECORDING)]
    lines = [
        "import os, sys, beepwatch.cli",
        f"beepwatch.cli.run_command_line({words})",
        "print('numpy' in sys.modules, len(os.listdir('/proc/self/task')))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={k: v for k, v in os.environ.items() if k not in told},  # noqa: TID251 - as a user has it
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True 1\n"


def test_links_out_of_a_folder_are_counted_and_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "kitchen.flac").symlink_to(RECORDING)
    (inside / "more").symlink_to(RECORDING.parent)
    (inside / "gone.wav").symlink_to(tmp_path / "none.wav")
    assert run_command_line(["scan", str(inside)]) == 0
    said = capsys.readouterr()
    assert said.err == (
        f"beepwatch: 2 links in {inside} left out, leading out of it or nowhere. "
        "Copy there what is meant, or name it by itself.\n"
    )
    assert said.out.count(str(inside)) >= BEEPS / 5
    (inside / "kitchen.flac").unlink()
    assert run_command_line(["scan", str(inside)]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"beepwatch: 2 links in {inside} left out")
    assert second.startswith(f"beepwatch: {inside} holds no audio files.")
