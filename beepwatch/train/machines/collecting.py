"""Sound of a machine as it comes, kept as portraits; a day takes no more than an hour."""

import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.portraits import STEADY, portrait
from beepwatch.classify.spectra import RATE_HZ, Floats, level_db
from beepwatch.train.machines.learning import HOP_S, TooLittleSound, windows_of

MOST_WINDOWS = 2_400  # of 1 s each, before every second one goes


class Collection:
    """What has been heard of one machine, in the order in which it came.

    Where there is more than can be learned from, every second window goes and `hop_s` doubles.
    Digital silence is no machine's: it is left out and counted.
    """

    def __init__(self, most_windows: int = MOST_WINDOWS) -> None:
        self.heard_s = 0.0
        self.silent_windows = 0
        self._most = most_windows
        self._every = 1  # of how many windows one is kept
        self._windows = 0  # that were not silent
        self._found: list[Floats] = []
        self._held = np.zeros(0, dtype=np.int16)

    def hear(self, pcm: NDArray[np.int16]) -> None:
        """Sound at 16 kHz that goes on where the last ended."""
        self.heard_s += len(pcm) / RATE_HZ
        self._held = np.concatenate([self._held, pcm])
        used = 0
        for window in windows_of(self._held):
            used += 1
            if window.any():
                self._keep(window)
            else:
                self.silent_windows += 1
        self._held = self._held[used * round(HOP_S * RATE_HZ) :]

    def _keep(self, window: NDArray[np.int16]) -> None:
        if self._windows % self._every == 0:
            self._found.append(portrait(window))
        self._windows += 1
        if len(self._found) > self._most:
            del self._found[1::2]
            self._every *= 2

    @property
    def hop_s(self) -> float:
        """From one window that was kept to the next."""
        return self._every * HOP_S

    def break_off(self) -> None:
        """What comes next does not go on where the last ended."""
        self._held = self._held[:0]

    def level_dbfs(self) -> float:
        """Typical level of the steady part. Raises TooLittleSound as `portraits` does."""
        return float(np.median(level_db(self.portraits()[:, STEADY])))

    def portraits(self) -> Floats:
        """All of it, [windows, FEATURES]. Raises TooLittleSound if there is none."""
        if self._found:
            return np.stack(self._found)
        if self.silent_windows:
            raise TooLittleSound(
                f"all {self.heard_s:.0f} s are digital silence. Is the microphone muted? "
                "See: beepwatch doctor."
            )
        raise TooLittleSound(
            f"{self.heard_s:.1f} s of sound are too little. "
            "Give five minutes and more, best of every programme."
        )
