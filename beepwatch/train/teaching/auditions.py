"""Listening for examples: the level as it is, every beep that comes, and a person's yes or no."""

import math
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

from beepwatch.capture.blocks import Source
from beepwatch.capture.levels import meter
from beepwatch.capture.listening import Listener, Speed
from beepwatch.classify.engines import Engine
from beepwatch.classify.examples import encode
from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import MicrophoneNotFound
from beepwatch.messages import Fault, FaultKind, Listening, Window
from beepwatch.sections import Capture
from beepwatch.train.teaching.examples import LEAD_S, Example, NoBeepFound, find_example, runs
from beepwatch.train.teaching.lessons import ROOM_S, found_line

PIECE_S = 1.0
KEPT_S = 12.0  # of sound in which a beep is looked for
ECHO_S = 0.5  # after the player's end: the room rings on, and a sound server keeps some back
MOST_PLAYED_S = 60.0
PLAYERS = ("paplay", "aplay")

Ask = Callable[[str], str]


class Audition:
    """One sitting in front of an appliance.

    `ask` is given a question and gives the answer that was typed. A source that ends, ends the
    sitting; no microphone at all is MicrophoneNotFound, one that is lost later is waited for. A
    `source` given here replaces the one that `capture` names.
    """

    def __init__(
        self,
        capture: Capture,
        engine: Engine,
        *,
        console: Console,
        ask: Ask,
        stop: threading.Event,
        speed: Speed = 1.0,
        clock: Clock | None = None,
        source: Source | None = None,
    ) -> None:
        settings = msgspec.structs.replace(capture, window_s=PIECE_S, hop_s=PIECE_S, gate=False)
        self._engine = engine
        self._console = console
        self._ask = ask
        self._clock = clock or SystemClock()
        self._deaf_until_s = -math.inf  # monotonic: a person was played something
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._doing = ""  # shown beside the level
        self._request = ""  # what a person is to do, once there is something that hears it
        self._listener = Listener(
            settings,
            rate_hz=engine.rate_hz,
            clock=self._clock,
            speed=speed,
            stop=stop,
            source=source,
        )
        self._pieces = self._heard()

    def room(self) -> NDArray[np.int16]:
        """A minute of the room, or what there is of it when the sound ends or is ended before."""
        self._ask_for(f"first {ROOM_S:.0f} s of your room as it is: let nothing beep")
        kept: list[NDArray[np.int16]] = []
        with self._shown():
            self._doing = f"the room, {ROOM_S:.0f} s to go"
            for piece in self._pieces:
                kept.append(piece)
                left_s = ROOM_S - len(kept) * PIECE_S
                if left_s <= 0:
                    break
                self._doing = f"the room, {left_s:.0f} s to go"
        return np.concatenate([np.zeros(0, np.int16), *kept])

    def examples(self, wanted: int) -> list[Example]:
        """Beeps that a person has said yes to, `wanted` of them, or fewer if the sound ends.

        With them the sitting is over, and the microphone is let go of.
        """
        taken: list[Example] = []
        self._ask_for(f"now let it beep, {wanted} times in all; ^C ends")
        with closing(self._pieces), self._shown():
            self._doing = f"waiting for beep 1 of {wanted}"
            for candidate in self._candidates():
                self._console.print(found_line(candidate, self._engine.frame_s))
                if self._is_that_one(candidate):
                    taken.append(candidate)
                    self._console.print(f"{len(taken)} of {wanted} taken")
                if len(taken) >= wanted:
                    break
                self._doing = f"waiting for beep {len(taken) + 1} of {wanted}"
        return taken

    def _ask_for(self, request: str) -> None:
        """Nobody is to do anything for a source that turns out to be missing."""
        self._request = request
        if self._listener.counts.openings:
            self._say_request()

    def _say_request(self) -> None:
        if self._request:
            self._console.print(self._request)
        self._request = ""

    def _candidates(self) -> Iterator[Example]:
        """Beeps as they end."""
        held = np.zeros(0, dtype=np.int16)
        most = round(KEPT_S * self._engine.rate_hz)
        number = 0
        for piece in self._pieces:
            held = np.concatenate([held, piece])[-most:]
            example = self._complete(held, f"beep {number + 1}")
            if example is not None:
                number += 1
                held = held[:0]
                yield example
        if (example := self._complete(held, f"beep {number + 1}", at_end=True)) is not None:
            yield example

    def _complete(
        self, held: NDArray[np.int16], text: str, *, at_end: bool = False
    ) -> Example | None:
        """What is in the sound held, once it is over, or before its beginning would be lost."""
        try:
            example = find_example(text, held, self._engine)
        except NoBeepFound:
            return None
        if at_end:
            return example
        full = len(held) >= KEPT_S * self._engine.rate_hz
        if not example.by_network and not full:
            # What only holds a pitch may be the house. It is offered if nothing better came.
            return None
        after = len(example.sounding) - runs(example.sounding)[-1][1]
        lasts = full and len(example.pcm) > (KEPT_S - PIECE_S) * self._engine.rate_hz
        return example if lasts or after >= round(LEAD_S / self._engine.frame_s) else None

    def _heard(self) -> Generator[NDArray[np.int16], None, None]:
        """A second at a time, with the level on the screen, and what is wrong above it."""
        heard_any = False
        for heard in self._listener:
            if self._console.is_terminal:
                line = f"{meter(self._listener.level_dbfs)}  {self._doing}"
                self._live.update(Text(line), refresh=True)
            match heard:
                case Listening():
                    self._say_request()
                case Window() if heard.started_mono_s < self._deaf_until_s:
                    pass
                case Window():
                    heard_any = True
                    yield heard.waveform()
                case Fault() if heard.kind is FaultKind.NO_DEVICE and not heard_any:
                    raise MicrophoneNotFound(heard.text)
                case Fault():
                    self._console.print(heard.text, markup=False, highlight=False, soft_wrap=True)
                case _:
                    pass

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """The level, and what is being done, on a terminal."""
        self._live.start()
        try:
            yield
        finally:
            self._live.stop()

    @contextmanager
    def _hidden(self) -> Iterator[None]:
        """A question is asked on a line of its own."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _is_that_one(self, example: Example) -> bool:
        with self._hidden():
            return self._is_said_to_be(example)

    def _is_said_to_be(self, example: Example) -> bool:
        player = next(filter(None, map(shutil.which, PLAYERS)), None)
        choice = "y/n, p plays it" if player else "y/n"
        while True:
            answer = self._ask(f"that one? {choice}: ").strip().lower()
            if answer in ("y", "yes"):
                return True
            if answer == "p" and player:
                self._play(player, example)
            elif answer in ("n", "no", ""):
                return False

    def _play(self, player: str, example: Example) -> None:
        """The microphone hears it too: what came until then is no appliance's."""
        try:
            play(player, example)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._console.print(
                f"it cannot be played: {error}", markup=False, highlight=False, soft_wrap=True
            )
        if self._listener.source.live:
            self._deaf_until_s = self._clock.mono_s() + ECHO_S


def play(player: str, example: Example) -> None:
    """Through the machine's loudspeaker; a player that fails says so itself.

    Raises OSError or TimeoutExpired where it does not even begin, or does not end.
    """
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        Path(file.name).write_bytes(encode(example.pcm))
        subprocess.run([player, file.name], check=False, timeout=MOST_PLAYED_S)
