"""Looks for the token all along while a daemon runs: processes, files, the log, the status."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from beepwatch.daemon.refuge import PLACES
from tests.end_to_end.daemon import Daemon
from tests.security.canary import Search
from tests.security.watching import Seen

_EVERY_S = 0.2  # a clip's encoder lives for about so long
_STATE_EVERY = 20  # looks: what is in the write-ahead log is there for much longer
_OVERLAP_BYTES = 256  # of two pieces of a log: what is torn between them
_IN_MEMORY = "beepwatch*"  # of the state of a disk that takes nothing


class Log:
    """The daemon's standard output and error, read as they grow."""

    def __init__(self, path: Path, search: Search) -> None:
        self.events: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()  # those that warn
        self.redacted = 0
        self._path = path
        self._search = search
        self._read_bytes = 0
        self._before = b""
        self._rest = b""

    def read_on(self) -> None:
        """What has come since."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        self._read_bytes += len(data)
        self._search.look("log", self._before + data, self._path.name)
        self._before = (self._before + data)[-_OVERLAP_BYTES:]
        self.redacted += data.count(b"[redacted]")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):  # an alert on the console, or torn by a death
                self._count(json.loads(line))

    def _count(self, said: object) -> None:
        if isinstance(said, dict):
            event = str(said.get("event"))
            self.events[event] += 1
            self.wrong[event] += said.get("level") in ("warning", "error", "critical")


class Manager:
    """Stands in for systemd: what the daemon says of itself, sd_notify(3)."""

    def __init__(self, address: Path, search: Search) -> None:
        self._search = search
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.setblocking(False)

    def read_on(self) -> None:
        """What it has said since."""
        with suppress(BlockingIOError):
            while said := self._socket.recv(65_536):
                self._search.look("service manager", said)

    def close(self) -> None:
        """Nobody listens any more."""
        self._socket.close()


class Looker:
    """Looks again and again, from a thread of its own, at a daemon and at what `watch` names."""

    def __init__(self, one: Daemon, search: Search, *, token_in_environment: bool) -> None:
        self.log = Log(one.log, search)
        self.daemon = Seen()
        self.verbs = Seen()
        self._room = one.directory
        self._state = one.state
        self._manager = Manager(one.directory / "manager", search)
        self._search = search
        self._token_in_environment = token_in_environment
        self._roots: dict[int, Seen] = {}
        self._told: set[bytes] = set()
        self._over = threading.Event()
        self._broken: Exception | None = None

    @contextmanager
    def looking(self) -> Iterator[None]:
        """For so long, and once more at the end. Raises what went wrong in the thread."""
        thread = threading.Thread(target=self._look_again_and_again)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self.close()
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """Nobody looks any more."""
        self._manager.close()

    def watch(self, pid: int, *, verb: bool = False) -> None:
        """This process and all that it starts; one that has ended is no more."""
        self._roots = {**self._roots, pid: self.verbs if verb else self.daemon}

    def forget(self, pid: int) -> None:
        """It has ended."""
        self._roots = {one: seen for one, seen in self._roots.items() if one != pid}

    def _look_again_and_again(self) -> None:
        number = 0
        try:
            while not self._over.wait(_EVERY_S):
                self.look(everywhere=number % _STATE_EVERY == 0)
                number += 1
            self.look(everywhere=True)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._broken = error

    def look(self, *, everywhere: bool) -> None:
        """Once: at processes, temporary files and what is said; or at all that is kept, too."""
        for pid, seen in self._roots.items():
            seen.look(pid)
        for seen in (self.daemon, self.verbs):
            whose = seen.inherited if self._token_in_environment else seen.environments
            self._look_at_new("command lines", seen.command_lines)
            self._look_at_new("environments", whose)
        self._search.look_below(self._room / "tmp")
        self.log.read_on()
        self._manager.read_on()
        if everywhere:
            self._search.look_below(self._state)
            for name in ("work", "home", "serving"):
                self._search.look_below(self._room / name)
            for place in PLACES:
                for directory in (place, *place.glob(_IN_MEMORY)):
                    if fnmatch(directory.name, _IN_MEMORY):
                        self._search.look_below(directory)

    def _look_at_new(self, kind: str, texts: set[bytes]) -> None:
        for text in texts - self._told:
            self._search.look(kind, text)
        self._told |= texts
