"""One life of a worker, as the server sees it: a process and a connection."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TypeVar

import msgspec

from beepwatch.config import environment_of_children
from beepwatch.web.inference.answers import Answer, Heard, Ready, Refused, Unable
from beepwatch.web.inference.worker import LENGTH, Settings

STARTING_S = 60.0  # a Pi Zero loads ONNX Runtime for half a minute
HEARING_S = 120.0  # an upload that takes longer is given up
_ENDS_WITHIN_S = 3.0
_READ_BYTES = 1 << 16
# Memory that the network needs for every upload is kept: returned to the system each time, it has
# to be cleared page by page the next time, a fifth of the time that a 10 s clip takes.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "268435456", "MALLOC_TRIM_THRESHOLD_": "268435456"}

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

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def hear(self, descriptor: int) -> Heard | Refused:
        """What it answers to an upload. Raises WorkerLost, and TooSlow once it has killed it."""
        try:
            socket.send_fds(self._connection, [b"\0"], [descriptor])
            async with asyncio.timeout(HEARING_S):
                answer = await self.answer()
        except TimeoutError:
            self.kill()
            raise TooSlow(f"it took longer than {HEARING_S:g} s to decode.") from None
        except OSError as error:
            raise WorkerLost(str(error)) from None
        if isinstance(answer, Heard | Refused):
            return answer
        raise WorkerLost(answer.reason if isinstance(answer, Unable) else "it said the wrong thing")

    async def answer(self) -> Answer:
        """Its next message. Raises WorkerLost if there comes none."""
        try:
            head = await self._read(LENGTH.size)
            encoded = await self._read(LENGTH.unpack(head)[0])
        except (EOFError, OSError):
            raise WorkerLost("the process has ended") from None
        answer: Answer = msgspec.msgpack.decode(encoded, type=Answer)
        return answer

    async def _read(self, size: int) -> bytes:
        loop, pieces, missing = asyncio.get_running_loop(), [], size
        while missing:
            piece = await loop.sock_recv(self._connection, min(missing, _READ_BYTES))
            if not piece:
                raise EOFError
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

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


async def begin(settings: Settings) -> tuple[Life, Ready]:
    """A process that is ready to hear. Raises WorkerLost with what it said, if it said anything."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        try:
            process = subprocess.Popen(
                # -P: what lies in the working directory is not imported.
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "beepwatch.web.inference.worker",
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # where decoders note what they skip
                env=_KEEP_MEMORY | environment_of_children(),
                process_group=0,  # ^C is the server's business
            )
        except OSError as error:  # no memory, no descriptors
            ours.close()
            raise WorkerLost(f"no process could be started: {error}") from None
    life = Life(process, ours)
    try:
        async with asyncio.timeout(STARTING_S):
            encoded = msgspec.msgpack.encode(settings)
            await asyncio.get_running_loop().sock_sendall(ours, LENGTH.pack(len(encoded)) + encoded)
            first = await life.answer()
    except (TimeoutError, OSError):
        await life.end()
        raise WorkerLost("it did not begin") from None
    except BaseException:
        await life.end()
        raise
    if isinstance(first, Ready):
        return life, first
    await life.end()
    raise WorkerLost(first.reason if isinstance(first, Unable) else "it said the wrong thing")
