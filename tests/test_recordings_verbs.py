"""`dataset import`, `index` and `check` as a user types them."""

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from beepwatch.cli import run_command_line
from beepwatch.train.datasets.catalogue import clips_below
from tests.small_disk import small_disk
from tests.train.datasets.sounds import noise, write


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for label in ("beep", "wash"):
        for seed in range(5):
            clip = noise(seed + 10 * (label == "wash"), seconds=0.7)
            write(tmp_path / "in" / label / f"{seed}.wav", clip)
    return tmp_path / "in"


def run(*words: object) -> int:
    return run_command_line(["dataset", *map(str, words)])


def test_from_a_folder_to_a_table_without_leaks(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("import", recordings, "--out", out, "--cut-ms", 300, "--workers", 1) == 0
    said = capsys.readouterr()
    assert said.out == f"10 recordings, 20 clips in {out}, 20 new\n"
    assert said.err == "1.0 s of rests and silences were left out\n"

    assert run("index", out, "--split", "60/20/20", "--licence", "CC0", "--workers", 1) == 0
    assert capsys.readouterr().out == (
        f"20 recordings in {out / 'dataset.csv'}, 0 new\n20 of them divided, in 10 groups\n"
    )
    with (out / "dataset.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["licence"] for row in rows} == {"CC0"}
    assert {row["split"] for row in rows} == {"train", "dev", "test"}
    splits = {(row["session"], row["split"]) for row in rows}
    assert len(splits) == 10  # no recording's pieces are in two

    assert run("check", out, "--json", "--workers", 1) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["counts"]["rates_hz"] == {"16000": [20, 6.0]}
    assert checked["findings"] == []
    assert (out / "quarantine.csv").read_text() == "path,reason,detail\n"
    assert (out / "check.png").read_bytes().startswith(b"\x89PNG")


def test_links_out_of_a_folder_are_counted_and_no_failure(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An import takes a file wherever it lies; what is in a data set lies in it."""
    out = tmp_path / "out"
    away = write(tmp_path / "away" / "a.wav", noise(99, seconds=0.7))
    (recordings / "more").symlink_to(away.parent)
    (recordings / "beep" / "away.wav").symlink_to(away)
    assert run("import", recordings, "--out", out, "--workers", 1) == 0
    said = capsys.readouterr()
    assert said.out == f"11 recordings, 11 clips in {out}, 11 new\n"
    told = "left out, leading out of it or nowhere. Copy there what is meant, or name it by itself."
    assert said.err == f"beepwatch: 1 link in {recordings} {told}\n"

    for verb in ("index", "check"):
        assert run(verb, recordings, "--workers", 1) == 0
        assert capsys.readouterr().err == f"beepwatch: 2 links in {recordings} {told}\n"


def test_a_name_of_two_lines_is_said_on_one(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recordings / "beep" / "two\nlines.wav").touch()
    for words in (["index", recordings], ["import", recordings, "--out", tmp_path / "out"]):
        assert run(*words, "--workers", 1) == 1
        (complaint,) = capsys.readouterr().err.splitlines()
        assert complaint.startswith("beepwatch: ")
        assert "two\\nlines.wav" in complaint
    assert run("check", recordings, "--workers", 1) == 1
    assert "two\\nlines.wav is empty" in capsys.readouterr().out


def test_a_split_without_a_label_that_others_have_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only recording of spin is in one of three splits."""
    for seed, name in enumerate(("beep/a", "beep/b", "beep/c", "spin/a")):
        write(tmp_path / f"{name}.wav", noise(seed, seconds=0.3))
    assert run("index", tmp_path, "--split", "40/30/30", "--workers", 1) == 0
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if line.startswith("beepwatch:")]
    with (tmp_path / "dataset.csv").open(newline="") as file:
        labels = {(row["split"], row["label"]) for row in csv.DictReader(file)}
    lacking = [
        f"{split} has no {', '.join(missing)}"
        for split in ("dev", "test", "train")
        if (missing := [one for one in ("beep", "spin") if (split, one) not in labels])
    ]
    assert len(lacking) >= 2
    assert line == (
        f"beepwatch: {'; '.join(lacking)}, and others have. "
        "Groups may be too few: record more, or try --by with other columns."
    )


def test_a_check_that_finds_something_says_it_and_ends_with_1(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recordings / "beep" / "9.wav").write_bytes((recordings / "beep" / "1.wav").read_bytes())
    (recordings / "wash" / "text.wav").write_text("no sound")
    bad, picture = tmp_path / "bad.csv", tmp_path / "picture.png"
    words = ("check", recordings, "--quarantine", bad, "--picture", picture, "--workers", 1)
    assert run(*words) == 1
    text = capsys.readouterr().out
    assert "duplicate       beep/9.wav: the same bytes as beep/1.wav\n" in text
    assert "1 duplicate, 1 corrupt, 1 mislabelled\n" in text
    assert text.endswith(f"bad files: {bad}; picture: {picture}\n")
    assert [line.split(",")[:2] for line in bad.read_text().splitlines()[1:]] == [
        *(["beep/9.wav", "duplicate"], ["wash/text.wav", "corrupt"]),
        ["wash/text.wav", "mislabelled"],
    ]
    assert picture.is_file()
    assert run("index", recordings, "--workers", 1) == 1
    said = capsys.readouterr()
    assert said.err.startswith("beepwatch: wash/text.wav holds no sound")
    assert said.out == f"11 recordings in {recordings / 'dataset.csv'}, 11 new\n"


def test_without_matplotlib_a_check_is_told_without_its_picture(
    recordings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless the picture was asked for."""
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not there
    run("check", recordings, "--workers", 1)
    said = capsys.readouterr()
    assert said.out.endswith("nothing wrong was found\n")
    assert said.err.startswith("beepwatch: the picture needs matplotlib")
    assert not (recordings / "check.png").exists()
    assert run("check", recordings, "--workers", 1, "--picture", recordings / "a.png") == 2


def test_a_layout_in_place_and_each_machine_a_fold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, machine in enumerate(("id_00", "id_02", "id_04")):
        write(tmp_path / "fan" / machine / "normal" / "00000000.wav", noise(seed, seconds=0.2))
    words = ("index", tmp_path, "--layout", "mimii", "--leave-one-out", "device", "--workers", 1)
    assert run(*words) == 0
    with (tmp_path / "dataset.csv").open(newline="") as file:
        rows = [(row["device"], row["label"], row["fold"]) for row in csv.DictReader(file)]
    assert rows == [
        *(("fan_id_00", "normal", "1"), ("fan_id_02", "normal", "2"), ("fan_id_04", "normal", "3")),
    ]
    assert run("index", tmp_path, "--leave-one-out", "device=fan_id_02", "--workers", 1) == 0
    with (tmp_path / "dataset.csv").open(newline="") as file:
        assert [row["split"] for row in csv.DictReader(file)] == ["train", "test", "train"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("line", "exit_code", "said"),
    [
        ("import {tmp}/no --out {tmp}/out", 2, "{tmp}/no does not exist. Check the path."),
        ("import /dev/null --out {tmp}/out", 2, "/dev/null is no file but a pipe or a device."),
        ("import {tmp}", 2, "Missing option '--out'"),
        ("import {tmp}/none --out {tmp}/out", 1, "there is no recording in {tmp}/none. Name"),
        ("import {tmp} --out {tmp}/out --channel left", 2, "--channel is 'left'; give keep, split"),
        ("import {tmp} --out {tmp}/out --channel 0", 2, "--channel is '0'; give keep, split"),
        ("import {tmp} --out {tmp}/out --layout x", 2, "--layout is 'x'; known: mimii, dcase2"),
        ("import {tmp} --out {tmp}/out --layout mimii", 2, "nothing below {tmp} lies as in mimii"),
        ("import {tmp} --out {tmp}/o --label a --layout esc50", 2, "exclude one another"),
        ("import {tmp} --out {tmp}/o --cut-ms 5 --cut-silence", 2, "exclude one another"),
        ("import {tmp} --out {tmp}/o --layout audacity --cut-ms 5", 2, "cuts at the labels, so"),
        ("import {tmp}/bad.zip --out {tmp}/out", 1, "{tmp}/bad.zip cannot be unpacked"),
        ("index {tmp}/no", 2, "Directory '{tmp}/no' does not exist."),
        ("index {tmp} --split some", 2, "--split is 'some'; give 80/10/10"),
        ("index {tmp} --split 80/30", 2, "--split is '80/30', which adds up to 110; give"),
        ("index {tmp} --split 80/20 --leave-one-out device", 2, "exclude one another"),
        ("index {tmp} --leave-one-out =x", 2, "--leave-one-out is '=x'; name a column"),
        ("index {tmp} --leave-one-out device=", 2, "--leave-one-out is 'device='; name a column"),
        ("index {tmp} --leave-one-out device", 2, "the recording 'a.wav' has no device"),
        ("index {tmp} --by device,,x --split 80/20", 2, "--by is 'device,,x'; name columns"),
        ("index {tmp} --split 80/20", 2, "1 group cannot be divided into 2 splits"),
        ("check {tmp} --quarantine {tmp}/no/q.csv", 2, "{tmp}/no/q.csv cannot be written: No such"),
        ("check {tmp} --quarantine {tmp}/none", 2, "{tmp}/none is no file. Name another with --qu"),
        ("check {tmp} --quarantine {tmp}/a.wav", 2, "{tmp}/a.wav is there already and is no list"),
        ("check {tmp} --quarantine /dev/null", 2, "/dev/null is no file. Name another with --quar"),
        ("check {tmp} --picture {tmp}/a.wav/p", 2, "{tmp}/a.wav/p cannot be written: Not a direc"),
        ("check {tmp} --picture {tmp}/a.wav", 2, "{tmp}/a.wav is there already and is no picture"),
        (
            "check {tmp} --quarantine q --picture ./q",
            2,
            "--quarantine and --picture are both q. Na",
        ),
        ("check {tmp} --workers 0", 2, "Invalid value for '--workers'"),
        ("check {tmp}/table", 1, "{tmp}/table/dataset.csv is no table: line 1"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    line: str, exit_code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "a.wav", noise(1, seconds=0.1))
    (tmp_path / "bad.zip").write_text("no archive")
    (tmp_path / "none").mkdir()
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "dataset.csv").write_text("no,columns\n")
    words = line.format(tmp=tmp_path).split()
    assert run(*words) == exit_code
    error = capsys.readouterr().err
    assert said.format(tmp=tmp_path) in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("source", ["no", "s3://bucket/beeps"])
def test_a_source_that_is_none_leaves_no_data_set(
    recordings: Path, tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", recordings, source, "--out", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr().err.startswith(f"beepwatch: {source} ")


@pytest.mark.parametrize("option", ["--quarantine", "--picture"])
def test_where_a_check_cannot_write_is_said_before_it_begins(
    recordings: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", recordings, option, recordings / "beep" / "0.wav") == 2
    assert capsys.readouterr().out == ""
    assert {path.name for path in recordings.iterdir()} == {"beep", "wash"}


def test_a_disk_without_room_for_the_picture_costs_the_picture_alone(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", size_bytes=1_000_000) as disk:
        disk.fill(leave_bytes=8_192)
        listed, drawn = disk.path / "bad.csv", disk.path / "check.png"
        (recordings / "beep" / "empty.wav").touch()
        words = ("check", recordings, "--quarantine", listed, "--picture", drawn, "--workers", 1)
        assert run(*words) == 1
        said = capsys.readouterr()
        assert "empty           beep/empty.wav: " in said.out
        assert said.out.endswith(f"1 empty\nbad files: {listed}\n")
        assert said.err == (
            f"beepwatch: {drawn} cannot be written: No space left on device. "
            "Name another with --picture.\n"
        )
        assert [one.name for one in disk.path.iterdir() if one.name != "filler"] == ["bad.csv"]


def test_who_writes_the_list_of_bad_files_is_alone(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checks of one data set may end at the same time."""
    locked: list[bool] = []

    def drawn(file: Path, _: object) -> None:
        handle = os.open(file.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked.append(True)
        finally:
            os.close(handle)

    monkeypatch.setattr("beepwatch.train.datasets.showing.draw", drawn)
    assert run("check", recordings, "--workers", 1) == 0
    assert locked == [True]


def test_sound_that_only_import_reads_is_told_where_it_lies_in_a_data_set(
    recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recordings / "beep" / "0.wav").rename(recordings / "beep" / "0.CAF")
    for verb in ("index", "check"):
        assert run(verb, recordings, "--workers", 1) == 0
        assert capsys.readouterr().err == (
            f"beepwatch: 1 file in {recordings} left out, '{recordings}/beep/0.CAF' for one: "
            "bring sound of that format in with `beepwatch dataset import`.\n"
        )


def test_what_an_import_passes_over_is_told(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recordings / "more.zip").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("path;label\nbeep/0.wav;oven\ngone.wav;oven\n")
    words = ("import", recordings, "--out", tmp_path / "out", "--labels", tmp_path / "labels.csv")
    assert run(*words, "--workers", 1) == 0
    assert capsys.readouterr().err.splitlines() == [
        "left out, not in the layout or the table: 9 recordings",
        "in the table, and in none of the sources: 1 recording, 'gone.wav' for one",
        "not opened, name them as sources: 1 archive in a source, 'in/more.zip' for one",
    ]


def test_an_import_that_is_killed_goes_on_where_it_was(recordings: Path, tmp_path: Path) -> None:
    """The second run's clips are those of one that nobody killed, and none of them twice."""
    command = [sys.executable, "-m", "beepwatch", "dataset", "import", str(recordings)]
    command += ["--cut-ms", "50", "--workers", "1", "--out"]
    killed = tmp_path / "killed"
    with subprocess.Popen([*command, str(killed)]) as process:
        while not killed.is_dir() or len(clips_below(killed)) < 20:
            assert process.poll() is None
            threading.Event().wait(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert 20 <= len(clips_below(killed)) < 140
    assert run("import", recordings, "--cut-ms", 50, "--workers", 1, "--out", killed) == 0
    whole = tmp_path / "whole"
    assert run("import", recordings, "--cut-ms", 50, "--workers", 1, "--out", whole) == 0
    assert clips_below(killed) == clips_below(whole)
    for path in clips_below(whole):
        assert (killed / path).read_bytes() == (whole / path).read_bytes()
    assert (killed / "dataset.csv").read_bytes() == (whole / "dataset.csv").read_bytes()
