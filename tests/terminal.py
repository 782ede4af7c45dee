"""The program on a terminal: what a person sees there, types there and breaks off there."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WITHIN_S = 200.0  # where all processors are busy; a test has 240 s
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
INTERRUPT = "\x03"


class Terminal:
    """A program that was started on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.terminal", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm"},  # noqa: TID251 - what the process gets
            start_new_session=True,
        )
        os.close(theirs)
        self._received = b""

    @property
    def seen(self) -> str:
        """All that was ever written there, without colours and the like."""
        text = _CONTROL.sub("", self._received.decode(errors="replace"))
        return text.replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> str:
        """Until something there matches; what does."""
        give_up_s = time.monotonic() + _WITHIN_S
        while True:
            if match := re.search(pattern, self.seen):
                return match[0]
            assert time.monotonic() < give_up_s, self.seen
            assert self._read(), self.seen

    def type(self, keys: str) -> None:
        """As if typed."""
        os.write(self._own, keys.encode())

    def end(self) -> int:
        """Wait for its end; the exit code."""
        while self._read():
            pass
        return self.process.wait(_WITHIN_S)

    def close(self) -> None:
        """Whatever has become of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._own)

    def _read(self) -> bool:
        """False once nobody has the terminal open any more."""
        if not select.select([self._own], [], [], _WITHIN_S)[0]:
            return False
        try:
            piece = os.read(self._own, 65_536)
        except OSError:  # EIO: the last one has closed it
            return False
        self._received += piece
        return bool(piece)


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    """`beepwatch` with these words, ended afterwards."""
    there = Terminal(*words)
    try:
        yield there
    finally:
        there.close()


def main() -> None:
    """In the process: what is standard input becomes its controlling terminal, for ^C to come."""
    fcntl.ioctl(sys.stdin, termios.TIOCSCTTY, 0)
    os.execv(sys.executable, [sys.executable, "-m", "beepwatch", *sys.argv[1:]])  # noqa: S606 - as


if __name__ == "__main__":
    main()
