"""Decoders in processes of their own: what kills one is one recording's fault, not the run's.

A process decodes one recording at a time, so there is no doubt which one it died on. Whoever has
its turn reads piece after piece; a decoder waits in its pipe for who is slower.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from beepwatch.errors import BeepwatchError, UnreadableAudio
from beepwatch.train.datasets.spreading import end_of
from beepwatch.train.featuring.recipe import SoundRecipe
from beepwatch.train.featuring.sound import Floats, Recording

_END_WITHIN_S = 5.0

Serve = Callable[[Connection], None]


class Ended(NamedTuple):
    """What is known of a recording when all of it has come."""

    rate_hz: int  # the file's own
    decoder: str  # as `Recording` has it


class Died(Exception):
    """A decoder is gone; the text says how. No recording's error yet: it may be tried again."""


class Decoders:
    """So many processes, each started when it is first needed, and again after its death."""

    def __init__(self, count: int, serve: "Serve | None" = None) -> None:
        self._serve = serve or serve_recordings
        self._idle: SimpleQueue[_Decoder | None] = SimpleQueue()
        self._all: set[_Decoder] = set()
        self._changing = threading.Lock()
        self._closed = False
        for _ in range(max(1, count)):
            self._idle.put(None)

    @contextlib.contextmanager
    def turn(self) -> Iterator["Turn"]:
        """One of them, for one recording; waits until one is idle. Raises Died after the end."""
        turn = Turn(self._idle.get() or self._started(), self._take_back)
        try:
            yield turn
        finally:
            turn.end()

    def close(self) -> None:
        """End them all. What somebody still reads from one has died."""
        with self._changing:
            self._closed = True
            for one in self._all:
                one.end()
            self._all.clear()

    def _started(self) -> "_Decoder":
        with self._changing:
            if self._closed:
                self._idle.put(None)  # for who waits behind
                raise Died("nobody wants it any more")
            one = _Decoder(self._serve)
            self._all.add(one)
        return one

    def _take_back(self, one: "_Decoder", *, reusable: bool) -> None:
        if not reusable:
            with self._changing:
                self._all.discard(one)
            one.end()
        self._idle.put(one if reusable else None)


class Turn:
    """A decoder, until all of a recording has come."""

    def __init__(self, decoder: "_Decoder", give_back: Callable[..., None]) -> None:
        self._decoder: _Decoder | None = decoder
        self._give_back = give_back

    def recording(self, path: Path, sound: SoundRecipe) -> Recording:
        """Of that file. Its pieces raise Died too."""
        return _Apart(self, path, sound)

    def read(self, path: Path, sound: SoundRecipe) -> Iterator[Floats | Ended]:
        """Pieces, and what is known of the file last."""
        assert self._decoder is not None  # noqa: S101 - each turn is for one recording
        yield from self._decoder.read(path, sound)
        self.end(reusable=True)

    def end(self, *, reusable: bool = False) -> None:
        """Give the decoder back; one that is not at its recording's end is of no more use."""
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            self._give_back(decoder, reusable=reusable or not decoder.used)


class _Apart(Recording):
    """A recording that another process decodes."""

    def __init__(self, turn: Turn, path: Path, sound: SoundRecipe) -> None:
        super().__init__(path, sound)
        self._turn = turn

    def pieces(self) -> Iterator[Floats]:
        for piece in self._turn.read(self._path, self._sound):
            if isinstance(piece, Ended):
                self.rate_hz, self.decoder = piece
            else:
                yield self._counted(piece)


class _Decoder:
    """One process."""

    def __init__(self, serve: Serve) -> None:
        context = get_context("spawn")
        self._connection, its_end = context.Pipe()
        self._process = context.Process(target=serve, args=(its_end,), daemon=True)
        self._process.start()
        its_end.close()  # so that its death is the end of this file
        self.used = False  # and not read to the end

    def read(self, path: Path, sound: SoundRecipe) -> Iterator[Floats | Ended]:
        self.used = True
        try:
            self._connection.send((path, sound))
            while not isinstance(answer := self._connection.recv(), Ended):
                if isinstance(answer, Exception):
                    self.used = False
                    raise answer
                yield answer
        except (EOFError, ConnectionError) as error:
            self._process.join(_END_WITHIN_S)
            raise Died(end_of(self._process.exitcode)) from error
        self.used = False
        yield answer

    def end(self) -> None:
        self._process.kill()
        self._process.join(_END_WITHIN_S)
        self._connection.close()


def serve_recordings(
    connection: Connection, open_one: Callable[[Path, SoundRecipe], Recording] = Recording
) -> None:
    """The life of a decoder: until nobody wants anything of it any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C reaches all; who started this one ends it
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            path, sound = connection.recv()
            recording = open_one(path, sound)
            try:
                for piece in recording.pieces():
                    connection.send(piece)
            except ConnectionError:
                raise  # nobody reads any more
            except (BeepwatchError, OSError) as error:
                connection.send(error)
            except Exception as error:  # noqa: BLE001 - told with its recording, the others go on
                words = " ".join(str(error).split())
                connection.send(UnreadableAudio(f"{path}: {type(error).__name__}: {words}."))
            else:
                connection.send(Ended(recording.rate_hz, recording.decoder))
