"""One life of a worker, as the server sees it: a process and a connection."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from beepwatch.config import environment_of_children
from beepwatch.web.inference.answers import Ready, Refused, Unable
from beepwatch.web.inference.machine import Judged
from beepwatch.web.inference.recordings import Labelled
from beepwatch.web.inference.settings import Settings
from beepwatch.web.inference.sounds import Heard
from beepwatch.web.inference.worker import IN_FULL, LENGTH, VERDICT

STARTING_S = 60.0  # a Pi Zero loads ONNX Runtime for half a minute
HEARING_S = 120.0  # an upload that takes longer is given up
_ENDS_WITHIN_S = 3.0
_READ_BYTES = 1 << 16

Told = Heard | Judged | Labelled  # of sound, whatever is heard with
_Answer = Told | Refused | Ready | Unable
_ANSWERS = msgspec.msgpack.Decoder(_Answer)
_Kind = TypeVar("_Kind")


class WorkerLost(Exception):
    """The process has ended, or said that it will."""


class TooSlow(Exception):
    """It did not answer in time."""


class Life:
    """A process that has begun."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
        self._process = process
        self._ending = os.pidfd_open(process.pid)  # readable once it has ended
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection, self._read)
        self._received = bytearray()
        self._listening = True
        self._lost = "the process has ended"
        self.ready: asyncio.Future[Ready] = self._loop.create_future()  # WorkerLost if it cannot
        self._heard: asyncio.Future[Told | Refused] | None = None
        self.freed: Callable[[], None] = _nothing  # called as soon as it has answered an upload

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def hear(self, descriptor: int, *, in_full: bool) -> "asyncio.Future[Told | Refused]":
        """Asks at once. The answer, or WorkerLost, or TooSlow once it has killed it."""
        heard = self._heard = self._loop.create_future()
        if not self._listening:
            _fail(heard, WorkerLost(self._lost))
            return heard
        timer = self._loop.call_later(HEARING_S, self._give_up)
        heard.add_done_callback(lambda _: timer.cancel())
        try:
            socket.send_fds(self._connection, [IN_FULL if in_full else VERDICT], [descriptor])
        except OSError as error:
            self._lose(str(error))
        return heard

    def _read(self) -> None:
        try:
            piece = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._lose("the process has ended")
            return
        self._received += piece
        start = LENGTH.size
        if len(self._received) < start:
            return
        end = start + LENGTH.unpack_from(self._received)[0]
        if len(self._received) >= end:
            answer = _ANSWERS.decode(memoryview(self._received)[start:end])
            self._received = bytearray()  # nothing follows, as nothing else was asked
            self._take(answer)

    def _take(self, answer: _Answer) -> None:
        if isinstance(answer, Ready) and not self.ready.done():
            self.ready.set_result(answer)
        elif isinstance(answer, Told | Refused) and self._heard and not self._heard.done():
            self._heard.set_result(answer)
            self.freed()  # before anybody has read the answer: the next upload waits already
        else:
            self._lose(answer.reason if isinstance(answer, Unable) else "it said the wrong thing")

    def _lose(self, reason: str) -> None:
        """It will not answer any more."""
        if self._listening:
            self._listening, self._lost = False, reason
            self._loop.remove_reader(self._connection)
            _fail(self.ready, WorkerLost(reason))
            _fail(self._heard, WorkerLost(reason))

    def _give_up(self) -> None:
        self.kill()
        _fail(self._heard, TooSlow(f"it took longer than {HEARING_S:g} s to decode."))

    async def ended(self) -> None:
        """Returns when the process has."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._ending, _settle, over)
        try:
            await over
        finally:
            loop.remove_reader(self._ending)

    async def end(self) -> None:
        """By itself, which it does as soon as nobody listens; else by force. To be called once."""
        if self._listening:
            self._read()  # what it has said last
        self._lose("it was ended")
        self._connection.close()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await self.ended()
        except TimeoutError:
            pass
        finally:
            self.kill()
            self._process.wait()  # at once
            os.close(self._ending)

    def kill(self) -> None:
        """With whatever it has started; does nothing to what has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: "asyncio.Future[_Kind] | None", error: Exception) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
        future.exception()  # nobody need have waited for it


def _nothing() -> None:
    pass


async def begin(settings: Settings) -> tuple[Life, Ready]:
    """A process that is ready to hear. Raises WorkerLost with what it said, if it said anything."""
    try:
        life, ours = _started()
    except OSError as error:  # no memory, no descriptors
        raise WorkerLost(f"no process could be started: {error}") from None
    try:
        async with asyncio.timeout(STARTING_S):
            encoded = msgspec.msgpack.encode(settings)
            await asyncio.get_running_loop().sock_sendall(ours, LENGTH.pack(len(encoded)) + encoded)
            return life, await life.ready
    except (TimeoutError, OSError):
        await life.end()
        raise WorkerLost("it did not begin") from None
    except BaseException:
        await life.end()
        raise


def _started() -> tuple[Life, socket.socket]:
    """A process and our end of its connection. Raises OSError, and then there is neither."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs, contextlib.ExitStack() as undoing:
        undoing.callback(ours.close)
        process = subprocess.Popen(
            # -P: what lies in the working directory is not imported.
            [sys.executable, "-P", "-m", "beepwatch.web.inference.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # where decoders note what they skip
            env=environment_of_children(),
            process_group=0,  # ^C is the server's business
        )
        undoing.callback(process.wait)
        undoing.callback(process.kill)
        life = Life(process, ours)
        undoing.pop_all()
    return life, ours
