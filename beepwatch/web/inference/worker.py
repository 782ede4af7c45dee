"""A process that hears one upload after another: `python -m beepwatch.web.inference.worker FD`.

FD is a connection to the server. First come the settings, then for every upload a byte, how much is
asked, and with it the descriptor of the sound; every answer goes back with its length before it. A
file that ends this process, or makes it grow or hang, costs no other process anything.
"""

import contextlib
import os
import resource
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from beepwatch.errors import BeepwatchError
from beepwatch.web.inference.answers import Ready, Unable
from beepwatch.web.inference.ears.upload import Ear, said_of
from beepwatch.web.inference.settings import Machine, Recordings, Settings, Sounds

LENGTH = struct.Struct("<I")  # before every message but the uploads
VERDICT, IN_FULL = b"\0", b"\1"  # what is asked of an upload
_MOST_MEMORY_BYTES = 1_500_000_000  # a damaged file may ask for any amount


def opened(settings: Settings) -> Ear:
    """What is to be heard with; of the others nothing is imported. Raises ModelError."""
    match settings:
        case Sounds():
            from beepwatch.web.inference.ears.sounds import SoundEar

            return SoundEar(settings)
        case Machine():
            from beepwatch.web.inference.ears.machine import MachineEar

            return MachineEar(settings)
        case Recordings():
            from beepwatch.web.inference.ears.recordings import RecordingEar

            return RecordingEar(settings)


def send(connection: socket.socket, message: object) -> None:
    """With its length before it."""
    encoded = msgspec.msgpack.encode(message)
    connection.sendall(LENGTH.pack(len(encoded)) + encoded)


def _receive_settings(connection: socket.socket) -> Settings:
    length = LENGTH.unpack(connection.recv(LENGTH.size, socket.MSG_WAITALL))[0]
    encoded = connection.recv(length, socket.MSG_WAITALL)
    settings: Settings = msgspec.msgpack.decode(encoded, type=Settings)
    return settings


def _set_limits() -> None:
    for limit, value in ((resource.RLIMIT_DATA, _MOST_MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):  # a lower one is set already
            resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError):  # if memory runs out, it is this process that goes
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def main(descriptor: int) -> None:
    """Hear until the server closes the connection."""
    with socket.socket(fileno=descriptor) as connection:
        try:
            ear = opened(_receive_settings(connection))
            _set_limits()
            send(connection, Ready(model=ear.model, problems=ear.problems))
            while (asked := _next(connection)) is not None:
                wanted, sound = asked
                with _path_of(sound) as path:
                    answer = said_of(ear, path, in_full=wanted == IN_FULL)
                send(connection, answer)
        except (BrokenPipeError, ConnectionResetError):
            return  # the server has ended
        except Exception as error:  # noqa: BLE001 - the server logs it and starts another process
            said = str(error) if isinstance(error, BeepwatchError) else repr(error)
            with contextlib.suppress(OSError):
                send(connection, Unable(reason=said))
            sys.exit(1)


@contextlib.contextmanager
def _path_of(descriptor: int) -> Iterator[Path]:
    """By way of this process's number, as ffmpeg opens it too; closed afterwards."""
    try:
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _next(connection: socket.socket) -> tuple[bytes, int] | None:
    """What is asked, and the descriptor of an upload; None once the server has ended."""
    wanted, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    return (wanted, descriptors[0]) if descriptors else None


if __name__ == "__main__":
    main(int(sys.argv[1]))
