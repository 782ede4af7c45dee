"""Decoders that some files are the death of; a process of its own each, so they stand here."""

import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection

from beepwatch.train.featuring.decoding import serve_recordings
from beepwatch.train.featuring.sound import Floats, Recording


class Dangerous(Recording):
    """In the middle of a file called "deadly…" it dies, of one called "once…" the first time; of
    one called "bug…" it raises what no decoder should.
    """

    def pieces(self) -> Iterator[Floats]:
        for piece in super().pieces():
            yield piece[: len(piece) // 2]
            if self._path.name.startswith("deadly") or self._is_first():
                os.kill(os.getpid(), signal.SIGSEGV)
            if self._path.name.startswith("bug"):
                raise ZeroDivisionError("a frame of\nno length")
            yield piece[len(piece) // 2 :]

    def _is_first(self) -> bool:
        if not self._path.name.startswith("once"):
            return False
        try:
            self._path.with_suffix(".tried").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def dangerous(connection: Connection) -> None:
    """The life of such a decoder."""
    serve_recordings(connection, Dangerous)
