"""The verbs: what they print, and one clear line with the right exit code when they cannot."""

import errno
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import beepwatch.cli
import beepwatch.daemon
from beepwatch import __version__
from beepwatch.classify.bundle import find_bundle
from beepwatch.cli import configuration, options, run_command_line
from beepwatch.notify import bot
from tests.verbs import BEEPS, RECORDING, own_home, program  # noqa: F401 - a fixture

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"  # noqa: S105 - the example of the API's manual
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
VERBS = (
    *("demo", "run", "record", "scan", "events", "teach", "doctor", "train", "evaluate"),
    *("telegram pair", "telegram test", "config check", "config show"),
    *("service install", "service uninstall", "service status"),
    *("dataset label", "dataset import", "dataset index", "dataset check", "dataset features"),
    *("dataset cluster", "serve"),
)
GROUPS = tuple(dict.fromkeys(verb.split()[0] for verb in VERBS if " " in verb))


@pytest.mark.parametrize("verb", ["", *GROUPS, *VERBS])
def test_the_help_of_every_verb_has_an_example_of_it(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([*verb.split(), "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Example: beepwatch {verb}" in text


def test_every_verb_has_been_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["--help"]) == 0
    text = capsys.readouterr().out
    groups = {verb.split()[0] for verb in VERBS}
    assert {group for group in groups if group not in text} == set()
    commands = {
        info.name or info.callback.__name__
        for info in beepwatch.cli.app.registered_commands
        if info.callback
    }
    assert commands <= set(VERBS)


def test_without_a_verb_it_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([]) == 2
    said = capsys.readouterr()
    assert "Usage: beepwatch" in said.out + said.err
    assert "beepwatch: \n" not in said.err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["--version"]) == 0
    assert capsys.readouterr().out == f"beepwatch {__version__}\n"


NO_CONFIG = "the configuration file {tmp}/no.toml does not exist."


@pytest.mark.parametrize(
    ("line", "exit_code", "said"),
    [
        ("listen", 2, "No such command 'listen'. See: beepwatch --help."),
        ("run --loud", 2, "No such option: --loud"),
        ("run --speed", 2, "Option '--speed' requires an argument."),
        ("run --speed fast", 2, "--speed is 'fast'; give 0.01 to 1000, or max."),
        ("run --speed nan", 2, "--speed is 'nan'; give 0.01 to 1000, or max."),
        ("demo --speed 0", 2, "--speed is '0'; give 0.01 to 1000, or max."),
        (
            "run --rate 0",
            2,
            "command line: capture.rate_hz is 0; give a whole number from 4000 to 384000.",
        ),
        ("run --rate many", 2, "Invalid value for '--rate'"),
        ("run --config {tmp}/no.toml", 2, NO_CONFIG),
        ("config show --config {tmp}/no.toml", 2, NO_CONFIG),
        ("config check --config {tmp}", 2, "the configuration file {tmp} cannot be read"),
        ("record", 2, "Missing option '--label'. See: beepwatch record --help."),
        ("record --label beep --source gramophone", 2, "capture.source is 'gramophone'"),
        ("record --label beep --source file:{tmp}/no.wav --out {tmp}", 1, "{tmp}/no.wav does not"),
        ("scan", 2, "Missing argument 'paths'."),
        ("scan {tmp}/no.wav", 1, "{tmp}/no.wav does not exist."),
        ("scan {tmp}/none", 1, "{tmp}/none holds no audio files."),
        ("scan {tmp}/{long}", 1, "{tmp}/{long} cannot be read: File name too long."),
        ("scan --{long}", 2, "No such option: --{long}"),
        ("dataset check {tmp}/{long}", 1, "{tmp}/{long} cannot be used: File name too long."),
        ("scan {tmp}/text.wav", 1, "{tmp}/text.wav holds no sound"),
        ("scan {tmp}/empty.wav", 1, "{tmp}/empty.wav is empty"),
        ("scan {tmp}/empty.wav --csv {tmp}/no/all.csv", 2, "{tmp}/no/all.csv cannot be written"),
        ("scan {tmp}/empty.wav --workers 0", 2, "Invalid value for '--workers'"),
        ("events --since yesterday", 2, "--since is 'yesterday'; write a length"),
        ("events --since=", 2, "--since is ''; write a length"),
        ("teach --remove washer", 2, "there is no taught sound 'washer'"),
        ("teach --rollback washer", 2, "there is no taught sound 'washer'"),
        ("teach --export washer {tmp}/washer.zip", 2, "there is no taught sound 'washer'"),
        ("teach --import {tmp}/text.wav", 1, "{tmp}/text.wav is no exported sound"),
        ("teach --import {tmp}/no.zip", 1, "cannot read {tmp}/no.zip"),
        ("telegram test", 2, "there is no bot token"),
        ("config check --config {tmp}/rule.toml", 2, "rules.label is 'oven', but the model beep"),
        ("config check --config {tmp}/model.toml", 3, "no model bundle 'nothing'"),
        ("config check --config {tmp}/chat.toml", 2, "chat_ids is [1], but there is no bot token"),
        ("train {tmp}/no.toml --data {tmp}", 2, "cannot read recipe {tmp}/no.toml"),
        ("dataset label {tmp}/no", 2, "Directory '{tmp}/no' does not exist."),
        ("dataset label {tmp}/none", 1, "{tmp}/none holds no audio files."),
        ("dataset label {tmp}", 1, "{tmp}/empty.wav is empty"),
        (
            "dataset label {tmp} --labels beep,,wash",
            2,
            "--labels is 'beep,,wash'; give one to nine",
        ),
        ("dataset label {tmp} --labels beep,beep", 2, "--labels is 'beep,beep'; give one to nine"),
        ("dataset label {tmp} --labels 1,2,3,4,5,6,7,8,9,0", 2, "give one to nine different names"),
        ("dataset label {tmp} --port 65536", 2, "Invalid value for '--port'"),
        ("dataset label {tmp} --host nowhere.invalid", 2, "cannot listen on nowhere.invalid port"),
        ("dataset label {tmp} --host nowhere.invalid", 2, "known. Choose others with --port and"),
        ("dataset label {tmp} --model nothing --port 0", 3, "no model bundle 'nothing'"),
    ],
)
def test_a_wrong_use_is_one_line_and_its_exit_code(
    line: str, exit_code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`record` has said what it is about before."""
    (tmp_path / "text.wav").write_text("no sound at all\n" * 20)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "none").mkdir()
    (tmp_path / "rule.toml").write_text("[[rules]]\nlabel = 'oven'\n")
    (tmp_path / "model.toml").write_text("[model]\nbundle = 'nothing'\n")
    (tmp_path / "chat.toml").write_text("[notify.telegram]\nchat_ids = [1]\n")
    long = "x" * 300

    def filled(text: str) -> str:
        return text.replace("{tmp}", str(tmp_path)).replace("{long}", long)

    words = [filled(word) for word in line.split()]
    assert run_command_line(words) == exit_code
    complaints = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("beepwatch: ")
    ]
    assert len(complaints) == 1
    assert filled(said) in complaints[0]


@pytest.mark.parametrize("words", [["--debug", "events"], ["events", "--debug"]])
def test_a_traceback_is_shown_only_with_debug_wherever_it_stands(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for given, shown in ((words, True), ([word for word in words if word != "--debug"], False)):
        assert run_command_line([*given, "--since", "yesterday"]) == 2
        complaint = capsys.readouterr().err
        assert ("Traceback" in complaint) is shown
        assert complaint.splitlines()[-1].startswith("beepwatch: --since is 'yesterday'")


def test_an_error_that_nobody_expected_is_one_line_too_and_keeps_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError(f"The token `{TOKEN}`\nwas rejected by the server.")

    monkeypatch.setattr(configuration, "load_settings", break_down)
    assert run_command_line(["config", "check"]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith(
        "beepwatch: this should not happen: RuntimeError: The token `…` was"
    )
    assert run_command_line(["config", "check", "--debug"]) == 1
    complaint = capsys.readouterr().err
    assert "Traceback" in complaint
    assert TOKEN.partition(":")[2] not in complaint


@pytest.mark.parametrize("verb", ["teach --list", "config check"])
def test_the_service_s_state_is_not_taken_for_an_empty_one(verb: str, tmp_path: Path) -> None:
    """It belongs to a user of its own; that nothing is taught there is not known."""
    (tmp_path / "state").mkdir(mode=0)
    done = program(*verb.split(), before=AS_ANYBODY if os.geteuid() == 0 else ())
    (tmp_path / "state").chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"beepwatch: the state directory {tmp_path}/state cannot be used: Permission denied. "
        "Run it with sudo if it is the service's, or set store.directory to another one.\n"
    )


def test_a_scan_goes_on_without_the_service_s_taught_sounds(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0)
    before = AS_ANYBODY if os.geteuid() == 0 else ()
    done = program("scan", str(RECORDING), before=before)
    (tmp_path / "state").chmod(0o700)
    assert done.returncode == 0
    assert done.stdout.count("\n") >= BEEPS
    assert done.stderr.startswith("beepwatch: without taught sounds: the state directory")
    assert done.stderr.count("\n") == 1


def test_what_may_not_be_opened_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/var/lib/closed")

    monkeypatch.setattr(configuration, "load_settings", refused)
    assert run_command_line(["config", "check"]) == 1
    assert capsys.readouterr().err == (
        "beepwatch: /var/lib/closed is not yours to use: Permission denied. "
        "Run it with sudo if it belongs to the service, or mend its permissions.\n"
    )


def test_breaking_off_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(configuration, "load_settings", interrupt)
    assert run_command_line(["config", "check"]) == 130


def test_config_check_and_show_name_the_file_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEEPWATCH_TELEGRAM_TOKEN", TOKEN)
    file = tmp_path / "a.toml"
    file.write_text("[capture]\nsource = 'stream:rtsp://me:canary@camera/1'\n")
    assert run_command_line(["config", "check", "--config", str(file)]) == 0
    assert run_command_line(["config", "show", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: in order\n")
    assert f'capture.source = "stream:rtsp://…@camera/1"  # {file}' in said
    assert "capture.hop_s = 1.0  # default" in said
    assert TOKEN.partition(":")[2] not in said
    assert run_command_line(["config", "check"]) == 0
    assert capsys.readouterr().out == "no configuration file; defaults: in order\n"


def test_where_nothing_was_heard_events_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["events"], ["events", "--since=2h"], ["events", "--json"]):
        assert run_command_line(words) == 0
    told = "nothing yet. To listen: beepwatch run.\nnothing since 2h\n"
    assert capsys.readouterr().out == told


def test_events_of_a_demo_are_listed_with_their_alerts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The whole daemon, all processes, on the bundled recording."""
    directory = tmp_path / "demo"
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(directory))
    assert run_command_line(["demo", "--speed", "max", "--out", str(directory)]) == 0
    assert "beep" in capfd.readouterr().out
    assert run_command_line(["events", "--json", "--since", "1h"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(rows) >= BEEPS
    assert {alert["state"] for row in rows for alert in row["alerts"]} == {"sent"}
    assert run_command_line(["events"]) == 0
    assert "beep" in capfd.readouterr().out


def test_run_plays_a_file_to_its_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = f"file:{RECORDING}"
    assert run_command_line(["run", "--source", source, "--speed", "max", "--rate", "8000"]) == 0
    assert "beep" in capfd.readouterr().out
    assert (tmp_path / "state" / "beepwatch.db").is_file()


@pytest.mark.parametrize(
    ("on_terminal", "debug", "level"),
    [(True, False, "warning"), (False, False, "info"), (True, True, "debug")],
)
def test_on_a_terminal_the_daemons_log_is_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, on_terminal: bool, debug: bool, level: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal, raising=False)
    monkeypatch.setitem(options.state, "debug", debug)
    assert options.log_level() == level


def test_record_writes_what_is_not_silent(tmp_path: Path) -> None:
    out = tmp_path / "recordings"
    words = ["record", "--label", "beep", "--out", str(out), "--speed", "max"]
    assert run_command_line([*words, "--source", f"file:{RECORDING}"]) == 0
    assert list(out.rglob("*.wav"))


def test_record_goes_on_until_there_is_enough(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "recordings"
    words = ["record", "--label", "beep", "--device", "timer", "--room", "kitchen"]
    words += ["--out", str(out), "--speed", "max", "--source", f"file:{RECORDING}"]
    assert run_command_line([*words, "--until-kb", "1"]) == 0
    assert run_command_line([*words, "--until-kb", "1"]) == 0
    assert len(list(out.rglob("*.wav"))) == 1
    assert "enough is there: 1 file of" in capfd.readouterr().err
    header, row = (out / "dataset.csv").read_text().splitlines()
    listed = dict(zip(header.split(","), row.split(","), strict=True))
    assert (listed["device"], listed["room"], listed["model_label"]) == ("timer", "kitchen", "beep")


def test_training_without_torch_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.import_module

    def missing(name: str) -> ModuleType:
        if name == "beepwatch.train.training":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return there(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    (tmp_path / "manifest.csv").write_text("path,split,category\na.wav,train,speech\n")
    recipe = find_bundle("beep") / "recipe.toml"
    assert run_command_line(["train", f"{recipe}", "--data", f"{tmp_path}"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("beepwatch: training needs torch, which is not installed.")


def test_pairing_without_a_terminal_takes_a_piped_token_or_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not wait for somebody who is not there, and Python's warnings are no answer."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run_command_line(["telegram", "pair"]) == 2
    assert capsys.readouterr().err == (
        "beepwatch: there is no token, and nobody to ask for one. Run it in a terminal, or set "
        "BEEPWATCH_TELEGRAM_TOKEN to what @BotFather gave.\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    taken: list[str] = []
    monkeypatch.setattr(bot, "pair", lambda *_args, ask, **_named: taken.append(ask()))
    assert run_command_line(["telegram", "pair"]) == 0
    assert taken == [TOKEN]


def test_pairing_asks_for_a_token_whose_file_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever misses that file is told to pair."""
    file = tmp_path / "beepwatch.toml"
    file.write_text(f'[notify.telegram]\ntoken_file = "{tmp_path}/token"\n')
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    taken: list[str] = []
    monkeypatch.setattr(bot, "pair", lambda *_args, ask, **_named: taken.append(ask()))
    assert run_command_line(["telegram", "pair", "--config", str(file)]) == 0
    assert taken == [TOKEN]


def test_a_configuration_whose_runtime_is_not_there_is_not_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "beepwatch.train.networks", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    file = tmp_path / "beepwatch.toml"
    file.write_text('[model]\nruntime = "torch"\n')
    assert run_command_line(["config", "check", "--config", str(file)]) == 3
    assert "torch is not installed" in capsys.readouterr().err


def test_doctor_has_a_line_for_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = run_command_line(["doctor", "--source", "stdin"])
    lines = capsys.readouterr().out.splitlines()
    bad = {line.split()[1] for line in lines if line.startswith("BAD")}
    assert exit_code == (3 if bad & {"microphone", "model"} else int(bool(bad)))
    assert {line.split()[1] for line in lines} >= {"config", "ffmpeg", "model", "disk", "telegram"}


def test_doctor_says_by_its_exit_code_that_there_is_no_microphone(tmp_path: Path) -> None:
    assert run_command_line(["doctor", "--source", f"file:{tmp_path}/none.wav"]) == 3


# The program itself


def test_the_program_complains_on_standard_error_with_its_exit_code() -> None:
    done = program("run", "--config", "/nonexistent.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("beepwatch: the configuration file /nonexistent.toml does not")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m beepwatch config show | true', sys.executable],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
