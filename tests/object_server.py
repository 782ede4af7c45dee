"""A directory behind real HTTP, as fsspec's webhdfs:// asks for it; what is written can change."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_PREFIX = "/webhdfs/v1"


def _status(file: Path, name: str) -> dict[str, object]:
    found = file.stat()
    return {
        "pathSuffix": name,
        "type": "DIRECTORY" if file.is_dir() else "FILE",
        "length": 0 if file.is_dir() else found.st_size,
        "modificationTime": found.st_mtime_ns // 1_000_000,
    }


class _Handler(BaseHTTPRequestHandler):
    root: Path
    opened: list[str]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).removeprefix(_PREFIX).strip("/")
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        file = self.root / path
        if not file.exists():
            missing = {"exception": "FileNotFoundException", "message": f"no {path}"}
            self._answer(404, json.dumps({"RemoteException": missing}).encode())
        elif asked["op"] == "OPEN":
            self.opened.append(path)
            first = int(asked.get("offset", 0))
            last = first + int(asked["length"]) if "length" in asked else None
            self._answer(200, file.read_bytes()[first:last])
        elif asked["op"] == "GETFILESTATUS":
            self._answer(200, json.dumps({"FileStatus": _status(file, "")}).encode())
        else:
            each = [_status(one, one.name) for one in file.iterdir()]
            self._answer(200, json.dumps({"FileStatuses": {"FileStatus": each}}).encode())

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests say what they want to know."""


@contextmanager
def serving(root: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of the directory, and the paths that were fetched, as they are."""
    opened: list[str] = []
    handler = type("Handler", (_Handler,), {"root": root, "opened": opened})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"webhdfs://127.0.0.1:{server.server_port}/", opened
        finally:
            server.shutdown()
            thread.join()
