"""What of the sound of late is most unlike normal, as numbers and in words."""

from collections.abc import Sequence

import msgspec
import numpy as np

from beepwatch.classify.condition import Difference, Listener, unpacked
from beepwatch.classify.spectra import Floats

_DB = np.float32(10 / np.log(10))  # of a natural log of power


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One window in which the machine ran."""

    strangeness: float
    state: int
    spectrum: Floats  # [BANDS]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How the sound differs from what was learned."""

    most: Difference
    db: Floats  # [BANDS], more than normal


def change_of(listener: Listener, windows: Sequence[Seen]) -> Change:
    """Of the stranger half of the windows of the state that most of them are nearest to.

    At least one window.
    """
    state = int(np.bincount([one.state for one in windows]).argmax())
    least = float(np.median([one.strangeness for one in windows]))
    chosen = [
        one.spectrum for one in windows if one.state == state and one.strangeness >= least
    ] or [one.spectrum for one in windows]
    middle = np.median(chosen, axis=0)
    normal = unpacked(listener.normal.states[state].alone)
    return Change(
        most=listener.difference(middle, state),
        db=np.asarray((middle - normal) * _DB, dtype=np.float32),
    )


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
