"""Each check of the doctor finds what is wrong and says what to do."""

import ast
import os
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from beepwatch.capture import diagnosis
from beepwatch.classify.machines import Machines
from beepwatch.classify.shelf import Shelf
from beepwatch.config import load
from beepwatch.daemon import doctor, systemctl
from beepwatch.daemon.doctor import Check, checks
from beepwatch.daemon.units import NAME
from beepwatch.sections import Capture
from tests.bot_api import TOKEN, UNAUTHORIZED, BotApi
from tests.classify.pitched import pitched
from tests.daemon.fans import normal_fan
from tests.daemon.loud import START
from tests.end_to_end.sounds import BEEPS
from tests.small_disk import BrokenDisk, broken_disk


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No unit of whoever runs the tests is seen."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def _systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It seems to run this machine; its programs are what the PATH has."""
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no fault of the input."""
    monkeypatch.setattr(diagnosis, "_GIVE_UP_S", 60.0)
    monkeypatch.setattr(diagnosis, "_ANSWERS_WITHIN_S", 120.0)


def _checks(directory: Path, text: str = "", sound: Path = BEEPS) -> dict[str, Check]:
    file = directory / "config.toml"
    file.write_text(
        f'[capture]\nsource = "file:{sound}"\n[store]\ndirectory = "{directory}/state"\n'
        f"min_free_mb = 1\n{text}"
    )
    return {check.name: check for check in checks(load(file, {}))}


def _program(directory: Path, name: str, prints: str) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{prints}'\n")
    program.chmod(0o755)


def test_all_is_well_with_a_sound_a_model_and_a_disk(tmp_path: Path) -> None:
    found = _checks(tmp_path)
    assert [name for name, check in found.items() if not check.ok] == []
    assert list(found) == [
        *(
            "config",
            "microphone",
            "level",
            "ffmpeg",
            "model",
            "rules",
            "disk",
            "telegram",
            "service",
        ),
    ]
    assert "16000 Hz" in found["microphone"].found
    assert found["model"].as_line().startswith("ok   model       beep ")


def test_taught_sounds_are_named_and_a_broken_one_is_bad(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "state")
    shelf.put(pitched("washer", 2_000.0), START)
    found = _checks(tmp_path)
    assert found["model"].found.endswith("beep, washer")
    assert found["rules"].found == "what is told: beep, washer"
    assert "taught" not in found
    (shelf.directory / "washer" / "head.json").write_text("{")
    found = _checks(tmp_path)
    assert found["model"].ok
    assert not found["taught"].ok
    assert "washer is left out" in found["taught"].as_line()


def test_who_is_to_teach_a_sound_again_is_told_for_which_configuration(tmp_path: Path) -> None:
    Shelf(tmp_path / "state").put(pitched("washer", 2_000.0, model_id="0" * 12), START)
    line = _checks(tmp_path)["taught"].as_line()
    assert line.endswith(f"beepwatch teach washer. Give it --config {tmp_path}/config.toml, too.")


def test_machines_are_named_and_a_broken_one_is_bad(tmp_path: Path) -> None:
    shelf = Machines(tmp_path / "state")
    shelf.put(normal_fan(), START)
    assert _checks(tmp_path)["machines"].as_line() == "ok   machines    listened to: fan"
    (shelf.directory / "fan" / "normal.json").write_text("{")
    found = _checks(tmp_path)["machines"]
    assert not found.ok
    assert "fan/normal.json" in found.found


def test_a_rule_for_a_sound_that_is_not_there_is_bad(tmp_path: Path) -> None:
    rules = _checks(tmp_path, '[[rules]]\nlabel = "dryer"\n')["rules"]
    assert not rules.ok
    assert "beepwatch teach dryer FILES" in rules.found


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    found = _checks(tmp_path, sound=tmp_path / "none.wav")
    assert not found["microphone"].ok
    assert "none.wav" in found["microphone"].as_line()
    assert found["microphone"].as_line().startswith("BAD  microphone")


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("No input. `beepwatch doctor` tells what is seen.", "No input."),
        ("Is it held? Run `beepwatch doctor`.", "Is it held?"),
        ("It is lost; if that does not help, run `beepwatch doctor`.", "It is lost."),
        ("Set capture.source, or run `beepwatch doctor`.", "Set capture.source."),
    ],
)
def test_nobody_is_sent_to_the_doctor_who_is_there(told: str, left: str) -> None:
    assert doctor.for_who_is_here(told) == left


def test_a_fault_of_the_microphone_does_not_send_to_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(capture: Capture) -> diagnosis.MicrophoneReport:
        said = "there is no input device. `beepwatch doctor` tells what is seen."
        return diagnosis.MicrophoneReport(source=capture.source, faults=(said,))

    monkeypatch.setattr(doctor, "microphone_report", absent)

    assert _checks(tmp_path)["microphone"].found == "there is no input device."


def test_every_sentence_that_sends_to_the_doctor_is_one_that_is_left_out() -> None:
    """In the sources: who writes another one has to tell the doctor of it."""
    package = Path(doctor.__file__).parents[1]
    texts = [
        node.value
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    sending = [text for text in texts if "`beepwatch doctor`." in text]

    assert len(sending) > 5
    assert [text for text in sending if "doctor" in doctor.for_who_is_here(f" {text}")] == []


def test_nothing_but_zeros_is_no_level(tmp_path: Path) -> None:
    silence = tmp_path / "silence.wav"
    with wave.open(str(silence), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(64_000))
    level = _checks(tmp_path, sound=silence)["level"]
    assert not level.ok
    assert "-inf dBFS" in level.found
    assert "unmute" in level.todo


def test_without_ffmpeg_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = tmp_path / "tone.wav"
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 250)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = _checks(tmp_path, sound=wav)
    assert not found["ffmpeg"].ok
    assert "apt install ffmpeg" in found["ffmpeg"].todo
    assert "no systemd" in found["service"].found


@pytest.mark.usefixtures("_systemd")
def test_an_ffmpeg_without_mp3_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "ffmpeg", "V..... only pictures")
    _program(tmp_path, "systemctl", "ActiveState=failed\nLoadState=loaded")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = _checks(tmp_path)
    assert not found["ffmpeg"].ok
    assert "libmp3lame" in found["ffmpeg"].todo
    assert not found["service"].ok
    assert found["service"].found == "beepwatch.service is failed"
    assert found["service"].todo.startswith("Why: sudo ")


@pytest.mark.usefixtures("_systemd")
@pytest.mark.parametrize(
    ("of_session", "state", "ok", "said"),
    [
        (False, "active", True, "beepwatch.service is active"),
        (
            False,
            "inactive",
            True,
            "beepwatch.service is inactive. To start it: sudo systemctl start beepwatch.",
        ),
        (True, "active", False, "beepwatch.service of your session is active. Two tell you of"),
    ],
)
def test_a_service_of_the_session_is_seen_as_well(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of_session: bool,
    state: str,
    ok: bool,
    said: str,
) -> None:
    """Here both managers answer alike; the user's is asked only where it has a unit."""
    units = tmp_path / "config" / "systemd" / "user"
    units.mkdir(parents=True)
    if of_session:
        (units / NAME).touch()
    _program(tmp_path, "systemctl", f"ActiveState={state}\nLoadState=loaded")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    service = _checks(tmp_path)["service"]
    assert service.ok is ok
    assert service.as_line()[len("ok   service     ") :].startswith(said)


def test_a_machine_that_systemd_does_not_run_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs may lie there all the same."""
    _program(tmp_path, "systemctl", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path / "none")
    service = _checks(tmp_path)["service"]
    assert service.as_line() == "ok   service     no systemd here; `beepwatch run` does it all"


@pytest.mark.usefixtures("_systemd")
def test_where_no_service_is_installed_it_says_how_to_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd calls a unit that is not there inactive, as one that was stopped."""
    _program(tmp_path, "systemctl", "ActiveState=inactive\nLoadState=not-found")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    service = _checks(tmp_path)["service"]
    assert service.ok
    assert service.as_line() == (
        "ok   service     none is installed. "
        "To have it run from boot on: beepwatch service install."
    )


def test_another_users_state_is_not_said_to_be_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's, which is nobody's but its own."""
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "access", lambda *_asked: False)
    disk = _checks(tmp_path)["disk"]
    assert not disk.ok
    assert disk.as_line().endswith(
        "is not yours to look into. Run it with sudo if it is the service's."
    )


def test_a_program_that_cannot_be_run_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ffmpeg").write_bytes(b"\x7fELF no program")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    ffmpeg = _checks(tmp_path)["ffmpeg"]
    assert not ffmpeg.ok
    assert "ffmpeg could not be run: " in ffmpeg.found
    assert ffmpeg.as_line().endswith("Install it again: apt install --reinstall ffmpeg.")


def test_a_program_that_does_not_answer_in_time_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setattr("beepwatch.daemon.doctor.PROGRAM_WITHIN_S", 0.2)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "timed out after 0.2 seconds" in _checks(tmp_path)["ffmpeg"].found


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    model = _checks(tmp_path, '[model]\nbundle = "kettle"\n')["model"]
    assert not model.ok
    assert "kettle" in model.found


def test_a_state_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    disk = _checks(tmp_path)["disk"]
    assert not disk.ok
    assert str(tmp_path / "state") in disk.found


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (BrokenDisk.break_it, "Read-only file system"),
        (BrokenDisk.pull, "Input/output error"),
    ],
)
def test_a_disk_that_takes_nothing_is_named(
    fault: Callable[[BrokenDisk], None], said: str, tmp_path: Path
) -> None:
    with broken_disk(tmp_path) as broken:
        assert _checks(broken.path)["disk"].ok
        fault(broken)
        config = tmp_path / "config.toml"
        config.write_text(f'[store]\ndirectory = "{broken.path}/state"\n')
        disk = {check.name: check for check in checks(load(config, {}))}["disk"]
    assert not disk.ok
    assert disk.found.endswith(f"takes nothing any more: {said}")


def test_a_connected_phone_is_asked_for_its_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEEPWATCH_TELEGRAM_TOKEN", TOKEN)
    with BotApi() as api:
        text = f'[notify.telegram]\nchat_ids = [1, 2]\nbase_url = "{api.base_url}"\n'
        telegram = _checks(tmp_path, text)["telegram"]
    assert telegram.ok
    assert telegram.found == "@laundry_bot, 2 chats"


def test_a_chat_without_a_token_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon does not begin with it."""
    monkeypatch.delenv("BEEPWATCH_TELEGRAM_TOKEN", raising=False)
    telegram = _checks(tmp_path, "[notify.telegram]\nchat_ids = [1]\n")["telegram"]
    assert telegram.as_line().startswith("BAD  telegram    notify.telegram.chat_ids is [1], but")


def test_a_phone_is_connected_to_the_configuration_that_was_looked_at(tmp_path: Path) -> None:
    telegram = _checks(tmp_path)["telegram"]
    assert telegram.todo.endswith(f"beepwatch telegram pair --config {tmp_path}/config.toml.")


def test_a_wrong_token_is_told_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEEPWATCH_TELEGRAM_TOKEN", TOKEN)
    with BotApi() as api:
        api.always("getMe", UNAUTHORIZED)
        text = f'[notify.telegram]\nchat_ids = [1]\nbase_url = "{api.base_url}"\n'
        telegram = _checks(tmp_path, text)["telegram"]
    assert not telegram.ok
    assert "token" in telegram.found
    assert TOKEN not in telegram.as_line()
