"""From recordings of a machine that is well to a file, and from the file to what is said of others.

The bodies of `beepwatch teach NAME --normal` and of its report; files alone, no daemon.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.capture.files import decode as decode_sound
from beepwatch.classify.condition import Difference, Listener, Normal
from beepwatch.classify.differences import change_of, difference_text
from beepwatch.classify.faults import Diagnostician, Named, fault_text
from beepwatch.classify.novelties import Attention, Seen
from beepwatch.classify.portraits import portrait
from beepwatch.classify.spectra import RATE_HZ, WINDOW_S
from beepwatch.decide.condition import ENOUGH_S, MachineWatch, Unusual
from beepwatch.errors import BeepwatchError
from beepwatch.train.machines.collecting import MOST_WINDOWS, Collection, Cutter, Thinned
from beepwatch.train.machines.learning import HOP_S, learn_normal

GOOD_S = 290.0  # five minutes, whose last windows are not whole
FAINT_DBFS = -80.0  # 21 dB more than what rounding to int16 makes
Say = Callable[[str], None]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one recording."""

    file: str
    windows: int
    off: int  # of them, in which the machine was silent
    drowned: int  # in which the room was louder
    strangeness: float | None  # median of the others; None if there are none
    unusual_at_s: tuple[float, ...]  # when it would have been told
    difference: Difference | None  # where it was told, or half of it was stranger than normal
    fault: Named | None = None  # there, if faults were learned and it is like one of them
    faults: dict[str, float] | None = None  # probability of each that was learned, there or of all

    @property
    def overlaid(self) -> bool:
        """Whether most of what was heard of the machine may be the room's."""
        return 2 * self.drowned > self.windows - self.off

    @property
    def anomalous(self) -> bool:
        """Whether it would have been told, or is stranger than normal, and not for the room."""
        return bool(self.unusual_at_s) or (self.difference is not None and not self.overlaid)


def learn(name: str, heard: Collection) -> Normal:
    """Learn a machine from what was heard of it when it is well.

    Raises TooLittleSound, ConfigurationError.
    """
    return learn_normal(name, heard.portraits(), hop_s=heard.hop_s)


def collect_files(files: Sequence[Path], say: Say) -> Collection:
    """The sound of recordings, in their order, with a line for each. Raises UnreadableAudio."""
    heard = Collection()
    for path in files:
        before_s = heard.heard_s
        for block in decode_sound(path, RATE_HZ):
            heard.hear(block)
        heard.break_off()
        length_s = heard.heard_s - before_s
        short = f", shorter than {WINDOW_S:g} s: left out" if length_s < WINDOW_S else ""
        say(f"{path}: {length_text(length_s)}{short}")
    return heard


def read(path: Path) -> NDArray[np.int16]:
    """A recording at 16 kHz, of any format that ffmpeg reads."""
    return np.concatenate([np.zeros(0, np.int16), *decode_sound(path, RATE_HZ)])


def judge_files(
    normal: Normal,
    files: Iterable[Path],
    enough_s: float = ENOUGH_S,
    doctor: Diagnostician | None = None,
) -> Iterator[tuple[Path, Heard | BeepwatchError]]:
    """What is said of each recording, or why nothing can be."""
    listener = Listener(normal)
    for path in files:
        try:
            yield path, judge(listener, str(path), decode_sound(path, RATE_HZ), enough_s, doctor)
        except BeepwatchError as error:
            yield path, error


def judge(
    listener: Listener,
    text: str,
    sound: Iterable[NDArray[np.int16]],
    enough_s: float = ENOUGH_S,
    doctor: Diagnostician | None = None,
) -> Heard:
    """A recording at 16 kHz, from its beginning, as a watch of its own would hear it.

    In flat memory: what is said of a long one is taken from every so many of its windows.
    """
    watch, attention = MachineWatch(enough_s=enough_s), Attention(listener)
    told: list[float] = []
    seen, strangeness = Thinned[Seen](MOST_WINDOWS), array("d")
    off = drowned = windows = 0
    cutter = Cutter()
    each = (window for block in sound for window in cutter.windows(block))
    for windows, window in enumerate(each, 1):
        now_s = (windows - 1) * HOP_S + WINDOW_S
        one = attention.hear(portrait(window), now_s)
        if one is None:
            off += 1
            continue
        if isinstance(watch.step(one.evidence, now_s, drowned=one.drowned), Unusual):
            told.append(now_s)
        drowned += one.drowned and one.strangeness > 0
        strangeness.append(one.strangeness)
        if seen.wants_next():
            seen.keep(one)
    middle = float(np.median(strangeness)) if strangeness else None
    strange = middle is not None and middle > 1
    change = change_of(listener, seen.kept) if told or strange else None
    faults = None
    if doctor and seen.kept:
        spectra = change.spectra if change else np.stack([one.typical for one in seen.kept])
        shares = doctor.probabilities(spectra).mean(axis=0)
        faults = dict(zip(doctor.labels, shares.tolist(), strict=True))
    return Heard(
        file=text,
        windows=windows,
        off=off,
        drowned=drowned,
        strangeness=middle,
        unusual_at_s=tuple(told),
        difference=change.most if change else None,
        fault=doctor.fault(change.spectra) if change and doctor else None,
        faults=faults,
    )


def report(normal: Normal, level_dbfs: float, enough_s: float) -> list[str]:
    """What was learned, what to expect and what to do, in plain words."""
    name = normal.name
    lines = [
        learned_line(normal),
        f"A running beepwatch watches it by itself and tells you when {name} has sounded unusual "
        f"for {length_text(enough_s)}.",
    ]
    if level_dbfs < FAINT_DBFS:
        lines.append(
            f"It is very soft ({level_dbfs:.0f} dBFS): "
            "move the microphone nearer to it and learn it again."
        )
    elif normal.learned_s < GOOD_S:
        lines.append("To make it better: give five minutes and more, best of every programme.")
    lines.append(f"To judge recordings by it: beepwatch teach {name} --judge FILES.")
    return lines


def learned_line(normal: Normal) -> str:
    """What was learned."""
    states = len(normal.states)
    way = "one way of running" if states == 1 else f"{states} ways of running"
    return f"{normal.name}: learned from {length_text(normal.learned_s)} of normal sound, {way}."


def length_text(length_s: float) -> str:
    """Such as "45 s", "30 min" or "2.5 h"."""
    if length_s < 120:
        return f"{length_s:.0f} s"
    return f"{length_s / 60:.0f} min" if length_s < 2 * 3_600 else f"{length_s / 3_600:.1f} h"


def heard_line(heard: Heard) -> str:
    """One recording, in plain words."""
    return f"{heard.file}: {said_of(heard)}"


def said_of(heard: Heard) -> str:
    """What is said of a recording, whatever its name."""
    if heard.windows == 0:
        return f"shorter than {WINDOW_S:g} s"
    if heard.strangeness is None:
        return "the machine is off"
    line = f"{_verdict(heard)}, strangeness {heard.strangeness:.2f}"
    if heard.difference is None:
        return line
    return f"{line}, most like: {fault_text(heard.fault, difference_text(heard.difference))}"


def _verdict(heard: Heard) -> str:
    if heard.unusual_at_s:
        return f"unusual from {heard.unusual_at_s[0]:.0f} s on"
    if heard.difference is None:
        return "as when it was well"
    if heard.overlaid:
        return "stranger than when it was well, perhaps for the room's sounds"
    return "stranger than when it was well"
