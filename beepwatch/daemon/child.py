"""One child of the supervisor over its successive lives, each with a connection of its own."""

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

import msgspec
import structlog

from beepwatch.config import environment_of_children
from beepwatch.daemon.entry import SIGNALS, encode_assignment
from beepwatch.messages import AnyMessage, Finish, Heartbeat, decode, encode

STALE_AFTER_S = 15.0
STARTING_S = 60.0  # a Pi Zero loads ONNX Runtime for half a minute
FIRST_BACKOFF_S = 0.2  # of the second death within `STORM_S`; after the first it lives at once
LONGEST_BACKOFF_S = 30.0
KILLED_BACKOFF_S = 0.5  # the longest for one that somebody killed: it would have lived
STORM_S = 60.0
MESSAGE_WITHIN_S = 5  # what has begun to come or go; a child that stops in its middle is cut off
REAPED_WITHIN_S = 2.0  # a killed process that a driver holds is left to the system
LEFT_AFTER_S = 3.0  # the same while the daemon goes on, which needs another life of it

_log = structlog.get_logger()


class Child:
    """A process that is started, listened to, and started again when it dies or hangs."""

    def __init__(
        self,
        name: str,
        module: str,
        settings: Any,  # noqa: ANN401 - each has its own
        lent: tuple[int, ...] = (),
    ) -> None:
        """`module` holds the child's `main(connection, settings)`; only the child imports it.

        Each life is `lent` these descriptors, under the same numbers; they are closed at the end.
        """
        self.name = name
        self.connection: Connection | None = None
        self.counts: dict[str, int] = {}
        self.settings = settings  # of its next life
        self.retired = False  # it said that there is no point in another life
        self.heard_of = False  # in this life
        self.hung = False  # it is being killed because it gave no sign of life
        self.left = False  # it could not be killed: a dead disk or a driver holds it
        self._module = module
        self._lent = list(lent)
        self._leaves_by_s: float | None = None
        self._killed_s: float | None = None  # since when it should be dead
        self._left: list[subprocess.Popen[bytes]] = []  # to the system
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._beat_s = 0.0
        self._deaths_s: deque[float] = deque()  # not older than STORM_S
        self._restart_at_s = 0.0

    @property
    def alive(self) -> bool:
        """Whether a process of this life runs."""
        return self._process is not None and not _has_ended(self._pidfd)

    @property
    def pid(self) -> int | None:
        """The process of this life."""
        return None if self._process is None else self._process.pid

    @property
    def sentinel(self) -> int | None:
        """A descriptor that becomes ready when the process ends."""
        return self._pidfd

    def start(self, now_s: float) -> None:
        """Begin a life: a new process with a new connection. If there can be none, it is dead.

        It leads a group of its own, so that what it has started ends with it.
        """
        try:
            self._start()
        except OSError as error:  # no memory, no descriptors: tried again like any other death
            _log.error("process_not_started", process=self.name, error=str(error))
            self._died(now_s, LONGEST_BACKOFF_S)
            return
        self._beat_s = now_s
        self.heard_of = self.hung = self.left = False
        self._leaves_by_s = self._killed_s = None
        self._left = [process for process in self._left if process.poll() is None]
        self._send(encode_assignment(self._module, self.settings))

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        _limit_waits(ours)
        # Before there is a child's own handling, ^C would end it in the middle of its imports.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            # -P: what lies in the working directory is not imported.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "beepwatch.daemon.entry", str(theirs.fileno())],
                pass_fds=[theirs.fileno(), *self._lent],
                env=environment_of_children(),
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self._pidfd = os.pidfd_open(self._process.pid)
        self.connection = Connection(ours.detach())

    def due(self, now_s: float) -> bool:
        """Whether it is dead and its backoff is over."""
        return self._process is None and not self.retired and now_s >= self._restart_at_s

    def due_in_s(self, now_s: float) -> float:
        """How long until it is due; for ever if there is no reason to wait for that."""
        if self._process is not None or self.retired or now_s >= self._restart_at_s:
            return float("inf")
        return self._restart_at_s - now_s

    def stale(self, now_s: float) -> bool:
        """Whether it was started and has not been heard of for too long."""
        limit_s = STALE_AFTER_S if self.heard_of else STARTING_S
        return self._process is not None and now_s - self._beat_s > limit_s

    def overstays(self, now_s: float) -> bool:
        """Whether it was told to leave and has not done so in time."""
        return self._leaves_by_s is not None and now_s > self._leaves_by_s

    def fresh(self, now_s: float) -> bool:
        """Whether it lives and has been heard of lately."""
        return self.alive and not self.stale(now_s)

    def excuse(self, now_s: float) -> None:
        """It was made to wait; its silence is not its fault."""
        self._beat_s = now_s

    def receive(self, now_s: float) -> AnyMessage | None:
        """The next message that is there; heartbeats only leave their counts."""
        try:
            while self.connection is not None and self.connection.poll(0):
                message = decode(self.connection.recv_bytes())
                self._beat_s = now_s
                self.heard_of = True
                if not isinstance(message, Heartbeat):
                    return message
                self.counts = message.counts
        except (EOFError, OSError, msgspec.DecodeError):
            self._hang_up()
        return None

    @property
    def speaks(self) -> bool:
        """Whether a message of it waits to be received."""
        try:
            return self.connection is not None and self.connection.poll(0)
        except OSError:
            return False

    @property
    def has_room(self) -> bool:
        """Whether a short message to it will not have to wait: most of its socket is empty."""
        if self.connection is None:
            return False
        writable = select.poll()
        writable.register(self.connection.fileno(), select.POLLOUT)
        return bool(writable.poll(0))

    def send(self, message: AnyMessage) -> bool:
        """Send; False when there is nobody to receive it."""
        return self._send(encode(message))

    def _send(self, data: bytes) -> bool:
        if self.connection is None:
            return False
        try:
            self.connection.send_bytes(data)
        except (BrokenPipeError, ConnectionResetError):
            return False  # it has gone; its last words are still to be read
        except OSError:
            self._hang_up()
            return False
        return True

    def dismiss(self, now_s: float, within_s: float) -> None:
        """Tell it to make room for its next life, which begins as soon as it has."""
        if self._process is None or self._leaves_by_s is not None:
            return
        self._leaves_by_s = now_s + within_s
        self.send(Finish(within_s=within_s, for_good=False))

    @property
    def dismissed(self) -> bool:
        """Whether it was told to make room."""
        return self._leaves_by_s is not None

    def bury(self, now_s: float) -> int | None:
        """Clear away a dead process and set its backoff; its exit code, None while it lives.

        One that was killed and does not end is left to the system: what holds it, as a disk that
        does not answer, must not keep the next life from beginning.
        """
        process = self._process
        if process is None or (self.alive and not self._outlives_its_end(now_s)):
            return None
        _kill_group(process.pid)  # before it is reaped: until then the number is its own
        exit_code = -signal.SIGKILL if self.left else process.wait()
        self._forget()
        if self.dismissed:
            self._restart_at_s = now_s
        else:
            killed = exit_code == -signal.SIGKILL and not self.hung
            self._died(now_s, KILLED_BACKOFF_S if killed else LONGEST_BACKOFF_S)
        return exit_code

    def _outlives_its_end(self, now_s: float) -> bool:
        """Whether it was killed a while ago; it is then left."""
        if not self.hung or self._process is None:
            return False
        if self._killed_s is None:
            self._killed_s = now_s
        if now_s - self._killed_s < LEFT_AFTER_S:
            return False
        _log.error("process_left_to_the_system", process=self.name, pid=self._process.pid)
        self.left = True
        self._left.append(self._process)
        return True

    def _died(self, now_s: float, longest_backoff_s: float) -> None:
        self._deaths_s.append(now_s)
        while now_s - self._deaths_s[0] > STORM_S:
            self._deaths_s.popleft()
        earlier = len(self._deaths_s) - 1
        backoff_s = min(longest_backoff_s, FIRST_BACKOFF_S * 2 ** (earlier - 1)) if earlier else 0.0
        self._restart_at_s = now_s + backoff_s

    def kill(self) -> None:
        """End it, and what it has started, as soon as the system can; `bury` follows."""
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid)

    def put_to_rest(self) -> None:
        """Kill it if it lives, and wait for that; there is no further life."""
        self.kill()
        for process in [*self._left, *filter(None, [self._process])]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(REAPED_WITHIN_S)
        self._left.clear()
        self._forget()
        while self._lent:
            os.close(self._lent.pop())

    def _forget(self) -> None:
        self._process = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        self._hang_up()

    def _hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def _has_ended(pidfd: int | None) -> bool:
    """Whether the process is dead, without reaping it."""
    if pidfd is None:
        return True
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    return bool(ended.poll(0))


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _limit_waits(end: socket.socket) -> None:
    """Let a blocking read or write fail, so that a stopped child cannot stop the supervisor."""
    limit = struct.pack("ll", MESSAGE_WITHIN_S, 0)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
