"""What is heard is the owner's: nobody else reads it, and nobody can call in."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.bot_api import BotApi
from tests.daemon.playing import RECORDING
from tests.end_to_end.daemon import daemon
from tests.security.watching import listening, watched

WITHOUT_MASK = "import os, sys; os.umask(0); from beepwatch.__main__ import main; sys.exit(main())"


def modes(directory: Path) -> dict[str, int]:
    """Of all below it, and of itself."""
    return {
        str(path.relative_to(directory.parent)): stat.S_IMODE(path.stat().st_mode)
        for path in (directory, *directory.rglob("*"))
    }


@pytest.mark.slow
def test_state_is_the_owners_alone_even_without_a_umask_and_no_port_is_open(
    tmp_path: Path,
) -> None:
    """Database, clips and locks, while the daemon runs and afterwards; a state two levels deep."""
    with BotApi() as api, daemon(tmp_path) as beepwatch:
        beepwatch.state = tmp_path / "share" / "beepwatch"
        beepwatch.configure("", api)
        beepwatch.start(
            *("--source", f"file:{RECORDING}", "--speed", "12"),
            command=(sys.executable, "-c", WITHOUT_MASK),
        )
        with watched(beepwatch.pid) as seen:
            api.wait_for_message(2, within_s=45)
            while_it_runs = modes(tmp_path / "share")
            assert beepwatch.wait() == 0
    afterwards = modes(tmp_path / "share")
    assert "share/beepwatch/beepwatch.db-wal" in while_it_runs
    assert any(path.endswith(".mp3") for path in afterwards)
    for path, mode in (while_it_runs | afterwards).items():
        assert mode == (0o700 if (tmp_path / path).is_dir() else 0o600), path
    assert len(seen.core_limits) >= 4
    assert seen.listening == set()


def test_a_listening_process_would_be_seen() -> None:
    """TCP and UDP, on any address."""
    program = (
        "import socket, sys\n"
        "a = socket.create_server(('127.0.0.1', 0))\n"
        "b = socket.socket(type=socket.SOCK_DGRAM); b.bind(('0.0.0.0', 0))\n"
        "print(a.getsockname()[1], b.getsockname()[1], flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        tcp, udp = process.stdout.readline().split()
        found = listening(psutil.Process(process.pid))
        process.communicate()
    assert found == {f"127.0.0.1:{tcp}", f"0.0.0.0:{udp}"}


def test_a_call_out_is_not_taken_for_an_open_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert listening(psutil.Process(os.getpid())) == {f"127.0.0.1:{port}"}
