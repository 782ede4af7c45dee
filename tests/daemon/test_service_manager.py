"""What systemd is told: that all is up, that all are well, what a person wants to know."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import beepwatch.daemon.child
import beepwatch.daemon.ending
import beepwatch.daemon.supervisor
from beepwatch.daemon.readiness import Readiness
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.daemon.wiring import Plan, Terms
from beepwatch.messages import Fault, FaultKind, Listening
from tests.daemon.parts import NOON, Part
from tests.daemon.stage import Stage


@pytest.fixture(params=["path", "abstract"])
def service_manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A real socket in systemd's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"{tmp_path.name}-{os.getpid()}"
        listening.bind(str(tmp_path / "notify") if request.param == "path" else f"\0{name}")
        listening.settimeout(30)
        yield listening


def address_of(listening: socket.socket) -> str:
    name = listening.getsockname()
    return name if isinstance(name, str) else "@" + name[1:].decode()


def all_said(listening: socket.socket) -> list[str]:
    """What has come so far."""
    said = []
    listening.setblocking(False)
    try:
        while True:
            said.append(listening.recv(1_000).decode())
    except BlockingIOError:
        listening.settimeout(30)
        return said


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_the_watchdog_is_put_off_only_while_all_children_are_well(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, service_manager: socket.socket
) -> None:
    monkeypatch.setattr(beepwatch.daemon.child, "STALE_AFTER_S", 2.0)
    monkeypatch.setattr(beepwatch.daemon.supervisor, "STOPS_WITHIN_S", 0.1)
    monkeypatch.setattr(beepwatch.daemon.ending, "KILLED_AFTER_S", 0.1)
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=0.15)
    said: list[str] = []

    def hear_that_all_is_well() -> None:
        while "READY=1" not in said or said[-1] != "WATCHDOG=1":
            said.append(service_manager.recv(1_000).decode())

    def refuse(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    def stop_a_child() -> None:
        monkeypatch.setattr(beepwatch.daemon.child, "FIRST_BACKOFF_S", 3_600.0)
        monkeypatch.setattr(beepwatch.daemon.child, "LONGEST_BACKOFF_S", 3_600.0)
        monkeypatch.setattr(subprocess, "Popen", refuse)
        pid = stage.pid("classifier")
        os.kill(pid, signal.SIGSTOP)
        stage.wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the classifier's end")

    def hear_nothing_more() -> None:
        said.extend(all_said(service_manager))
        service_manager.settimeout(1.0)
        with pytest.raises(TimeoutError):
            service_manager.recv(1_000)

    stage.play(
        lambda: stage.wait_for("messenger began"),
        hear_that_all_is_well,
        stop_a_child,
        hear_nothing_more,
        stage.signal,
    )
    assert said.count("READY=1") == 1
    assert "STATUS=listening to test" in said
    before = said[: said.index("READY=1")]
    assert "EXTEND_TIMEOUT_USEC=150000" in before
    assert "WATCHDOG=1" not in before


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_the_start_is_complete_without_a_microphone(
    stage: Stage, service_manager: socket.socket
) -> None:
    """A service that waits for its microphone is no failed start; the user hears of it later."""
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    said: list[str] = []

    def hear(what: str) -> None:
        while what not in said:
            said.append(service_manager.recv(1_000).decode())

    stage.play(
        lambda: hear("STATUS=waiting for the microphone"),
        lambda: stage.put("microphone"),
        lambda: hear("STATUS=listening to test"),
        lambda: stage.wait_for("started: "),
        stage.signal,
        recorder="waiting_recorder",
        notices=True,
    )
    assert said.index("READY=1") < said.index("STATUS=waiting for the microphone")
    assert said.count("READY=1") == 1


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_a_microphone_that_goes_away_is_in_the_status(
    stage: Stage, service_manager: socket.socket
) -> None:
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    stage.play(
        lambda: stage.wait_for("recovered"), lambda: stage.put("end"), recorder="faulty_recorder"
    )
    said = [text for text in all_said(service_manager) if text.startswith("STATUS=")]
    assert said[-1] == "STATUS=listening to test"


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_settings_that_were_refused_are_in_the_status_until_others_are_taken(
    stage: Stage, service_manager: socket.socket
) -> None:
    """`systemctl reload` itself says nothing of it."""
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    taken = Plan(
        terms=Terms(queue_windows=100, patient=True, resumable=False, notices=False),
        settings={
            name: Part(plays=name, directory=stage.directory)
            for name in ("recorder", "classifier", "messenger")
        },
    )
    plans: list[Plan | str] = ["capture.hop_s is -1", taken]
    said: list[str] = []

    def hear(what: str) -> None:
        while what not in said:
            said.append(service_manager.recv(1_000).decode())

    stage.play(
        lambda: hear("STATUS=listening to test"),
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        lambda: hear(
            "STATUS=listening to test; settings refused, the former ones go on: capture.hop_s is -1"
        ),
        said.clear,
        lambda: os.kill(os.getpid(), signal.SIGHUP),
        lambda: hear("STATUS=listening to test"),
        lambda: stage.put("end"),
        reload=lambda: plans.pop(0),
    )


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_a_disk_that_takes_nothing_is_in_the_status(
    service_manager: socket.socket,
) -> None:
    manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    readiness = Readiness(manager, disk="the disk is full")
    readiness.told = True
    readiness.listens(Listening(source="test", rate_hz=16_000, channels=1))
    fault = Fault(kind=FaultKind.DISK_FULL, text="disk I/O error", since=NOON)
    readiness.hears_of(fault)
    readiness.hears_of(fault)
    readiness.hears_of(msgspec.structs.replace(fault, cleared=True))
    manager.close()
    assert all_said(service_manager) == [
        "STATUS=listening to test; the disk is full",
        "STATUS=listening to test; disk I/O error",
        "STATUS=listening to test",
    ]


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_several_sentences_in_the_status_are_one_list(service_manager: socket.socket) -> None:
    manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    readiness = Readiness(manager)
    readiness.told = True
    readiness.hears_of(Fault(kind=FaultKind.NO_DEVICE, text="There is none.", since=NOON))
    readiness.remark(settings="They were refused.")
    manager.close()
    assert all_said(service_manager)[-1] == (
        "STATUS=waiting for the microphone: There is none; They were refused."
    )


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_a_microphone_that_comes_and_goes_is_not_said_to_be_listened_to(
    service_manager: socket.socket,
) -> None:
    """It is told as one long fault: that it went again, maybe for good, nobody says."""
    manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    readiness = Readiness(manager)
    readiness.told = True
    listening = Listening(source="test", rate_hz=16_000, channels=1)
    fault = Fault(kind=FaultKind.NO_DEVICE, text="it was lost", since=NOON)
    for message in (listening, fault, listening):
        if isinstance(message, Fault):
            readiness.hears_of(message)
        else:
            readiness.listens(message)
    while_it_proves_itself = all_said(service_manager)[-1]
    readiness.hears_of(msgspec.structs.replace(fault, cleared=True))
    manager.close()
    assert while_it_proves_itself == "STATUS=test comes and goes: it was lost"
    assert all_said(service_manager) == ["STATUS=listening to test"]


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_on_its_way_to_the_disk_nothing_is_at_an_end_for_systemd_or_a_person(
    stage: Stage, service_manager: socket.socket
) -> None:
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    stage.play(
        lambda: stage.wait_for("started: "),
        patient=False,
        notices=True,
        home=lambda: stage.count("started: ") > 0,
    )
    assert stage.supervisor is not None
    assert stage.supervisor.moving
    assert "STOPPING=1" not in all_said(service_manager)
    assert stage.count("stopped: ") == 0


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_a_signal_on_the_way_to_the_disk_is_an_end_and_nobody_says_twice_that_he_listens(
    stage: Stage, service_manager: socket.socket
) -> None:
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    stage.play(
        lambda: stage.wait_for("classifier began"),
        stage.signal,
        patient=False,
        notices=True,
        again=True,
        home=lambda: stage.count("messenger ended") > 0,
    )
    assert stage.supervisor is not None
    assert not stage.supervisor.moving
    assert stage.count("started: ") == 0


def test_systemd_is_told_of_the_end(stage: Stage, service_manager: socket.socket) -> None:
    stage.manager = ServiceManager(address_of(service_manager), watchdog_s=None)
    stage.play(lambda: stage.wait_for("messenger began"), lambda: stage.put("end"))
    said = all_said(service_manager)
    assert said.count("STOPPING=1") == 1
    assert "WATCHDOG=1" not in said


def test_a_status_is_one_line_and_a_service_manager_that_is_gone_is_no_error(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        manager = ServiceManager(str(tmp_path / "notify"), None)
        manager.status("listening to a\nWATCHDOG=1")
        assert re.fullmatch(r"STATUS=[^\n]+", listening.recv(1_000).decode())
    manager.ready()
    manager.close()
