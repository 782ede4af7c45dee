"""Where a child begins: `python -m beepwatch.daemon.entry FD`, started by `child.py`.

What it is to do comes over the connection FD as its first message, so that no secret stands in the
list of processes and nothing is unpickled.
"""

import os
import select
import signal
import sys
import threading
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

import msgspec

from beepwatch.secrecy import Secret

_Settings = TypeVar("_Settings")

# Blocked from the child's birth until they are ignored.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ALONE_S = 4.0  # for a child to end by itself when the supervisor is gone

# Not imported where they are not needed: None in sys.modules makes an import fail, for which both
# importers provide. structlog wants rich for tracebacks in colour that no daemon prints, 6 MB;
# asyncio, which structlog brings along, wants ssl, 2 MB; hashlib wants OpenSSL's _hashlib, 1 MB,
# where Python's own digests do.
_WITHOUT = ("rich", "ssl", "_hashlib")
# structlog imports it for methods that nobody calls where there is no event loop, and cannot do
# without: an empty module stands in its place, 1.5 MB.
_EMPTY = "asyncio"
_WITH_LOOP = "beepwatch.daemon.messenger"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A child's first message; `settings` is encoded for the type that `module.main` takes."""

    module: str
    settings: msgspec.Raw
    path: list[str]  # sys.path of the supervisor


def encode_assignment(module: str, settings: object) -> bytes:
    """What `main` decodes."""
    encoded = msgspec.Raw(msgspec.msgpack.encode(settings, enc_hook=_simpler))
    return msgspec.msgpack.encode(Assignment(module=module, settings=encoded, path=sys.path))


def decode_settings(encoded: msgspec.Raw, kind: type[_Settings]) -> _Settings:
    """What `encode_assignment` was given."""
    return msgspec.msgpack.decode(encoded, type=kind, dec_hook=_richer)


def main(descriptor: int) -> None:
    """Run `main` of the assigned module until it returns.

    Signals are the supervisor's business: ^C and systemd's SIGTERM reach the whole group, and the
    children are told over their connections, so that what is begun is finished in order.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    connection = Connection(descriptor)
    try:
        assignment = msgspec.msgpack.decode(connection.recv_bytes(), type=Assignment)
    except (EOFError, OSError):
        return  # the supervisor has died in the meantime
    threading.Thread(target=_end_if_left_alone, args=(descriptor,), daemon=True).start()
    sys.path[:] = assignment.path
    keep_out(assignment.module)
    try:
        run = import_module(assignment.module).main
        kind = next(hint for hint in get_type_hints(run).values() if hint is not Connection)
        run(connection, decode_settings(assignment.settings, kind))
    except Exception:  # noqa: BLE001 - through the log, which keeps secrets out of tracebacks too
        import structlog

        structlog.get_logger().exception("process_crashed", module=assignment.module)
        sys.exit(1)


def _end_if_left_alone(descriptor: int) -> None:
    """Whatever the child is stuck in, it does not outlive its supervisor, nor keep the microphone.

    It learns of that by its connection as well and ends in order, if it can.
    """
    hung_up = select.poll()
    hung_up.register(descriptor, 0)  # asks for nothing but what is always told: the other end's end
    hung_up.poll()
    threading.Event().wait(ALONE_S)
    os._exit(1)


def keep_out(module: str) -> None:
    """Spare this process the imports that `module` does without."""
    for name in _WITHOUT:
        if name == "rich" or module != _WITH_LOOP:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # documented meaning
    if module != _WITH_LOOP:
        sys.modules.setdefault(_EMPTY, ModuleType(_EMPTY))


def let_in() -> None:
    """Whoever imports asyncio from now on gets it: torch does."""
    if not hasattr(sys.modules.get(_EMPTY), "run"):
        sys.modules.pop(_EMPTY, None)


def _simpler(value: Any) -> str:  # noqa: ANN401 - msgspec's hook
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not travel to a child")


def _richer(kind: type, value: Any) -> Any:  # noqa: ANN401 - msgspec's hook
    return kind(value)


if __name__ == "__main__":
    main(int(sys.argv[1]))
