"""What anybody on the machine can see of running processes."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass(kw_only=True)
class Seen:
    """Of a process and all that it has started, gathered again and again."""

    command_lines: set[bytes] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)
    inherited: set[bytes] = field(default_factory=set)  # environments of those it has started
    core_limits: dict[int, str] = field(default_factory=dict)  # by process, the last one
    listening: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)  # addresses at the other end

    def look(self, pid: int) -> None:
        """Once more; what ends meanwhile was seen before or is not."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            self._look_at(parent)
            for process in parent.children(recursive=True):
                self.inherited.add(self._look_at(process))

    def _look_at(self, process: psutil.Process) -> bytes:
        """Its environment, empty if it is gone."""
        of = Path(f"/proc/{process.pid}")
        environment = b""
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            self.command_lines.add((of / "cmdline").read_bytes())
            environment = (of / "environ").read_bytes()
            self.environments.add(environment)
            for line in (of / "limits").read_text().splitlines():
                if line.startswith("Max core file size"):
                    self.core_limits[process.pid] = " ".join(line.split()[4:6])
            self.listening |= listening(process)
            self.called |= called(process)
        return environment


def listening(process: psutil.Process) -> set[str]:
    """Addresses at which a process waits for others: TCP, and UDP that is bound to a port."""
    found = set()
    for one in process.net_connections(kind="inet"):
        open_tcp = one.type == socket.SOCK_STREAM and one.status == psutil.CONN_LISTEN
        open_udp = one.type == socket.SOCK_DGRAM and not one.raddr
        if open_tcp or open_udp:
            found.add(f"{one.laddr.ip}:{one.laddr.port}")
    return found


def called(process: psutil.Process) -> set[str]:
    """Addresses of the network that a process is connected to."""
    ends = (one.raddr for one in process.net_connections(kind="inet") if one.raddr)
    return {f"{end.ip}:{end.port}" for end in ends}


@contextlib.contextmanager
def watched(pid: int) -> Iterator[Seen]:
    """Look at a process and its children all the time."""
    seen = Seen()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.look(pid)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def files_that_hold(directory: Path, *words: bytes) -> list[str]:
    """Files below a directory with one of these in their names or bytes."""
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file()
        and any(word in path.read_bytes() or word in bytes(path) for word in words)
    )
