"""What the kernel and the sound server's socket tell of a microphone that is not seen."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from beepwatch.capture.absence import held_cards, shut_sockets
from beepwatch.config import sound_server_sockets

AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_a_device_that_may_not_be_opened_is_named_with_its_group(tmp_path: Path) -> None:
    """Asked by a program that may not pass over a file's mode; playback is nobody's business."""
    for name in ("pcmC0D0c", "pcmC0D0p", "pcmC1D0c", "controlC0"):
        (tmp_path / name).touch(mode=0o600 if name == "pcmC1D0c" else 0o000)
    program = (
        "import sys; from pathlib import Path\n"
        "from beepwatch.capture.absence import forbidden_devices\n"
        "print(*forbidden_devices(Path(sys.argv[1])), sep=chr(10))"
    )
    told = subprocess.run(
        [*(AS_ANYBODY if os.geteuid() == 0 else ()), sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )

    (line,) = told.stdout.splitlines()
    assert f"{tmp_path}/pcmC0D0c may not be opened by this user" in line
    assert f"({(tmp_path / 'pcmC0D0c').group()})" in line


def test_the_process_that_holds_a_card_is_named(tmp_path: Path) -> None:
    """As /proc/asound has it; a card that this process holds is held by nobody else."""
    cards, processes = tmp_path / "asound", tmp_path / "proc"
    for card, text in (
        ("card0", "closed\n"),
        ("card1", "state: RUNNING\nowner_pid   : 1234\n"),
        ("card2", f"state: RUNNING\nowner_pid   : {os.getpid()}\n"),
    ):
        sub = cards / card / "pcm0c" / "sub0"
        sub.mkdir(parents=True)
        (sub / "status").write_text(text)
    (processes / "1234").mkdir(parents=True)
    (processes / "1234" / "comm").write_text("arecord\n")

    (line,) = held_cards(cards, processes)

    assert line.startswith("card1 is held by process 1234 (arecord).")


def test_a_socket_at_which_nobody_answers_is_named(tmp_path: Path) -> None:
    left_behind, used = tmp_path / "left", tmp_path / "used"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(left_behind))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(used))
        server.listen()
        (line,) = shut_sockets([tmp_path / "none", used, left_behind])

    assert line == f"Nobody answers at the sound server's socket {left_behind}. Start the server."


@pytest.mark.parametrize(
    ("environment", "sockets"),
    [
        ({"PULSE_SERVER": "unix:/run/a"}, ["/run/a"]),
        ({"PULSE_SERVER": "/run/b", "XDG_RUNTIME_DIR": "/run/user/7"}, ["/run/b"]),
        ({"PULSE_SERVER": "tcp:host:4713"}, []),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, ["/run/user/7/pulse/native", "/run/pulse/native"]),
        ({}, [f"/run/user/{os.getuid()}/pulse/native", "/run/pulse/native"]),
    ],
)
def test_the_sound_servers_socket_is_where_its_clients_look(
    environment: dict[str, str], sockets: list[str]
) -> None:
    assert [str(path) for path in sound_server_sockets(environment)] == sockets
