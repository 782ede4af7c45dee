"""Which recordings are scanned, and what stays unsaid beside the one line of each problem."""

import os
import sys
from pathlib import Path

import pytest

from beepwatch.classify.bundle import find_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.daemon.scan import available_cores, quiet_decoders, recordings, scan
from beepwatch.sections import Model
from tests.capture.sounds import DATA
from tests.classify.pitched import pitched
from tests.daemon.loud import START


def test_recordings_are_the_files_given_and_the_audio_below_directories(tmp_path: Path) -> None:
    for name in ("b.MP3", "a.wav", "deep/er/c.flac", "notes.txt", "odd.vox"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    found = recordings([tmp_path / "odd.vox", tmp_path])
    assert [(one.file, str(one.name)) for one in found] == [
        (tmp_path / "odd.vox", "odd.vox"),
        (tmp_path / "a.wav", "a.wav"),
        (tmp_path / "b.MP3", "b.MP3"),
        (tmp_path / "deep/er/c.flac", "deep/er/c.flac"),
    ]


def test_every_problem_is_told_once_and_the_rest_is_scanned(tmp_path: Path) -> None:
    """Two hundred files, three of them bad, each in its own way."""
    good = DATA / "smoke_alarm_pulse.flac"
    for number in range(197):
        (tmp_path / f"{number:03}.flac").symlink_to(good)
    (tmp_path / "050x.wav").touch()
    (tmp_path / "051x.mp3").write_bytes(b"\xff\xfb\x90\x64" + bytes(range(256)) * 20)
    (tmp_path / "052x.flac").write_bytes(good.read_bytes()[:700])
    (tmp_path / "none").mkdir()
    answers = list(
        scan(
            recordings([tmp_path, tmp_path / "none"]),
            bundle=find_bundle("beep"),
            model=Model(),
            shelf=Shelf(tmp_path),
            workers=3,
            say=pytest.fail,
        )
    )
    problems = [one for one in answers if one.problem is not None]
    assert [one.given.file.name for one in problems] == [
        "none",
        "050x.wav",
        "051x.mp3",
        "052x.flac",
    ]
    assert all(one.problem and str(one.given.file) in one.problem for one in problems)
    assert len(answers) == 201


def test_taught_sounds_are_found_by_their_names_and_a_broken_one_is_said(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "state")
    shelf.put(pitched("alarm", 3_085.0), START)
    shelf.put(pitched("torn", 2_000.0), START)
    (shelf.directory / "torn" / "head.json").write_text("{")
    said: list[str] = []
    (answer,) = scan(
        recordings([DATA / "smoke-alarm-16k.flac"]),
        bundle=find_bundle("beep"),
        model=Model(),
        shelf=shelf,
        workers=1,
        say=said.append,
    )
    assert {one.label for one in answer.found} == {"alarm"}
    assert len(said) == 1
    assert "torn is left out" in said[0]


def test_what_libraries_write_to_standard_error_is_not_heard(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """While what this program says is: a library writes to the descriptor, past `sys.stderr`."""
    with quiet_decoders():
        os.write(2, b"Note: Illegal Audio-MPEG-Header\n")
        sys.stderr.write("beepwatch: a.mp3 is damaged\n")
    os.write(2, b"and after\n")
    assert capfd.readouterr().err == "beepwatch: a.mp3 is damaged\nand after\n"


def test_a_standard_error_that_is_no_file_is_left_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with quiet_decoders():
        sys.stderr.write("one line\n")
    assert capsys.readouterr().err == "one line\n"


def test_there_is_a_core_to_scan_on() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
