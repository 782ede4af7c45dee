"""`beepwatch serve`, the real program with real workers, and clients that ask it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_WITHIN_S = 60
BOUNDARY = "a-boundary-of-tests"


def form(content: bytes, field: str = "file") -> bytes:
    """A form with one file."""
    return form_of([(field, content)])


def form_of(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A form with these, by the names of their parts."""
    parts = b""
    for field, content in files:
        head = f'Content-Disposition: form-data; name="{field}"; filename="a.wav"\r\n\r\n'
        parts += f"--{BOUNDARY}\r\n{head}".encode() + content + b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()


FORM = f"multipart/form-data; boundary={BOUNDARY}"


class Answer:
    """Of one request."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.content = answer.read()

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The content; it has to say that it is JSON."""
        assert self.headers["content-type"] == "application/json", self.content
        return json.loads(self.content)


class ServingProgram:
    """The program as a child process; it answers when this exists."""

    def __init__(self, state: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beepwatch", "serve", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,  # noqa: TID251 - it inherits it
                "TERM": "dumb",
                "BEEPWATCH_STORE__DIRECTORY": str(state),
            },
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        if "http://" not in self.said:
            _, complaint = self.process.communicate()
            raise RuntimeError(f"serve ended with {self.process.returncode}: {complaint}")
        self.port = urlsplit(self.said.split()[-1]).port or 0
        self.complained = ""

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own; `body` as pieces is sent in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WITHIN_S)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(connection):
            connection.request(method, path, body, sent)
            return Answer(connection.getresponse())

    def post(self, content: bytes, path: str = "/inference") -> Answer:
        """A file in a form."""
        return self.ask("POST", path, form(content), Content_Type=FORM)

    def post_meanwhile(self, content: bytes) -> "Meanwhile":
        """The same in a thread."""
        return Meanwhile(lambda: self.post(content))

    def workers(self) -> list[dict[str, Any]]:
        """As `GET /` shows them."""
        return list(self.ask("GET", "/").json["workers"])

    def worker(self, state: str, other_than: int = 0) -> int:
        """The process of a worker in this state, waiting for one."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [
                one["pid"]
                for one in self.workers()
                if one["state"] == state and one["pid"] not in (None, other_than)
            ]
            return bool(found)

        until(look)
        return found[0]

    def waits(self, count: int) -> bool:
        """Whether so many uploads wait for a worker."""
        return bool(self.ask("GET", "/").json["waiting"] == count)

    def refuses_connections(self) -> bool:
        """Whether nobody listens on its port any more."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=_WITHIN_S):
                return False
        except ConnectionRefusedError:
            return True

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """For the end that is under way; the exit code."""
        _, self.complained = self.process.communicate(timeout=_WITHIN_S)
        return self.process.returncode


class Meanwhile:
    """A request whose answer is fetched later."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(ask()))
        self._thread.start()

    def answer(self) -> Answer:
        """Wait for it."""
        self._thread.join(_WITHIN_S)
        return self._answers[0]


def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end_s = time.monotonic() + _WITHIN_S
    while not true():
        assert time.monotonic() < end_s
        threading.Event().wait(0.01)


@contextmanager
def serving_program(state: Path, *words: str) -> Iterator[ServingProgram]:
    """The program on any free port; ended afterwards, whatever has become of its workers."""
    program = ServingProgram(state, *words)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.end()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A worker that does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
