"""Real HTTP for the stand-in of the Bot API: requests read whole, faults injected, answers sent."""

import re
import socket
import struct
import sys
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qsl


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of one method."""

    method: str
    token: str
    fields: dict[str, str]
    files: dict[str, bytes]
    file_names: dict[str, str]
    first_byte_mono_s: float  # CLOCK_MONOTONIC, comparable between processes
    done_mono_s: float

    @property
    def file(self) -> bytes:
        """The one file of this request."""
        (content,) = self.files.values()
        return content


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request instead of, or after, its normal answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    reset: str = ""  # "before" the request is read, "after" the message was taken
    hang_s: float = 0.0
    drip_s: float = 0.0  # between two bytes of the normal answer


class Answering(Protocol):
    """What the handler asks of the stand-in."""

    def fault_for(self, method: str) -> Fault | None:
        """What this request meets."""
        ...

    def fault_in(self, request: Request) -> Fault | None:
        """What a message to this chat meets."""
        ...

    def remember(self, request: Request) -> None:
        """Note a request, whatever becomes of it."""
        ...

    def hang(self, for_s: float) -> None:
        """Say nothing for so long, or until the server closes."""
        ...

    def answer(self, request: Request) -> Fault:
        """What the Bot API does and says when nothing is wrong."""
        ...


class Server(ThreadingHTTPServer):
    """Knows the stand-in, and its open connections so that it can end them."""

    api: Answering
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.open_sockets: set[socket.socket] = set()

    def close_connections(self) -> None:
        """End kept-alive connections, as a restart of the server does."""
        for connection in list(self.open_sockets):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is part of the tests."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Reads a request whole, then does with it what the stand-in says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.open_sockets.add(self.connection)

    def finish(self) -> None:
        self.server.open_sockets.discard(self.connection)
        super().finish()

    def handle_one_request(self) -> None:
        """Wait for the first byte, note when it came, then go on as usual."""
        if not self.rfile.peek(1):  # type: ignore[attr-defined]
            self.close_connection = True
            return
        self.first_byte_mono_s = time.monotonic()
        super().handle_one_request()

    def do_POST(self) -> None:  # http.server names it so
        """One call of the Bot API."""
        token, _, method = self.path.removeprefix("/bot").partition("/")
        fault = self.server.api.fault_for(method)
        if fault is not None and fault.reset == "before":
            self._reset()
            return
        request = self._read(token, method)
        self.server.api.remember(request)
        fault = fault or self.server.api.fault_in(request)
        if fault is not None and fault.hang_s:
            self.server.api.hang(fault.hang_s)
            self._reset()
            return
        taken = fault is None or fault.reset == "after" or fault.drip_s
        answer = self.server.api.answer(request) if taken or fault is None else fault
        if fault is not None and fault.reset:
            self._reset()
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if fault is None or not fault.drip_s:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            self.server.api.hang(fault.drip_s)
            self.wfile.write(bytes([byte]))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the requests are remembered."""

    def _read(self, token: str, method: str) -> Request:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the client was killed while it sent")
        content_type = self.headers.get("Content-Type", "")
        fields, files, names = (
            _multipart(body, content_type)
            if content_type.startswith("multipart/form-data")
            else (dict(parse_qsl(body.decode(), keep_blank_values=True)), {}, {})
        )
        return Request(
            method=method,
            token=token,
            fields=fields,
            files=files,
            file_names=names,
            first_byte_mono_s=self.first_byte_mono_s,
            done_mono_s=time.monotonic(),
        )

    def _reset(self) -> None:
        """RST instead of an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _multipart(
    body: bytes, content_type: str
) -> tuple[dict[str, str], dict[str, bytes], dict[str, str]]:
    """Fields, files and file names; by hand, since email's parser is not made for raw bytes."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        parameters = dict(re.findall(r'(name|filename)="([^"]*)"', head.decode()))
        if "filename" in parameters:
            files[parameters["name"]] = content
            names[parameters["name"]] = parameters["filename"]
        else:
            fields[parameters["name"]] = content.decode()
    return fields, files, names
