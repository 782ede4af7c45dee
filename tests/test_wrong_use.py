"""What is given by mistake: a number that is none, a name like an option, a place without room."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from beepwatch.__main__ import main
from beepwatch.classify.bundle import find_bundle
from beepwatch.cli import run_command_line
from beepwatch.web.inference import server
from tests.verbs import RECORDING, own_home, program  # noqa: F401 - a fixture

RECIPE = find_bundle("beep") / "recipe.toml"


def complaint(capsys: pytest.CaptureFixture[str], *words: str, exit_code: int = 2) -> str:
    """The one line that is said."""
    assert run_command_line(list(words)) == exit_code
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("record --label beep --minutes", "--minutes"),
        ("record --label beep --until-kb", "--until-kb"),
        ("dataset import a.wav --out {tmp} --silence-dbfs", "--silence-dbfs"),
        ("dataset cluster {tmp} --out {tmp}/kinds --variance", "--variance"),
    ],
)
def test_what_is_no_number_is_refused(
    words: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is neither below the least nor above the most."""
    given = [word.replace("{tmp}", str(tmp_path)) for word in words.split()]
    said = complaint(capsys, *given, "nan")
    assert said.startswith(f"beepwatch: Invalid value for '{option}': nan is no number. See: ")


def test_a_word_too_many_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "events", "extra")
    assert "unexpected extra argument(s) (extra). See: beepwatch events --help." in said


@pytest.mark.parametrize(
    ("words", "todo"),
    [
        ("dataset label {tmp} --model nothing --port 0", "Set --model to one of these"),
        ("serve --model nothing --port 0", "Set --model to one of these or to a bundle's"),
        ("serve --config {tmp}/model.toml --port 0", "Set model.bundle to one of these"),
        ("serve --model {tmp}/none", "{tmp}/none/bundle.json: No such file or directory. Name"),
    ],
)
def test_a_model_that_is_none_is_told_by_what_gave_it(
    words: str, todo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "none").mkdir()
    (tmp_path / "model.toml").write_text("[model]\nbundle = 'nothing'\n")
    given = [word.replace("{tmp}", str(tmp_path)) for word in words.split()]
    assert todo.replace("{tmp}", str(tmp_path)) in complaint(capsys, *given, exit_code=3)


def test_a_speed_that_is_none_is_refused_though_nothing_is_played(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = complaint(capsys, "teach", "washer", "a.wav", "--speed", "0")
    assert said == "beepwatch: --speed is '0'; give 0.01 to 1000, or max."


def test_a_file_named_like_an_option_is_told_how_to_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = "beepwatch: No such option: -x."
    see = " See: beepwatch scan --help."
    assert complaint(capsys, "scan", "-x.wav") == refused + see
    Path("-x.wav").touch()
    told = " A file of that name is given as ./-x.wav."
    assert complaint(capsys, "scan", "-x.wav") == refused + told + see
    assert complaint(capsys, "scan", "./-x.wav", exit_code=1).startswith("beepwatch: -x.wav is emp")


def test_output_without_room_is_no_mistake_of_the_program() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "beepwatch", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "beepwatch: output cannot be written: No space left on device. Make room first.\n"
    )


def test_a_standard_input_without_sound_is_no_microphone() -> None:
    done = program("doctor", "--source", "stdin", before=("sh", "-c", '"$@" </dev/null', "sh"))
    assert done.returncode == 3
    assert "BAD  microphone  stdin ended before any sound came. Let something" in done.stdout


def test_both_kinds_of_data_to_train_from_are_one_too_many(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = complaint(capsys, "train", f"{RECIPE}", "--data", ".", "--features", ".")
    assert said == "beepwatch: found both --data and --features; give one of them."


@pytest.mark.slow
def test_who_closes_the_standard_streams_is_served_all_the_same(tmp_path: Path) -> None:
    """The daemon's children too, as by `<&- >&- 2>&-` in a shell."""
    run = '"$0" -m beepwatch run --source "file:$1" --speed max <&- >&- 2>&-'
    command = ["sh", "-c", run, sys.executable, str(RECORDING)]
    assert subprocess.run(command, timeout=100, check=False).returncode == 0
    events = [json.loads(line) for line in program("events", "--json").stdout.splitlines()]
    states = [alert["state"] for event in events for alert in event["alerts"]]
    assert states
    assert set(states) == {"sent"}


def test_without_a_standard_error_the_exit_code_tells(tmp_path: Path) -> None:
    scan = '"$0" -m beepwatch scan "$1" 2>&-'
    for file, exit_code in ((RECORDING, 0), (tmp_path / "none.wav", 1)):
        command = ["sh", "-c", scan, sys.executable, str(file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=100, check=False)
        assert (done.returncode, done.stdout.count(b"beep") > 0) == (exit_code, not exit_code)


def test_a_file_in_place_of_the_demo_s_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    said = complaint(capsys, "demo", "--out", f"{tmp_path}/file")
    assert said == (
        f"beepwatch: {tmp_path}/file cannot be made: File exists. Name another folder with --out."
    )


def test_a_second_demo_is_not_mixed_with_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has the recording's own times, and the other's would lie between them."""
    (tmp_path / "beepwatch.db").touch()
    said = complaint(capsys, "demo", "--out", f"{tmp_path}")
    assert said == (
        f"beepwatch: {tmp_path} holds what was heard before. Name another folder with --out."
    )


def test_a_time_zone_that_cannot_be_is_named() -> None:
    done = program("events", TZ="XXX+99")
    assert done.returncode == 2
    assert done.stderr == (
        "beepwatch: TZ is 'XXX+99', a day or more from UTC. Set it to a zone such as "
        "Europe/Berlin, or leave it out.\n"
    )


def test_a_number_in_quotes_is_asked_for_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "beepwatch.toml"
    file.write_text('[notify.telegram]\nchat_ids = ["4711"]\n')
    said = complaint(capsys, "config", "check", "--config", f"{file}")
    assert said == (
        f"beepwatch: {file}: notify.telegram.chat_ids[0] is '4711'; give a whole number from "
        "-4503599627370496 to 4503599627370496, without quotes."
    )


def test_a_folder_s_name_is_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither obeyed nor left out."""
    out = tmp_path / "[bold]a[" / "b]"
    words = ("--source", f"file:{RECORDING}", "--speed", "max", "--no-pre-label")
    assert run_command_line(["record", "--label", "beep", "--out", f"{out}", *words]) == 0
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first == f"recording 'beep' from file:{RECORDING} into {out}/beep; ^C stops"
    assert f"; {out}/beep/session-" in last


def test_recordings_that_are_not_listed_are_there_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, however long, and with the exit code of what was done in part."""
    out = tmp_path / "a folder of a rather long name for a terminal of eighty columns"
    out.mkdir()
    (out / "dataset.csv").write_text("none")
    words = ("--source", f"file:{RECORDING}", "--speed", "max", "--no-pre-label")
    assert run_command_line(["record", "--label", "beep", "--out", f"{out}", *words]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "not listed" in line]
    assert len(said) == 1
    assert said[0].startswith(f"not listed: {out}/dataset.csv is no table: line 1: ")
    assert said[0].endswith(f" Then list them: beepwatch dataset index {out}.")
    assert len(list((out / "beep").glob("*Z.wav"))) > 20


@pytest.mark.parametrize("words", ["config check", "teach --list", "teach washer {recording}"])
def test_a_file_in_place_of_the_state_directory_is_named(
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", f"{tmp_path}/file")
    given = words.replace("{recording}", str(RECORDING)).split()
    assert complaint(capsys, *given, exit_code=1) == (
        f"beepwatch: the state directory {tmp_path}/file cannot be used: Not a directory. "
        "Set store.directory to another one."
    )


@pytest.mark.parametrize(
    "words",
    ["scan {recording}", "serve --port 0", "record --label beep {source} --speed max --out {tmp}"],
)
def test_who_hears_without_what_was_taught_says_so(
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(server, "serve_inference", lambda *_, **_named: None)
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", f"{tmp_path}/file")
    places = {"recording": RECORDING, "source": f"--source file:{RECORDING}", "tmp": tmp_path}
    assert run_command_line(words.format(**places).split()) == 0
    assert capsys.readouterr().err.startswith(
        f"beepwatch: without taught sounds: the state directory {tmp_path}/file cannot be used: "
    )


def test_nothing_is_said_to_be_recorded_from_a_source_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--source", f"file:{tmp_path}/none.wav", "--out", f"{tmp_path}")
    said = complaint(capsys, "record", "--label", "beep", *words, exit_code=1)
    assert said == f"beepwatch: {tmp_path}/none.wav does not exist. Check the path."


def test_who_breaks_off_while_it_still_loads_sees_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class BrokenOff:
        def find_spec(
            self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
        ) -> None:
            """As if ^C came with the first import."""
            del path, target
            if name == "beepwatch.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "beepwatch.cli")
    monkeypatch.setattr(sys, "meta_path", [BrokenOff(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train {tmp}/no.toml --data {tmp}", "cannot read recipe {tmp}/no.toml"),
        ("train {recipe} --data {tmp}", "no manifest.csv in {tmp}."),
        ("train {tmp}/no.toml --features {tmp}", "cannot read recipe {tmp}/no.toml"),
        ("train {recipe} --features {tmp}", "{tmp}/features.npy cannot be read"),
        ("evaluate --data {tmp}", "no manifest.csv in {tmp}."),
        ("dataset cluster {tmp} --out {tmp}/kinds", "{tmp}/features.json is none of a feature"),
        ("dataset cluster {tmp} --out {tmp}/kinds --name x", "--name is 'x'; give a cluster's"),
        ("dataset cluster {tmp} --out {tmp}/kinds --abnormal a,", "--abnormal is 'a,'; name lab"),
    ],
)
def test_a_wrong_word_is_said_before_anything_large_is_imported(
    line: str, said: str, tmp_path: Path
) -> None:
    words = line.format(tmp=tmp_path, recipe=RECIPE).split()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "beepwatch", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert f"beepwatch: {said.format(tmp=tmp_path)}" in done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"torch", "sklearn", "scipy", "matplotlib"})


def test_a_place_that_cannot_take_the_model_is_said_before_it_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.csv").write_text("path,split,category\na.wav,train,speech\n")
    (tmp_path / "out").touch()
    words = ["--data", f"{tmp_path}", "--out", f"{tmp_path}/out"]
    said = complaint(capsys, "train", f"{RECIPE}", *words)
    assert said.startswith(f"beepwatch: {tmp_path}/out cannot be made: Not a directory.")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("record --label beep --out", "--out"),
        ("demo --out", "--out"),
        ("scan a.wav --csv", "--csv"),
        ("scan a.wav --labels", "--labels"),
        ("dataset import a.wav --out", "--out"),
        ("dataset features r.toml --data . --out", "--out"),
        ("dataset cluster . --out", "--out"),
        ("train r.toml --out", "--out"),
        ("train r.toml --runs", "--runs"),
        ("evaluate --data . --out", "--out"),
    ],
)
def test_a_variable_without_a_value_is_no_place_to_write_to(
    words: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As in `--out "$OUT"`: the current directory is not meant."""
    monkeypatch.chdir(tmp_path)
    said = complaint(capsys, *words.split(), "")
    assert said.startswith(f"beepwatch: Invalid value for '{option}': '' names no place. Give its")
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_without_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "config", "show", "--config", "/dev/zero")
    assert said == (
        "beepwatch: the configuration file /dev/zero has more than 1,000,000 characters, so it is "
        "none. Give another with --config."
    )


@pytest.mark.parametrize(
    "words", ["scan a.wav", "dataset check .", "train r.toml", "dataset features r.toml --data ."]
)
def test_nobody_gets_a_hundred_thousand_workers(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint(capsys, *words.split(), "--workers", "100000")
    assert said.startswith("beepwatch: Invalid value for '--workers': 100000 is not in the range ")


def test_a_daemon_to_which_nothing_is_sent_says_so() -> None:
    done = program("run", "--source", "stdin", before=("sh", "-c", '"$@" </dev/null', "sh"))
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "beepwatch: stdin ended before any sound came. Let something send sound there, or name "
        "another --source."
    )


def test_the_model_is_the_same_in_a_data_set_as_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where `beep` is a folder of clips."""
    (tmp_path / "beep").mkdir()
    (tmp_path / "beep" / "a.flac").symlink_to(RECORDING)
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["scan", "beep"]) == 0
    assert capsys.readouterr().out.startswith("beep/a.flac ")


@pytest.mark.parametrize("text", ["", "path,split,category\n"])
def test_a_manifest_without_a_row_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.csv").write_text(text)
    said = complaint(capsys, "evaluate", "--data", f"{tmp_path}")
    assert said.startswith(f"beepwatch: {tmp_path}/manifest.csv lists no recording. Its first line")


def test_a_name_that_is_no_text_is_shown_and_no_traceback(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.wav")
    done = program("scan", name, LC_ALL="C.UTF-8")
    assert done.returncode == 1
    assert done.stderr == f"beepwatch: {tmp_path}/\\udcff.wav does not exist. Check the path.\n"
