"""A network of its own for a program, and the one wire that leads out of it.

Making one takes root with CAP_NET_ADMIN; where the kernel says no, the test is skipped, and says
so.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_numbers = itertools.count()


class Wire:
    """Two ends, each with an address: `here` on this side, the other one where the program is."""

    def __init__(self, holder: int, name: str, here: str, there: str) -> None:
        self.here = here
        self._inside = ("nsenter", "--net", "--target", str(holder))
        self._far = f"{name}b"
        self._near = f"{name}a"
        _ip("link", "add", self._near, "type", "veth", "peer", self._far, "netns", str(holder))
        _ip("address", "add", f"{here}/30", "dev", self._near)
        _ip("address", "add", f"{there}/30", "dev", self._far, before=self._inside)
        self.plug(near=True)
        self.plug(near=False)

    def inside(self, *command: str) -> list[str]:
        """The words that run a command at the other end."""
        return [*self._inside, *command]

    def pull(self, *, near: bool) -> None:
        """Set an end down, `ip link set … down`: the near one is a cable that is pulled at the far
        side of it, the far one an interface that is switched off.
        """
        self._set("down", near=near)

    def plug(self, *, near: bool) -> None:
        """Set it up again."""
        self._set("up", near=near)

    def _set(self, state: str, *, near: bool) -> None:
        end, before = (self._near, ()) if near else (self._far, self._inside)
        _ip("link", "set", end, state, before=before)


@contextmanager
def wire() -> Iterator[Wire]:
    """A new one, which ends with the network at its other end."""
    assert shutil.which("ip") is not None, "script/setup installs iproute2"
    number = next(_numbers)
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo made && read -r _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if not holder.stdout.readline():
            pytest.skip(f"this machine gives nobody a network: {holder.stderr.read().decode()}")
        # Of the addresses for tests between networks (RFC 2544), four for each process and wire.
        host = 4 * (os.getpid() % 4_096 + 4_096 * (number % 8))
        at = [f"198.{18 + (host >> 16)}.{host >> 8 & 255}.{(host & 255) + end}" for end in (1, 2)]
        yield Wire(holder.pid, f"bw{os.getpid()}-{number}", *at)
    finally:
        holder.communicate()


def _ip(*words: str, before: tuple[str, ...] = ()) -> None:
    done = subprocess.run([*before, "ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
