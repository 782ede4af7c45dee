"""Readiness, status and watchdog messages to systemd (sd_notify(3)); without it, nothing."""

import contextlib
import socket

from beepwatch.secrecy import without_secrets


class ServiceManager:
    """The socket of `NOTIFY_SOCKET`; an empty address says that there is no service manager."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._watchdog_s = watchdog_s or 0.0
        self.ping_every_s = None if watchdog_s is None else watchdog_s / 3

    @property
    def listens(self) -> bool:
        """Whether there is one, which starts us again."""
        return bool(self._address)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ready(self) -> None:
        """The start is complete."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`, which everybody on the machine may ask for."""
        self._send(f"STATUS={' '.join(without_secrets(text).split())}")

    def alive(self, *, starting: bool = False) -> None:
        """All is well: put the watchdog off, or the end of the time that a start may take."""
        if starting:
            self._send(f"EXTEND_TIMEOUT_USEC={self._watchdog_s * 1e6:.0f}")
        else:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # A service manager that is busy or being restarted is no reason to stop listening.
        with contextlib.suppress(OSError):
            self._socket.sendto(state.encode(), self._address)
