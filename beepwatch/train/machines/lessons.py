"""From recordings of a machine that is well to a file, and from the file to what is said of others.

The bodies of `beepwatch teach NAME --normal` and of its report; files alone, no daemon.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode as decode_sound
from beepwatch.classify.bundle import content_of
from beepwatch.classify.condition import Difference, Listener, Normal, decode, encode
from beepwatch.classify.heads import name_problem
from beepwatch.classify.spectra import RATE_HZ, WINDOW_S, Floats, spectrum
from beepwatch.decide.condition import MachineWatch, Unusual
from beepwatch.errors import BeepwatchError, ConfigurationError, ModelError
from beepwatch.train.machines.learning import HOP_S, learn_normal, spectra_of, windows_of

MACHINES = "machines"  # below the state directory
NORMAL = "normal.json"
_MOST_BYTES = 4_000_000
_OWNER_ONLY = 0o700


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one recording."""

    file: str
    windows: int
    off: int  # of them, in which the machine was silent
    drowned: int  # in which the room was louder
    strangeness: float | None  # median of the others; None if there are none
    unusual_at_s: tuple[float, ...]  # when it would have been told
    difference: Difference | None  # where it was told, or half of it was stranger than normal


def learn_files(name: str, files: Sequence[Path]) -> Normal:
    """Learn a machine from recordings of it when it is well, in their order.

    Raises UnreadableAudio, TooLittleSound, ConfigurationError.
    """
    return learn_normal(name, spectra_of([read(path) for path in files]))


def read(path: Path) -> NDArray[np.int16]:
    """A recording at 16 kHz, of any format that ffmpeg reads."""
    return np.concatenate([np.zeros(0, np.int16), *decode_sound(path, RATE_HZ)])


def keep(state: Path, normal: Normal) -> Path:
    """Write it below the state directory, whole or not at all; the path."""
    home = state / MACHINES / normal.name
    home.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    fresh = home / f".{NORMAL}.fresh"
    with fresh.open("wb") as file:
        file.write(encode(normal))
        file.flush()
        os.fsync(file.fileno())
    return fresh.replace(home / NORMAL)


def kept(state: Path, name: str) -> Normal:
    """The normal of a machine, all of it checked; ModelError if there is none."""
    machines = state / MACHINES
    problem = name_problem(name)
    if problem:
        raise ConfigurationError(f"{problem}. Give another, for example: fan.")
    try:
        normal = decode(content_of(machines / name / NORMAL, _MOST_BYTES))
    except OSError as error:
        known = ", ".join(sorted(path.parent.name for path in machines.glob(f"*/{NORMAL}")))
        known = known or "none yet"
        raise ModelError(
            f"there is no learned machine {name!r} in {machines}; there are: {known}. "
            f"Teach it: beepwatch teach {name} --normal FILES."
        ) from error
    if normal.name != name:
        raise ModelError(f"{machines / name} holds the machine {normal.name}. Learn it again.")
    return normal


def judge_files(
    normal: Normal, files: Iterable[Path]
) -> Iterator[tuple[Path, Heard | BeepwatchError]]:
    """What is said of each recording, or why nothing can be."""
    listener = Listener(normal)
    for path in files:
        try:
            yield path, judge(listener, str(path), read(path))
        except BeepwatchError as error:
            yield path, error


def judge(listener: Listener, text: str, pcm: NDArray[np.int16]) -> Heard:
    """A recording at 16 kHz, from its beginning, as a watch of its own would hear it."""
    watch = MachineWatch()
    told, strange, spectra, states = [], [], [], []
    off = drowned = windows = 0
    for windows, window in enumerate(windows_of(pcm), 1):
        seen = spectrum(window)
        judged = listener.judge(seen)
        if judged is None:
            off += 1
            continue
        now_s = (windows - 1) * HOP_S + WINDOW_S
        if isinstance(watch.step(judged.strangeness, now_s, drowned=judged.drowned), Unusual):
            told.append(now_s)
        drowned += judged.drowned and judged.strangeness > 0
        strange.append(judged.strangeness)
        spectra.append(seen)
        states.append(judged.state)
    middle = float(np.median(strange)) if strange else None
    return Heard(
        file=text,
        windows=windows,
        off=off,
        drowned=drowned,
        strangeness=middle,
        unusual_at_s=tuple(told),
        difference=_difference(listener, strange, spectra, states)
        if told or (middle is not None and middle > 1)
        else None,
    )


def _difference(
    listener: Listener, strange: list[float], spectra: list[Floats], states: list[int]
) -> Difference:
    """Of the stranger half of the windows of the state that most of them are nearest to."""
    state = int(np.bincount(states).argmax())
    least = float(np.median(strange))
    chosen = [
        seen
        for seen, how, which in zip(spectra, strange, states, strict=True)
        if which == state and how >= least
    ]
    return listener.difference(np.median(chosen or spectra, axis=0), state)


def learned_line(normal: Normal) -> str:
    """What was learned."""
    minutes = normal.learned_s / 60
    states = len(normal.states)
    way = "one way of running" if states == 1 else f"{states} ways of running"
    return f"{normal.name}: learned from {minutes:.0f} min of normal sound, {way}."


def heard_line(heard: Heard) -> str:
    """One recording, in plain words."""
    if heard.windows == 0:
        return f"{heard.file}: shorter than {WINDOW_S:g} s"
    if heard.strangeness is None:
        return f"{heard.file}: the machine is off"
    score = f"strangeness {heard.strangeness:.2f}"
    if heard.unusual_at_s:
        score = f"unusual from {heard.unusual_at_s[0]:.0f} s, {score}"
    if heard.difference is None:
        return f"{heard.file}: {score}"
    return f"{heard.file}: {score}, most like: {difference_text(heard.difference)}"


def difference_text(found: Difference) -> str:
    """Such as "a tone at 3.1 kHz that was not there, 14 dB more"."""
    hz = (
        f"{found.pitch_hz / 1_000:.1f} kHz"
        if found.pitch_hz >= 1_000
        else f"{found.pitch_hz:.0f} Hz"
    )
    what = "a tone" if found.kind == "tone" else "noise"
    if found.more_db < 0:
        return f"{what} at {hz} is missing, {-found.more_db:.0f} dB less"
    return f"{what} at {hz} that was not there, {found.more_db:.0f} dB more"
