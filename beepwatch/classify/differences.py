"""What of the sound of late is most unlike normal, as numbers and in words."""

from collections.abc import Sequence

import msgspec
import numpy as np

from beepwatch.classify.condition import Difference, Listener, unpacked
from beepwatch.classify.novelties import DB, Novelty, Seen
from beepwatch.classify.spectra import Floats

_WHINE_HZ = 500.0  # a lower tone is a hum


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How the sound differs from what was learned."""

    most: Difference
    db: Floats  # [BANDS], more than normal
    spectra: Floats  # [windows, BANDS], typical ones, of the windows that it is taken from


def change_of(listener: Listener, windows: Sequence[Seen]) -> Change:
    """Of the stranger half of the windows of the state that most of them are nearest to.

    At least one window.
    """
    state = int(np.bincount([one.state for one in windows]).argmax())
    least = float(np.median([one.strangeness for one in windows]))
    chosen = [one for one in windows if one.state == state and one.strangeness >= least] or windows
    middle = np.median(np.stack([one.spectrum for one in chosen]), axis=0)
    normal = unpacked(listener.normal.states[state].alone)
    return Change(
        most=_new(chosen) or listener.difference(middle, state),
        db=np.asarray((middle - normal) * DB, dtype=np.float32),
        spectra=np.stack([one.typical for one in chosen]),
    )


def _new(windows: Sequence[Seen]) -> Difference | None:
    """What is new in most of the windows, as it was where it was clearest."""
    found = [one.novelty for one in windows if one.novelty is not None]
    if 2 * len(found) <= len(windows):
        return None
    return max(found, key=_strangeness).what


def _strangeness(novelty: Novelty) -> float:
    return novelty.strangeness


def difference_text(found: Difference) -> str:
    """Such as "3.1 kHz whine that was not there, 14 dB more"."""
    if found.kind == "clicks" and found.per_s is not None:
        return f"clicks {found.per_s:.0f} times a second that were not there"
    hz = (
        f"{found.pitch_hz / 1_000:.1f} kHz"
        if found.pitch_hz >= 1_000
        else f"{found.pitch_hz:.0f} Hz"
    )
    if found.kind in ("clicks", "rattling"):
        return f"rattling around {hz} that was not there"
    tone = "whine" if found.pitch_hz >= _WHINE_HZ else "hum"
    what = f"{hz} {tone if found.kind == 'tone' else 'noise'}"
    if found.more_db < 0:
        return f"{what} is missing, {-found.more_db:.0f} dB less"
    return f"{what} that was not there, {found.more_db:.0f} dB more"
