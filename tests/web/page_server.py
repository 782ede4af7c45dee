"""The labelling page's server in a thread, on a real socket, for clips that are known."""

import http.client
import json
import threading
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from beepwatch.train.datasets.catalogue import Catalogue, clips_below
from beepwatch.train.datasets.impressions import Impression, hear
from beepwatch.web.guard import Guard
from beepwatch.web.labelling import Clips, application, clip_id
from beepwatch.web.serving import Server, listen
from tests.train.engines import SteadyEngine

NAMES = ("beep", "wash")


class PageServer:
    """Answers on 127.0.0.1 until it is stopped."""

    def __init__(self, directory: Path) -> None:
        heard = hear(directory, clips_below(directory), SteadyEngine(0.5))
        clips = Clips(directory, NAMES, [one for one in heard if isinstance(one, Impression)])
        self.ids = {path: clip for clip, path in clips.path_of.items()}
        listening = listen("127.0.0.1", 0)
        self.port = listening.getsockname()[1]
        server: Server = Server(
            Guard(application(clips, Catalogue(directory), lambda: server.should_exit), [])
        )
        self.server = server
        self.thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        self.thread.start()

    def stop(self) -> None:
        """And wait until it has ended."""
        self.server.stop()
        self.thread.join(20)

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with small letters, and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with closing(connection):
            connection.request(method, path, content if body is not None else None, sent)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, told, answer.read()

    def label(self, path: str, label: str, seen: str = "") -> dict[str, Any]:
        """What the server answers to one label."""
        change = {"clip": clip_id(path), "seen": seen, "label": label}
        _, _, content = self.ask("POST", "/labels", [change])
        return dict(json.loads(content))

    @contextmanager
    def changes(self) -> Iterator[Iterator[dict[str, Any]]]:
        """What is told as it happens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/changes")
        answer = connection.getresponse()

        def messages() -> Iterator[dict[str, Any]]:
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

        try:
            yield messages()
        finally:
            answer.close()
            connection.close()


@contextmanager
def page_server(directory: Path) -> Iterator[PageServer]:
    """A server that is gone afterwards."""
    server = PageServer(directory)
    try:
        yield server
    finally:
        server.stop()


def write_wav(file: Path, length_s: float = 1.0) -> None:
    """Silence, which is sound enough where nobody listens."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(bytes(2 * round(length_s * 16_000)))
