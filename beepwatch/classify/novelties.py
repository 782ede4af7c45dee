"""What of late was not there when the machine was well: a whine, clicks, rattling.

Few and broad bands tell how strange a machine is as a whole; one faint tone is lost in them. So of
the last half minute the median is taken, band by band, and what stands on the usual noise is looked
for by itself. It is looked for only while the room is quiet: a household that whines or clicks has
nearly always some noise of its own as well, which lifts what lies under and between the machine's.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.classify.condition import Ceiling, Difference, Limits, Listener, unpacked
from beepwatch.classify.portraits import BEATING, NEWS, QUIET, STEADY, TYPICAL, UNEVEN
from beepwatch.classify.spectra import LINES, NARROW_BANDS, Floats, centres_hz
from beepwatch.classify.swings import OCTAVES_HZ, RATES, RATES_HZ

RECENT_S = 30.0
_MOST_RECENT = 30  # windows, however often they come
_LEAST_S = 13.0  # of it, in one way of running
_BESIDE = 8  # bands to either side, whose median is the noise that one stands on
DB = np.float32(10 / np.log(10))  # of a natural log of power
_LIFTED_DB = 1.0  # what a quiet room does not
_NEARLY_HIGHEST = int(0.97 * (len(LINES) - 1))  # of the bands in order
_NEW = 1.0  # of a limit: as strange as is no evidence either way
# What homes do as well, clicks as slow as those of clocks and steps and what rattles out of time,
# is a tenth of the evidence at most: it is told after ten times as long.
_HALF_HEARTED, _SLOWEST_PER_S = 1.01, 5.9
_LOWEST = int(np.searchsorted(centres_hz()[LINES], 160.0))  # lower is the mains' hum, of any device
_HALF_AN_OCTAVE = 0.6  # and a little: OCTAVES_HZ are not quite their middles
_AS_CLEAR = 0.6  # as the clearest rate: the slowest such is that of the clicks


class Novelty(NamedTuple):
    """Something that was not there."""

    strangeness: float  # 1 at its limit
    what: Difference


class Ridges(NamedTuple):
    """How far each band stands above its neighbours, natural logs."""

    above: Floats
    noise: Floats  # the neighbours' median


def line_ridges(portraits: Floats) -> Ridges:
    """Of portraits [..., FEATURES]: [..., LINES]."""
    return _ridges(portraits[..., STEADY][..., LINES], _BESIDE_LINES)


def rate_ridges(portraits: Floats) -> Ridges:
    """Of portraits [..., FEATURES]: [..., RATES]."""
    return _ridges(portraits[..., BEATING], _BESIDE_RATES)


def _ridges(values: Floats, beside: NDArray[np.intp]) -> Ridges:
    noise = np.partition(values[..., beside], _BESIDE, axis=-1)[..., _BESIDE]
    return Ridges(values - noise, noise)


def _neighbours(parts: Sequence[slice]) -> NDArray[np.intp]:
    """Each band and those beside it, within its part, [bands, 2 * _BESIDE + 1].

    At a part's ends what lies inward stands for what is missing.
    """
    found = []
    for part in parts:
        places = np.arange(part.start, part.stop)
        around = places[:, None] + np.arange(-_BESIDE, _BESIDE + 1)
        inward = np.where(around < part.start, 2 * part.start - around, around)
        found.append(np.where(inward >= part.stop, 2 * (part.stop - 1) - inward, inward))
    return np.concatenate(found)


LINE_PARTS = (slice(0, NARROW_BANDS), slice(NARROW_BANDS, len(LINES)))  # equally spaced each
RATE_PARTS = (slice(0, RATES),)
_BESIDE_LINES, _BESIDE_RATES = _neighbours(LINE_PARTS), _neighbours(RATE_PARTS)


class Excess(NamedTuple):
    """Of one sound over a ceiling, in dB."""

    lines: Floats  # [LINES]
    rates: Floats  # [RATES]
    uneven: Floats  # [OCTAVES]
    under: float  # what lines stand on, nearly everywhere no more than that
    between: Floats  # [OCTAVES], what is left between clicks


class Known:
    """A ceiling, unpacked."""

    def __init__(self, ceiling: Ceiling) -> None:
        self._lines = unpacked(ceiling.lines)
        self._noise = unpacked(ceiling.noise)
        self._rates = unpacked(ceiling.rates)
        self._uneven = unpacked(ceiling.uneven)
        self._quiet = unpacked(ceiling.quiet)

    def excess(self, middle: Floats) -> Excess:
        """Of the median of some portraits, [FEATURES]."""
        lines, rates = line_ridges(middle), rate_ridges(middle)
        under = np.partition(lines.noise - self._noise, _NEARLY_HIGHEST)[_NEARLY_HIGHEST]
        return Excess(
            lines=(lines.above - self._lines) * DB,
            rates=(rates.above - self._rates) * DB,
            uneven=(middle[UNEVEN] - self._uneven) * DB,
            under=float(under * DB),
            between=(middle[QUIET] - self._quiet) * DB,
        )


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One window in which the machine ran."""

    strangeness: float
    state: int
    spectrum: Floats  # [BANDS], steady
    typical: Floats  # [BANDS]
    drowned: bool = False  # most of it may be the room's
    hidden: bool = False  # what was new lately may still be there, under the room's sounds
    novelty: Novelty | None = None  # what is strangest, if it is that

    @property
    def evidence(self) -> float | None:
        """The strangeness, if it says anything."""
        return None if self.hidden else self.strangeness


class Attention:
    """A machine that is listened to, window after window. Times are monotonic; no I/O."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        normal = listener.normal
        self._limits = normal.limits
        self._known = [Known(state.ceiling) for state in normal.states if state.ceiling]
        # Until when, the state, the portrait's NEWS.
        self._recent: deque[tuple[float, int, Floats]] = deque(maxlen=_MOST_RECENT)
        self._was_new = False

    def hear(self, portrait: Floats, now_s: float) -> Seen | None:
        """A window's portrait; it ended at `now_s`. None if the machine is off."""
        spectrum = portrait[STEADY]
        judged = self._listener.judge(spectrum)
        if judged is None:
            self._recent.clear()
            self._was_new = False
            return None
        self._recent.append((now_s, judged.state, portrait[NEWS]))
        while now_s - self._recent[0][0] >= RECENT_S:
            self._recent.popleft()
        novelty, hidden = self._novelty(judged.state, now_s)
        if novelty is not None and novelty.strangeness <= judged.strangeness:
            novelty = None
        return Seen(
            strangeness=novelty.strangeness if novelty else judged.strangeness,
            state=judged.state,
            spectrum=spectrum,
            typical=portrait[TYPICAL],
            drowned=judged.drowned and novelty is None,  # that was looked for in a quiet room
            hidden=hidden and judged.strangeness < _NEW,
            novelty=novelty,
        )

    def _novelty(self, state: int, now_s: float) -> tuple[Novelty | None, bool]:
        """What is new, and whether something may be that cannot be heard for the room."""
        limits = self._limits
        same = [portrait for _, other, portrait in self._recent if other == state]
        long_enough = now_s - self._recent[0][0] >= _LEAST_S and 2 * len(same) > len(self._recent)
        if limits is None or not long_enough:
            return None, False
        excess = self._known[state].excess(_middle(same))
        whine, clatter = _whine(excess, limits), _clatter(excess, limits)
        heard = [one for one in (whine, clatter) if one is not None]
        most = max(heard, key=_strangeness, default=None)
        if most is not None and most.strangeness >= _NEW:
            self._was_new = True
            return most, False
        self._was_new = self._was_new and len(heard) < 2
        return None, self._was_new


def _middle(portraits: list[Floats]) -> Floats:
    half = len(portraits) // 2
    return np.asarray(np.partition(np.stack(portraits), half, axis=0)[half])


def _whine(excess: Excess, limits: Limits) -> Novelty | None:
    """The clearest line; None if the room is loud, in any octave but the line's own."""
    line = _LOWEST + int(excess.lines[_LOWEST:].argmax())
    more_db = float(excess.lines[line])
    pitch_hz = float(centres_hz()[LINES[line]])
    others = np.abs(np.log2(pitch_hz / OCTAVES_HZ)) > _HALF_AN_OCTAVE
    if max(excess.under, float(excess.between[others].max())) >= _LIFTED_DB:
        return None
    what = Difference(pitch_hz=pitch_hz, more_db=more_db, kind="tone")
    return Novelty(more_db / limits.line_db, what)


def _clatter(excess: Excess, limits: Limits) -> Novelty | None:
    """Clicks if they come evenly, else rattling; None if the room is loud.

    The clicks' rate is the slowest of those that are clear: the others are its multiples.
    """
    if float(excess.between.max()) >= _LIFTED_DB:
        return None
    octave = int(excess.uneven.argmax())
    pitch_hz, uneven_db = float(OCTAVES_HZ[octave]), float(excess.uneven[octave])
    even_db = float(excess.rates.max())
    clicks = even_db / limits.rate_db
    if clicks < _NEW:
        what = Difference(pitch_hz=pitch_hz, more_db=uneven_db, kind="rattling")
        return Novelty(min(uneven_db / limits.uneven_db, _HALF_HEARTED), what)
    per_s = float(RATES_HZ[int((excess.rates >= _AS_CLEAR * even_db).argmax())])
    what = Difference(pitch_hz=pitch_hz, more_db=even_db, kind="clicks", per_s=round(per_s, 1))
    return Novelty(clicks if per_s >= _SLOWEST_PER_S else min(clicks, _HALF_HEARTED), what)


def _strangeness(novelty: Novelty) -> float:
    return novelty.strangeness
