"""Sound of a machine as it comes, kept as portraits; a day takes no more than an hour."""

from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.portraits import STEADY, portrait
from beepwatch.classify.spectra import RATE_HZ, WINDOW_SAMPLES, Floats, level_db
from beepwatch.train.machines.learning import HOP_S, TooLittleSound, windows_of

HOP_SAMPLES = round(HOP_S * RATE_HZ)
MOST_WINDOWS = 2_400  # of 1 s each, before every second one goes

Thing = TypeVar("Thing")


class Cutter:
    """Cuts sound at 16 kHz into windows a hop apart, however it comes."""

    def __init__(self) -> None:
        self._held = np.zeros(0, dtype=np.int16)

    def windows(self, pcm: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
        """Those that are whole by now, with sound that goes on where the last ended."""
        held = np.concatenate([self._held, pcm])
        used = max(0, (len(held) - WINDOW_SAMPLES) // HOP_SAMPLES + 1)
        self._held = held[used * HOP_SAMPLES :].copy()
        yield from windows_of(held)

    def break_off(self) -> None:
        """What comes next does not go on where the last ended."""
        self._held = self._held[:0]


class Thinned(Generic[Thing]):
    """Things in their order; where there are more than are of use, every second one goes."""

    def __init__(self, most: int) -> None:
        self.kept: list[Thing] = []
        self.every = 1  # of how many one is kept
        self._most = most
        self._count = 0

    def wants_next(self) -> bool:
        """Whether the next one is to be kept: if not, it need not even be made."""
        wanted = self._count % self.every == 0
        self._count += 1
        return wanted

    def keep(self, thing: Thing) -> None:
        """One that is wanted."""
        self.kept.append(thing)
        if len(self.kept) > self._most:
            del self.kept[1::2]
            self.every *= 2


class Collection:
    """What has been heard of one machine, in the order in which it came.

    Where there is more than can be learned from, every second window goes and `hop_s` doubles.
    Digital silence is no machine's: it is left out and counted.
    """

    def __init__(self, most_windows: int = MOST_WINDOWS) -> None:
        self.heard_s = 0.0
        self.silent_windows = 0
        self._found = Thinned[Floats](most_windows)
        self._cutter = Cutter()

    def hear(self, pcm: NDArray[np.int16]) -> None:
        """Sound at 16 kHz that goes on where the last ended."""
        self.heard_s += len(pcm) / RATE_HZ
        for window in self._cutter.windows(pcm):
            if not window.any():
                self.silent_windows += 1
            elif self._found.wants_next():
                self._found.keep(portrait(window))

    @property
    def hop_s(self) -> float:
        """From one window that was kept to the next."""
        return self._found.every * HOP_S

    def break_off(self) -> None:
        """What comes next does not go on where the last ended."""
        self._cutter.break_off()

    def level_dbfs(self) -> float:
        """Typical level of the steady part. Raises TooLittleSound as `portraits` does."""
        return float(np.median(level_db(self.portraits()[:, STEADY])))

    def portraits(self) -> Floats:
        """All of it, [windows, FEATURES]. Raises TooLittleSound if there is none."""
        if self._found.kept:
            return np.stack(self._found.kept)
        if self.silent_windows:
            raise TooLittleSound(
                f"all {self.heard_s:.0f} s are digital silence. Is the microphone muted? "
                "See: beepwatch doctor."
            )
        raise TooLittleSound(
            f"{self.heard_s:.1f} s of sound are too little. "
            "Give five minutes and more, best of every programme."
        )
