"""A service with programs in systemd's place; tests/service/ has the real one."""

import os
from pathlib import Path

import pytest

import beepwatch.daemon.service
import beepwatch.daemon.systemctl
from beepwatch.daemon.service import Service
from beepwatch.daemon.systemctl import system_scope, user_scope
from tests.daemon.service.programs import Systemd


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    monkeypatch.setattr(beepwatch.daemon.systemctl, "BOOTED", tmp_path)
    monkeypatch.setattr(beepwatch.daemon.systemctl, "SYSTEM_UNITS", tmp_path / "units")
    for name, place in (
        ("SYSTEM_FILE", tmp_path / "etc" / "config.toml"),
        ("STATE_DIRECTORY", tmp_path / "state"),
        ("RUNTIME_DIRECTORY", tmp_path / "run"),
    ):
        monkeypatch.setattr(beepwatch.daemon.service, name, place)
    return Systemd(tmp_path / "bin")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def service(systemd: Systemd, said: list[str]) -> Service:
    return Service(system_scope(), said.append)


@pytest.fixture
def of_user(systemd: Systemd, said: list[str]) -> Service:
    return Service(user_scope(), said.append)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
