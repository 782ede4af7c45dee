"""`beepwatch teach NAME --normal` and `--judge`: the real verb on real files."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.machines import Machines
from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line
from tests.capture.sounds import write_wav
from tests.classify.pitched import pitched
from tests.classify.test_machines import NOW, well
from tests.train.machines.fan import fan

RATE_HZ = 16_000


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Where what is learned is put."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    return Machines(tmp_path / "state")


@pytest.fixture
def shelf(machines: Machines) -> Shelf:
    """Where taught sounds are, beside them."""
    return Shelf(machines.directory.parent)


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, exit_code: int = 0) -> str:
    """What the verb prints, on whichever of the two."""
    assert run_command_line(["teach", *map(str, words)]) == exit_code
    heard = capsys.readouterr()
    return heard.out + heard.err


def test_a_fan_is_learned_from_files_and_its_worn_bearing_heard(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a WAV and from a file that only ffmpeg reads."""
    first = write_wav(tmp_path / "1.wav", fan(1, 60), RATE_HZ)
    other = tmp_path / "2.flac"
    second = write_wav(tmp_path / "2.wav", fan(2, 30), RATE_HZ)
    subprocess.run(["ffmpeg", "-loglevel", "error", "-i", second, other], check=True)
    answer = said(capsys, "fan", "--normal", first, other)
    assert f"{other}: 30 s" in answer
    assert "fan: learned from 86 s of normal sound, one way of running." in answer
    assert "when fan has sounded unusual for 60 s" in answer
    assert "give five minutes" in answer
    assert machines.normal("fan").learned_s == 86

    sound = write_wav(tmp_path / "well.wav", fan(3, 30), RATE_HZ)
    worn = write_wav(tmp_path / "worn.wav", fan(4, 80, whine_hz=3_100), RATE_HZ)
    lines = said(capsys, "fan", "--judge", sound, worn).splitlines()
    assert lines[0].startswith(f"{sound}: as when it was well, strangeness ")
    assert lines[1].startswith(f"{worn}: unusual from ")
    assert "3.1 kHz whine that was not there" in lines[1]
    (row,) = map(json.loads, said(capsys, "fan", "--judge", worn, "--json").splitlines())
    assert 62 <= row["unusual_at_s"][0] <= 76
    assert row["difference"]["kind"] == "tone"


def test_a_fault_that_recordings_were_labelled_with_is_named(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is unusual without being like a fault keeps its description alone."""
    for label, whine_hz in (("normal", None), ("bearing", 3_100), ("coil", 6_050)):
        (tmp_path / "fans" / label).mkdir(parents=True)
        for number in range(3):
            sound = fan(10 + number, 10, whine_hz=whine_hz)
            write_wav(tmp_path / "fans" / label / f"{number}.wav", sound, RATE_HZ)
    said(capsys, "fan", "--normal", write_wav(tmp_path / "well.wav", fan(1, 60), RATE_HZ))
    worn = write_wav(tmp_path / "worn.wav", fan(4, 80, whine_hz=3_100), RATE_HZ)
    well = write_wav(tmp_path / "still_well.wav", fan(5, 20), RATE_HZ)
    before = said(capsys, "fan", "--judge", worn)
    assert "most like: 3.1 kHz whine that was not there" in before

    answer = said(capsys, "fan", "--faults", tmp_path / "fans")
    assert "9 recordings (72 s): bearing (3), coil (3), normal (3)." in answer
    assert "Of 9 recordings that were held back, 9 were given the right name." in answer
    named, as_ever = said(capsys, "fan", "--judge", worn, well).splitlines()
    assert re.search(r"most like: bearing \(\d+ %\): 3\.1 kHz whine that was not there", named)
    assert as_ever.startswith(f"{well}: as when it was well, strangeness ")
    first, second = map(json.loads, said(capsys, "fan", "--judge", worn, well, "--json").split())
    assert first["fault"]["label"] == "bearing"
    assert first["fault"]["probability"] > 0.5
    assert second["fault"] is None
    (row,) = map(json.loads, said(capsys, "--list", "--json").splitlines())
    assert row["faults"] == ["bearing", "coil", "normal"]


def test_what_cannot_be_used_of_labelled_recordings_is_said_and_the_rest_learned(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.put(well(), NOW)
    for label, whine_hz in (("normal", None), ("bearing", 3_100)):
        (tmp_path / "fans" / label).mkdir(parents=True)
        write_wav(tmp_path / "fans" / label / "1.wav", fan(1, 5, whine_hz=whine_hz), RATE_HZ)
    (tmp_path / "fans" / "bearing" / "text.wav").write_text("no sound at all\n" * 20)
    answer = said(capsys, "fan", "--faults", tmp_path / "fans", exit_code=1)
    assert f"beepwatch: {tmp_path}/fans/bearing/text.wav holds no sound" in answer
    assert "2 recordings could not be tried" in answer
    faults = machines.faults("fan")
    assert faults is not None
    assert faults.labels == ("bearing", "normal")


def test_a_file_that_cannot_be_judged_is_said_and_the_rest_done(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.put(well(), NOW)
    (tmp_path / "text.wav").write_text("no sound at all\n" * 20)
    quiet = write_wav(tmp_path / "off.wav", np.zeros(5 * RATE_HZ, np.int16), RATE_HZ)
    answer = said(capsys, "fan", "--judge", tmp_path / "text.wav", quiet, exit_code=1)
    assert f"{quiet}: the machine is off" in answer
    assert f"beepwatch: {tmp_path}/text.wav holds no sound" in answer


def test_a_name_that_is_no_text_or_no_line_costs_no_judgement(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.put(well(), NOW)
    silence = np.zeros(5 * RATE_HZ, np.int16)
    odd = [
        write_wav(tmp_path / name, silence, RATE_HZ)
        for name in (os.fsdecode(b"\xff.wav"), "two\nlines.wav")
    ]
    answer = said(capsys, "fan", "--judge", "--json", *odd)
    rows = [json.loads(line) for line in answer.splitlines()]
    assert [row["file"] for row in rows] == [str(file) for file in odd]
    assert said(capsys, "fan", "--judge", *odd) == (
        f"{tmp_path}/\\udcff.wav: the machine is off\n"
        f"{tmp_path}/two\\nlines.wav: the machine is off\n"
    )


def test_it_is_learned_from_what_is_heard(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = write_wav(tmp_path / "live.wav", fan(1, 60), RATE_HZ)
    words = ["fan", "--normal", "--listen", "30s", "--source", f"file:{live}", "--speed", "max"]
    answer = said(capsys, *words)
    assert "listening to fan for 30 s" in answer
    assert "heard 30 s" in answer
    assert machines.normal("fan").learned_s == 28
    assert "--rollback" not in answer
    assert "beepwatch teach --rollback fan" in said(capsys, *words)
    assert "no earlier versions left" in said(capsys, "--rollback", "fan")


def test_enough_is_enough_and_is_learned_from(machines: Machines) -> None:
    """^C while it listens; nothing is asked. A pipe has room for the last 2 s of what is heard."""
    words = ["teach", "fan", "--normal", "--listen", "24h", "--source", "stdin"]
    with subprocess.Popen(
        [sys.executable, "-m", "beepwatch", *words],
        env=dict(os.environ),  # noqa: TID251 - what the process gets
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(fan(1, 60).tobytes())
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        answer = process.stdout.read().decode()
        assert process.wait(60) == 0
    assert "fan: learned from 5" in answer
    assert machines.normal("fan").learned_s >= 50


@pytest.mark.parametrize(
    ("words", "exit_code", "reason"),
    [
        (["Fan", "--normal", "WELL"], 2, "the name 'Fan' is not 1 to 40"),
        (["../fan", "--normal", "WELL"], 2, "is not 1 to 40"),
        (["beep", "--normal", "WELL"], 2, "the shipped model's own"),
        (["generation", "--normal", "WELL"], 2, "can have the name 'generation'"),
        (["generation", "--normal", "--listen"], 2, "can have the name 'generation'"),
        (["washer", "--normal", "WELL"], 2, "'washer' is the name of a taught sound"),
        (["fan", "--normal"], 2, "nothing to learn fan from"),
        (["fan", "--normal", "SHORT"], 1, "2.0 s of sound are too little"),
        (["fan", "--normal", "TEN"], 1, "8 s of sound are too little to learn fan from, 20 s"),
        (["fan", "--normal", "SILENT"], 1, "digital silence"),
        (["fan", "--normal", "WELL", "TEXT"], 1, "TEXT holds no sound"),
        (["fan", "--normal", "WELL", "NOTHING"], 1, "NOTHING does not exist"),
        (["fan", "--normal", "--listen", "WELL"], 2, "WELL' beside --normal --listen"),
        (["fan", "--normal", "--listen", "10s"], 2, "from 30s to 1d"),
        (["fan", "--normal", "--listen", "2d"], 2, "from 30s to 1d"),
        (["fan", "--normal", "--listen", "30m", "1h"], 2, "'30m 1h'"),
        (["fan", "--normal", "--judge", "WELL"], 2, "both --normal and --judge"),
        (["fan", "--normal", "WELL", "--room", "WELL"], 2, "--room is for sounds"),
        (["fan", "--judge"], 2, "nothing to judge"),
        (["fan", "--judge", "--listen"], 2, "both --judge and --listen"),
        (["fan", "--judge", "WELL"], 2, "there is no learned machine 'fan'"),
        (["fan", "--faults", "."], 2, "there is no learned machine 'fan'"),
        (["fan", "--faults", "NOTHING"], 2, "'NOTHING' beside --faults does not exist; expected"),
        (["fan", "--faults"], 2, "found nothing beside --faults, expected one directory"),
        (["fan", "--faults", "WELL"], 2, "WELL' beside --faults is a file; expected one directory"),
        (["fan", "--faults", "--listen", "."], 2, "both --faults and --listen"),
        (["fan", "--faults", "--judge", "."], 2, "both --faults and --judge"),
        (["fan", "--faults", ".", "--room", "WELL"], 2, "--room is for sounds"),
        (["--normal", "--listen"], 2, "found --normal and --listen without a NAME. Give"),
    ],
)
def test_what_cannot_be_learned_or_judged_is_one_line_and_nothing_is_kept(
    words: list[str],
    exit_code: int,
    reason: str,
    machines: Machines,
    shelf: Shelf,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shelf.put(pitched("washer", 2_000.0), NOW)
    sound = fan(1, 30)
    for name, pcm in (
        ("WELL", sound),
        ("TEN", sound[: 10 * RATE_HZ]),
        ("SHORT", sound[: 2 * RATE_HZ]),
        ("SILENT", np.zeros(30 * RATE_HZ, np.int16)),
    ):
        write_wav(tmp_path / name, pcm, RATE_HZ)
    (tmp_path / "TEXT").write_text("a shopping list, and no sound at all\n" * 10)
    places = {name: str(tmp_path / name) for name in ("WELL", "TEN", "SHORT", "SILENT", "TEXT")}
    given = [places.get(word, word) for word in words]
    assert run_command_line(["teach", *given]) == exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("beepwatch: ")
    assert reason in line
    assert machines.digests() == {}


@pytest.mark.mic
def test_without_a_microphone_it_is_one_line(machines: Machines) -> None:
    words = ["teach", "fan", "--normal", "--listen", "--source", "microphone:gramophone"]
    done = subprocess.run(
        [sys.executable, "-m", "beepwatch", *words],
        env=dict(os.environ),  # noqa: TID251 - what the process gets
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("beepwatch: ")
    assert "input device" in line
    assert machines.digests() == {}


def test_a_state_that_cannot_be_written_is_said_before_it_listens(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file")
    answer = said(capsys, "fan", "--normal", "--listen", "--source", "stdin", exit_code=1)
    assert answer.startswith(f"beepwatch: the state directory {tmp_path}/state cannot be used: ")
    assert answer.count("\n") == 1


def test_the_list_has_sounds_and_machines(
    machines: Machines, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.put(well(), NOW)
    answer = said(capsys, "--list")
    assert "no sound is taught" not in answer
    assert answer.splitlines()[1].split()[:3] == ["fan", "5.0", "min"]
    machines.put(well("pump"), NOW)
    (machines.directory / "pump" / "normal.json").write_text("{")
    shelf.put(pitched("washer", 2_000.0), NOW)
    answer = said(capsys, "--list")
    assert "washer" in answer
    assert "unusable" in answer
    rows = [json.loads(line) for line in said(capsys, "--list", "--json").splitlines()]
    assert [(row["name"], row["kind"]) for row in rows] == [
        ("washer", "sound"),
        ("fan", "machine"),
        ("pump", "machine"),
    ]
    assert (rows[1]["learned_s"], rows[1]["states"], rows[1]["problem"]) == (300, 1, "")
    assert "no learned normal" in rows[2]["problem"]
    assert rows[2]["learned_s"] is None


def test_a_damaged_machine_is_one_line_and_is_learned_anew(
    machines: Machines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.put(well(), NOW)
    file = machines.directory / "fan" / "normal.json"
    file.write_bytes(file.read_bytes()[:1_000])
    sound = write_wav(tmp_path / "well.wav", fan(1, 30), RATE_HZ)
    answer = said(capsys, "fan", "--judge", sound, exit_code=3)
    assert answer.startswith(f"beepwatch: {file}: this is no learned normal")
    assert answer.count("\n") == 1
    said(capsys, "fan", "--normal", sound)
    assert "strangeness" in said(capsys, "fan", "--judge", sound)


def test_one_name_is_a_sound_or_a_machine(
    machines: Machines, shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever came first; also where a sound comes from a friend."""
    shelf.put(pitched("fan", 2_000.0), NOW, [np.ones(1_600, np.int16)])
    parcel = tmp_path / "fan.zip"
    said(capsys, "--export", "fan", parcel)
    said(capsys, "--remove", "fan")
    machines.put(well(), NOW)
    clip = write_wav(tmp_path / "clip.wav", fan(1, 3), RATE_HZ)
    for words in (["fan", clip], ["fan", "--listen"], ["--import", parcel]):
        answer = said(capsys, *words, exit_code=2)
        assert "'fan' is the name of a learned machine." in answer
        assert answer.count("\n") == 1
    assert shelf.digests() == {}
    answer = said(capsys, "--export", "fan", tmp_path / "machine.zip", exit_code=2)
    assert "fan is a machine" in answer
    assert not (tmp_path / "machine.zip").exists()


def test_what_is_taken_away_is_what_has_the_name(
    machines: Machines, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    machines.put(well(), NOW)
    shelf.put(pitched("washer", 2_000.0), NOW)
    answer = said(capsys, "--remove", "dryer", exit_code=2)
    assert "neither a taught sound nor a learned machine 'dryer'" in answer
    assert "there are: washer, fan." in answer
    assert "fan is taken away" in said(capsys, "--remove", "fan")
    assert (machines.digests(), [*shelf.digests()]) == ({}, ["washer"])
    assert "washer is taken away" in said(capsys, "--remove", "washer")
    assert shelf.digests() == {}
