"""Listening for examples: the level as it is, every beep that comes, and a person's yes or no."""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

from beepwatch.capture.levels import meter
from beepwatch.capture.listening import Listener, Speed
from beepwatch.classify.engines import Engine
from beepwatch.classify.examples import encode
from beepwatch.clock import SystemClock
from beepwatch.errors import MicrophoneNotFound
from beepwatch.messages import Fault, FaultKind, Window
from beepwatch.sections import Capture
from beepwatch.train.teaching.examples import Example, NoBeepFound, find_example, runs
from beepwatch.train.teaching.lessons import ROOM_S, found_line

PIECE_S = 1.0
KEPT_S = 12.0  # of sound in which a beep is looked for
QUIET_S = 1.5  # after the last pulse: the beep is over
PLAYERS = ("paplay", "aplay")

Ask = Callable[[str], str]


class Audition:
    """One sitting in front of an appliance.

    `ask` is given a question and gives the answer that was typed. A source that ends, ends the
    sitting; no microphone at all is MicrophoneNotFound.
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
    ) -> None:
        settings = msgspec.structs.replace(capture, window_s=PIECE_S, hop_s=PIECE_S, gate=False)
        self._engine = engine
        self._console = console
        self._ask = ask
        self._listener = Listener(
            settings,
            rate_hz=engine.rate_hz,
            clock=SystemClock(),
            speed=speed,
            stop=stop,
        )
        self._pieces = self._heard()

    def room(self) -> NDArray[np.int16] | None:
        """A minute of the room; None if the sound ends before, or is digital silence."""
        self._console.print(f"first {ROOM_S:.0f} s of your room as it is: let nothing beep")
        kept: list[NDArray[np.int16]] = []
        for piece in self._pieces:
            kept.append(piece)
            if len(kept) * PIECE_S >= ROOM_S:
                break
        whole = np.concatenate([np.zeros(0, np.int16), *kept])
        return whole if len(kept) * PIECE_S >= ROOM_S and whole.any() else None

    def examples(self, wanted: int) -> list[Example]:
        """Beeps that a person has said yes to, `wanted` of them, or fewer if the sound ends."""
        taken: list[Example] = []
        self._console.print(f"now let it beep, {wanted} times in all; ^C ends")
        for candidate in self._candidates():
            self._console.print(found_line(candidate, self._engine.frame_s))
            if self._is_that_one(candidate):
                taken.append(candidate)
                self._console.print(f"{len(taken)} of {wanted} taken")
            if len(taken) >= wanted:
                break
        return taken

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
        """What is in the sound held, once it is over."""
        try:
            example = find_example(text, held, self._engine)
        except NoBeepFound:
            return None
        if not example.by_network and not at_end:
            # What only holds a pitch may be the house. It is offered if nothing better came.
            return None if len(held) < KEPT_S * self._engine.rate_hz else example
        after_s = (len(example.sounding) - runs(example.sounding)[-1][1]) * self._engine.frame_s
        full = len(held) >= KEPT_S * self._engine.rate_hz
        return example if at_end or full or after_s >= min(QUIET_S, 1.0) else None

    def _heard(self) -> Iterator[NDArray[np.int16]]:
        """A second at a time, with the level on the screen."""
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            for heard in self._listener:
                if self._console.is_terminal:
                    live.update(Text(meter(self._listener.level_dbfs)), refresh=True)
                match heard:
                    case Window():
                        live.stop()  # a question is asked on a line of its own
                        yield heard.waveform()
                        live.start()
                    case Fault() if heard.kind is FaultKind.NO_DEVICE:
                        raise MicrophoneNotFound(heard.text)
                    case _:
                        pass

    def _is_that_one(self, example: Example) -> bool:
        player = next(filter(None, map(shutil.which, PLAYERS)), None)
        choice = "y/n, p plays it" if player else "y/n"
        while True:
            answer = self._ask(f"that one? {choice}: ").strip().lower()
            if answer in ("y", "yes"):
                return True
            if answer == "p" and player:
                play(player, example)
            elif answer in ("n", "no", ""):
                return False


def play(player: str, example: Example) -> None:
    """Through the machine's loudspeaker; a player that fails is not our fault, and says so."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        Path(file.name).write_bytes(encode(example.pcm))
        subprocess.run([player, file.name], check=False, timeout=60)
