"""A child's end of its connection to the supervisor, made for one life."""

import select
from multiprocessing.connection import Connection

import msgspec

from beepwatch.clock import Clock
from beepwatch.messages import AnyMessage, Heartbeat, decode, encode

BEAT_EVERY_S = 2.0


class SupervisorGone(Exception):
    """The other end is closed: the supervisor has died, so its children end."""


class Link:
    """Messages and heartbeats over one connection."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._beaten_s: float | None = None
        # Connection.poll builds a selector each time, which costs more than what it asks.
        self._readable = select.poll()
        self._readable.register(connection.fileno(), select.POLLIN)

    def fileno(self) -> int:
        """The connection's descriptor, for event loops."""
        return self._connection.fileno()

    def send(self, message: AnyMessage) -> None:
        """Send; waits while the connection is full. Raises SupervisorGone."""
        try:
            self._connection.send_bytes(encode(message))
        except OSError as error:
            raise SupervisorGone from error

    def receive(self, wait_s: float) -> AnyMessage | None:
        """The next message, or None when none came in time. Raises SupervisorGone."""
        try:
            if not self._readable.poll(1e3 * wait_s):
                return None
            return decode(self._connection.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError) as error:
            raise SupervisorGone from error

    def beat(self, counts: dict[str, int] | None = None) -> None:
        """Send a heartbeat if the last one is old enough."""
        now_s = self._clock.mono_s()
        if self._beaten_s is None or now_s - self._beaten_s >= BEAT_EVERY_S:
            self._beaten_s = now_s
            self.send(Heartbeat(counts=counts or {}))
