"""A token, and the search for it in every spelling to which it may have come."""

import base64
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_PIECE_BYTES = 12  # of the secret half; so much of it is no chance
_PIECE_OF_BASE64 = 16  # holds as much
_CONTEXT_BYTES = 60  # shown before what was found


class Canary:
    """A bot's token; the half behind the colon is secret alone, and so is a third of that."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.half = token.partition(":")[2]
        self._spellings = tuple(dict.fromkeys(_spellings(self.half.encode())))

    def place_in(self, data: bytes) -> int | None:
        """Where it begins, in any of its spellings; None if it is not there."""
        places = (data.find(spelling) for spelling in self._spellings)
        return min((place for place in places if place >= 0), default=None)


def _spellings(half: bytes) -> Iterator[bytes]:
    """Of its first, middle and last part: what stands there if any of it is cut off."""
    for piece in _parts(half, _PIECE_BYTES):
        yield from (piece, piece.lower(), piece.upper())
        yield piece.decode().encode("utf-16-le")[:-1]  # of the other byte order, too
        hexadecimal = piece.hex()
        yield from (hexadecimal.encode(), hexadecimal.upper().encode())
        for digits in (hexadecimal, hexadecimal.upper()):
            pairs = (digits[at : at + 2] for at in range(0, len(digits), 2))
            yield "".join(f"%{pair}" for pair in pairs).encode()
    for before in range(3):  # bytes that stand before it, in a group of three
        whole = base64.b64encode(bytes(before) + half)[4:-4]
        for piece in _parts(whole, _PIECE_OF_BASE64):
            yield from (piece, piece.replace(b"+", b"-").replace(b"/", b"_"))


def _parts(text: bytes, size_bytes: int) -> Iterator[bytes]:
    middle = (len(text) - size_bytes) // 2
    yield from (text[:size_bytes], text[middle : middle + size_bytes], text[-size_bytes:])


class Search:
    """What was searched, by kind of place, and where it was found. Any thread may ask."""

    def __init__(self, canary: Canary) -> None:
        self.canary = canary
        self.searched: Counter[str] = Counter()  # bytes
        self.found: dict[str, str] = {}  # by place: what stands before it, the first time
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[int, int]] = {}  # files as they were when last searched

    def look(self, kind: str, data: bytes, where: str = "") -> None:
        """Into what a process has, says or sends."""
        at = self.canary.place_in(data)
        with self._lock:
            self.searched[kind] += len(data)
            if at is not None:
                before = data[max(0, at - _CONTEXT_BYTES) : at]
                self.found.setdefault(f"{kind} {where}".strip(), repr(before))

    def look_below(self, directory: Path) -> None:
        """Into the name and the bytes of each file that has changed since the last time."""
        for path in sorted(directory.rglob("*")):
            try:
                self._look_into(path, str(path.relative_to(directory)))
            except FileNotFoundError:
                continue  # it came and went

    def _look_into(self, path: Path, name: str) -> None:
        status = path.stat()
        as_it_is = (status.st_mtime_ns, status.st_size)
        if self._known.get(path) == as_it_is:
            return
        self._known[path] = as_it_is
        self.look("names", bytes(Path(name)), name)
        if path.is_file():
            self.look(kind_of(path), _content(path), name)


def _content(path: Path) -> bytes:
    """Of a database by another process: who closes its file gives up all locks that his own has on
    it, fcntl_locking(2), and the next one to close it takes its write-ahead log away.
    """
    if kind_of(path) != "database":
        return path.read_bytes()
    return subprocess.run(["cat", path], capture_output=True, check=False).stdout


def kind_of(path: Path) -> str:
    """What a file below a daemon's directories is."""
    if path.name.startswith("beepwatch.db"):
        return "database"
    if path.suffix == ".mp3":
        return "clips"
    return "cores" if path.name.startswith("core") else "other files"
