"""Listening to a machine that is well: as long as was wished, or until somebody has had enough."""

import math
import threading
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

from beepwatch.capture.blocks import Source
from beepwatch.capture.levels import meter
from beepwatch.capture.listening import Listener, Speed
from beepwatch.classify.spectra import RATE_HZ
from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import MicrophoneNotFound
from beepwatch.messages import Fault, FaultKind, Listening, Window
from beepwatch.sections import Capture
from beepwatch.train.machines.collecting import Collection

PIECE_S = 1.0


def listen(
    capture: Capture,
    wanted_s: float,
    *,
    console: Console,
    stop: threading.Event,
    speed: Speed = 1.0,
    clock: Clock | None = None,
    source: Source | None = None,
    request: str = "",
) -> Collection:
    """So much sound, or less if `stop` is set or the source ends.

    No microphone at all is MicrophoneNotFound; one that is lost later is waited for. A `source`
    given here replaces the one that `capture` names. What a person is to do, the `request`, is said
    once it is open.
    """
    settings = msgspec.structs.replace(capture, window_s=PIECE_S, hop_s=PIECE_S, gate=False)
    listener = Listener(
        settings,
        rate_hz=RATE_HZ,
        clock=clock or SystemClock(),
        speed=speed,
        stop=stop,
        source=source,
    )
    heard = Collection()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for pcm in _pieces(listener, heard, console, request):
            if pcm is not None:
                heard.hear(pcm)
            if console.is_terminal:
                live.update(Text(_line(heard.heard_s, wanted_s, listener)), refresh=True)
            if heard.heard_s >= wanted_s:
                break
    return heard


def _pieces(
    listener: Listener, heard: Collection, console: Console, request: str
) -> Iterator[NDArray[np.int16] | None]:
    """Sound as it comes; None for a sign of life. What is missing breaks it off.

    Zeros fill up the last piece of a stream, so each comes when the next is there.
    """
    last: Window | None = None
    without = 0  # pieces to come
    for what in listener:
        match what:
            case Window():
                if what.lost_samples:  # zeros stand for them, into the last of these pieces
                    without = math.ceil(what.lost_samples / what.samples) + 1
                goes_on = last is not None and last.stream_id == what.stream_id
                yield last.waveform() if last is not None and goes_on else None
                if without or not goes_on:
                    heard.break_off()
                last = None if without else what
                without = max(0, without - 1)
            case Listening() if listener.counts.openings == 1 and request:
                console.print(request, markup=False, highlight=False, soft_wrap=True)
            case Fault() if what.kind is FaultKind.NO_DEVICE and not heard.heard_s:
                raise MicrophoneNotFound(what.text)
            case Fault():
                console.print(what.text, markup=False, highlight=False, soft_wrap=True)
            case _:
                yield None


def _line(heard_s: float, wanted_s: float, listener: Listener) -> str:
    return f"{meter(listener.level_dbfs)}  {_clock(heard_s)} of {_clock(wanted_s)}, ^C is enough"


def _clock(length_s: float) -> str:
    minutes, seconds = divmod(int(length_s), 60)
    return f"{minutes}:{seconds:02}"
