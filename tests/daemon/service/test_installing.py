"""What `beepwatch service install` and `uninstall` do and say."""

import os
from pathlib import Path

import msgspec
import pytest

import beepwatch.daemon.service
import beepwatch.daemon.systemctl
from beepwatch.classify.shelf import Shelf
from beepwatch.daemon.service import Service
from beepwatch.daemon.systemctl import user_scope
from beepwatch.daemon.units import NAME, own_installation
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.store.database import Database
from tests.classify.pitched import pitched
from tests.daemon.loud import START
from tests.daemon.service.programs import ACTIVE, FAILING, Systemd


@pytest.mark.usefixtures("as_root")
def test_it_is_written_enabled_started_and_then_left_alone(
    service: Service, systemd: Systemd, said: list[str], tmp_path: Path
) -> None:
    service.install()
    assert systemd.told() == ["daemon-reload", f"enable {NAME}", f"restart --no-block {NAME}"]
    unit = (tmp_path / "units" / NAME).read_text()
    assert "-P -m beepwatch run\n" in unit
    assert "running: listening to microphone" in said
    assert (tmp_path / "etc" / "config.toml").stat().st_mode & 0o777 == 0o644
    assert any("telegram pair --config" in line for line in said)
    service.install()
    assert len(systemd.told()) == 3
    assert f"{tmp_path / 'units' / NAME} is up to date" in said


@pytest.mark.usefixtures("as_root")
def test_an_update_restarts_it(service: Service, systemd: Systemd, tmp_path: Path) -> None:
    systemd.will("shown", ACTIVE)
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / NAME).write_text("[Service]\nExecStart=/old/beepwatch run\n")
    service.install()
    assert systemd.told() == ["daemon-reload", f"restart --no-block {NAME}"]


@pytest.mark.usefixtures("as_root")
def test_another_edition_of_the_program_is_started(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What runs has the old one in its memory, and nothing else of the unit is another."""
    service.install()
    updated = msgspec.structs.replace(own_installation(), package=tmp_path / "bin")
    monkeypatch.setattr(beepwatch.daemon.service, "own_installation", lambda: updated)
    service.install()
    assert systemd.told()[3:] == ["daemon-reload", f"restart --no-block {NAME}"]


@pytest.mark.usefixtures("as_root")
def test_what_a_run_before_has_only_written_is_carried_out(
    service: Service, systemd: Systemd
) -> None:
    """It was broken off: systemd still has the unit of before."""
    service.install()
    systemd.will("shown", f"{ACTIVE}NeedDaemonReload=yes\n")
    service.install()
    assert systemd.told()[3:] == ["daemon-reload", f"restart --no-block {NAME}"]


@pytest.mark.usefixtures("as_root")
def test_the_service_can_read_its_settings_whatever_roots_umask(
    service: Service, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        service.install()
    finally:
        os.umask(before)
    assert (tmp_path / "etc").stat().st_mode & 0o777 == 0o755


@pytest.mark.usefixtures("as_root")
def test_one_that_does_not_come_up_says_why(service: Service, systemd: Systemd) -> None:
    systemd.will("next", FAILING)
    with pytest.raises(BeepwatchError, match=r"exit code 3\): no such model\. systemd keeps"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_one_that_takes_too_long_is_not_waited_for_for_ever(
    service: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.service, "ACTIVE_WITHIN_S", 0.4)
    systemd.will("next", "ActiveState=activating\nSubState=start\n")
    with pytest.raises(BeepwatchError, match=r"does not come up \(activating"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_a_unit_that_systemd_does_not_take_is_not_written(
    service: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.program("systemd-analyze", '#!/bin/sh\nfor f; do :; done\necho "$f:3: bad" >&2\n')
    with pytest.raises(BeepwatchError, match=rf"systemd does not take {NAME}: .*:3: bad"):
        service.install()
    assert not (tmp_path / "units").exists()


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("directory", "file", "named"), [(0o700, 0o644, "etc"), (0o755, 0o640, r"config\.toml")]
)
def test_settings_that_the_service_could_not_read_are_named(
    service: Service, tmp_path: Path, directory: int, file: int, named: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.toml").write_text("")
    (tmp_path / "etc" / "config.toml").chmod(file)
    (tmp_path / "etc").chmod(directory)
    with pytest.raises(ConfigurationError, match=rf"{named} has mode .* Run: chmod o\+rX"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_a_place_that_cannot_be_written_is_named(service: Service, tmp_path: Path) -> None:
    (tmp_path / "units").write_text("a file")
    with pytest.raises(ConfigurationError, match=rf"{NAME} cannot be written: File exists"):
        service.install()


@pytest.mark.usefixtures("as_root")
def test_a_sound_that_was_taught_for_another_model_is_named(
    service: Service, said: list[str], tmp_path: Path
) -> None:
    settings = tmp_path / "etc" / "config.toml"
    settings.parent.mkdir()
    settings.write_text(f'[store]\ndirectory = "{tmp_path / "state"}"\n')
    Shelf(tmp_path / "state").put(pitched("washer", 2_000.0, model_id="0" * 12), START)
    service.install()
    (line,) = [line for line in said if "washer is left out" in line]
    assert line.endswith(f"teach washer. Give it --config {settings}, too.")


def test_a_users_own_is_written_below_the_users_settings(
    of_user: Service, said: list[str], tmp_path: Path
) -> None:
    of_user.install()
    assert (tmp_path / "config" / "systemd" / "user" / NAME).is_file()
    assert any("enable-linger" in line for line in said)
    assert not (tmp_path / "etc").exists()


# What is missing


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_who_is_not_root_is_told_what_to_type(
    service: Service, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match=rf"sudo \S+/beepwatch service {verb}`, or add"):
        getattr(service, verb)()


@pytest.mark.usefixtures("systemd")
def test_without_systemd_there_is_no_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(beepwatch.daemon.systemctl, "BOOTED", tmp_path / "none")
    with pytest.raises(ConfigurationError, match="systemd does not run on this machine"):
        Service(user_scope(), print)


def test_without_a_session_it_says_how_to_get_one(
    of_user: Service, systemd: Systemd, tmp_path: Path
) -> None:
    systemd.will("refusal", "Failed to connect to bus: No medium found\n")
    with pytest.raises(BeepwatchError, match=r"No medium found\. Log in as that user"):
        of_user.install()
    assert not (tmp_path / "config").exists()


def test_a_program_that_cannot_be_run_is_named(
    of_user: Service, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(systemd.directory))
    systemd.program("systemctl", f"#!{systemd.directory / 'none'}\n")
    with pytest.raises(BeepwatchError, match=r"systemctl could not be run: .*No such file"):
        of_user.install()


# Two of them


def test_who_installs_a_second_one_is_told_of_the_first(
    of_user: Service, said: list[str], tmp_path: Path
) -> None:
    """Two daemons tell of each beep twice, and take each other's messages from the bot."""
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / NAME).touch()
    of_user.install()
    (line,) = [line for line in said if "two tell you" in line]
    assert line.startswith("  sudo ")
    assert "service uninstall: " in line


def test_who_has_one_is_told_of_no_other(of_user: Service, said: list[str]) -> None:
    of_user.install()
    assert not any("uninstall" in line for line in said)


# Removing


@pytest.mark.usefixtures("as_root")
def test_removing_leaves_what_is_the_users(
    service: Service, systemd: Systemd, said: list[str], tmp_path: Path
) -> None:
    service.install()
    (tmp_path / "state").mkdir()
    service.uninstall()
    removing = [
        f"disable --now {NAME}",
        f"clean --what=runtime {NAME}",
        "daemon-reload",
        f"reset-failed {NAME}",
    ]
    assert systemd.told()[-4:] == removing
    assert list((tmp_path / "units").iterdir()) == []
    assert said[-1].endswith(f"{tmp_path / 'state'}, {tmp_path / 'etc'}")
    service.uninstall()
    assert systemd.told()[-4:] == removing
    assert "nothing to remove" in said[-2]


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(
    ("fragment", "removing"),
    [
        ("", [f"stop {NAME}", f"disable {NAME}", "daemon-reload", f"reset-failed {NAME}"]),
        ("/usr/lib/systemd/system/beepwatch.service", []),
    ],
)
def test_one_that_runs_without_its_file_is_stopped_unless_its_file_is_anothers(
    service: Service, systemd: Systemd, said: list[str], fragment: str, removing: list[str]
) -> None:
    systemd.will("shown", f"{ACTIVE}FragmentPath={fragment}\n")
    service.uninstall()
    assert systemd.told() == removing
    assert said[0].endswith("is not there: nothing to remove" if fragment else "is gone")


@pytest.mark.usefixtures("as_root")
def test_removing_leaves_what_no_disk_has_taken(
    service: Service, systemd: Systemd, said: list[str], tmp_path: Path
) -> None:
    """What was kept in memory, because the disk was full say."""
    service.install()
    Database(tmp_path / "run" / "beepwatch-1-a").close()
    service.uninstall()
    assert "clean --what=runtime" not in " ".join(systemd.told())
    assert str(tmp_path / "run") in said[-1]
