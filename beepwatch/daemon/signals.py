"""What the system and the user want of the daemon: asked at any time, from its start to its end."""

import os
import signal
import socket
from types import FrameType, TracebackType

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """SIGTERM and SIGINT end the daemon in order, a second one at once; SIGHUP reloads.

    While no supervisor attends to them, as when a state moves to its disk between two lives, the
    first is kept for the next one, and a second ends the process.
    """

    def __init__(self, *, hangup_reloads: bool = True) -> None:
        self.ends = 0  # how often an end was asked for
        self.reload_asked = False
        self.attended = False
        self._hangup_reloads = hangup_reloads
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)

    def __enter__(self) -> "Signals":
        self._wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._on_signal) for number in NUMBERS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._wake.close()
        self._waker.close()

    def fileno(self) -> int:
        """Becomes readable with a signal."""
        return self._wake.fileno()

    def clear(self) -> None:
        """What came is known."""
        self._wake.recv(64)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self._hangup_reloads:
            self.reload_asked = True
            return
        self.ends += 1
        if self.ends > 1 and not self.attended:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
