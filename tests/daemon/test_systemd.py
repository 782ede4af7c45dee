"""What systemd is told, over a real socket in its place."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from beepwatch.daemon.systemd import ServiceManager


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_while_it_starts_it_asks_for_time_and_then_puts_the_watchdog_off(
    systemd: socket.socket,
) -> None:
    """Three times the ping's own interval, so that one lost message is no end."""
    manager = ServiceManager(systemd.getsockname(), watchdog_s=60.0)
    assert manager.ping_every_s == 20.0
    manager.alive(starting=True)
    assert systemd.recv(100) == b"EXTEND_TIMEOUT_USEC=60000000"
    manager.ready()
    assert systemd.recv(100) == b"READY=1"
    manager.alive()
    assert systemd.recv(100) == b"WATCHDOG=1"
    manager.close()


def test_a_status_cannot_smuggle_in_another_message(systemd: socket.socket) -> None:
    manager = ServiceManager(systemd.getsockname(), None)
    manager.status("listening to a\nWATCHDOG=1")
    assert re.fullmatch(r"STATUS=[^\n]+", systemd.recv(1_000).decode())
    manager.close()


def test_a_status_that_everybody_can_read_holds_no_secret(systemd: socket.socket) -> None:
    """As of settings that were refused: a token where a path belongs, a camera's password."""
    manager = ServiceManager(systemd.getsockname(), None)
    bots = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
    manager.status(f"settings refused: token_file is {bots}, not http://me:word@camera/")
    said = "STATUS=settings refused: token_file is …, not http://…@camera/"
    assert systemd.recv(1_000).decode() == said
    manager.close()


def test_without_a_service_manager_nothing_is_said_and_nothing_fails() -> None:
    manager = ServiceManager("", None)
    manager.alive(starting=True)
    manager.stopping()
    assert manager.ping_every_s is None
    manager.close()
