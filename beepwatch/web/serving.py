"""An application on a socket, until somebody ends it."""

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from beepwatch.errors import ConfigurationError

_LOOKS_EVERY_S = 0.05
_MOST_WAITED_S = 5  # for answers under way, when it ends


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 is any free one. Raises ConfigurationError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(address[:2], family=family)
        # Its connections inherit it. asyncio would not set it on them, and an answer's second piece
        # would wait up to 40 ms until the client has acknowledged the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except UnicodeError as error:
        raise _cannot_listen(host, port, "it is no name of a host") from error
    except OSError as error:
        unknown = isinstance(error, socket.gaierror) or error.errno is None
        reason = error.strerror if unknown else os.strerror(error.errno or 0)
        raise _cannot_listen(host, port, reason) from error


def _cannot_listen(host: str, port: int, reason: str | None) -> ConfigurationError:
    used = reason == os.strerror(errno.EADDRINUSE)
    todo = "End what uses it, or choose others" if used else "Choose others"
    return ConfigurationError(
        f"cannot listen on {host} port {port}: {reason}. {todo} with --port and --host."
    )


def address_of(listening: socket.socket) -> str:
    """The URL under which a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Server(uvicorn.Server):
    """Ends on ^C and SIGTERM, as on `stop()`, and does not pass them on."""

    def __init__(self, app: ASGIApp, started: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_MOST_WAITED_S,
            )
        )
        self._started = started

    def stop(self) -> None:
        """May be called from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so once it answers."""
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what was accepted at the last moment too, which uvicorn would wait for in vain."""
        latecomers = asyncio.create_task(self._close_connections())
        try:
            await super().shutdown(sockets)
        finally:
            latecomers.cancel()

    async def _close_connections(self) -> None:
        while True:
            await asyncio.sleep(_LOOKS_EVERY_S)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While it serves, the two signals end it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(
    make: Callable[[Callable[[], bool]], ASGIApp],
    listening: socket.socket,
    started: Callable[[], None],
) -> None:
    """Run what `make` makes; it is given a question: is the server about to end?"""
    server = Server(make(lambda: server.should_exit), started)
    server.run(sockets=[listening])
