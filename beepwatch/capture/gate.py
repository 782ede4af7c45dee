"""Is there a sound in this window, or only the room?

A window is kept if it holds a beep of 80 ms or longer, at a pitch from 400 Hz to 6 kHz, whose
loudest 80 ms are 6 dB or more over the room's noise in its band. Its band is the octave around its
pitch. The room's noise is what `Gate` has heard so far, 10 s or more of it, and is steady; in one
that swells, or by chance, a few in a thousand at 6 dB are lost. Clocks close by and lively rooms
are not dropped: benchmarks/gate.py counts both.

The question is put to narrower bands still. A beep that is 6 dB over the noise of the octave around
it stands further out of the noise of the 47 Hz around its own pitch, and that is where it is looked
for. Sound is cut into frames of 32 ms every 16 ms. Something sounds where four frames in a
row (80 ms, the shortest beep promised) rise above the floor of their bin and above their
neighbours in pitch, three of them each by itself: a click is too short for that and rain too broad.
And it must have begun at once: it is as much louder than what was at and around its pitch the
moment before. A passing car swells and glides, and does not. What goes on after such a beginning,
or comes again within half a second, is taken as one with it. A sound without pitch counts if it is
24 dB over the floor of a half octave and comes at once. Which machine a sound is of the gate does
not ask: a horn or a bird far away that holds one pitch for as long is kept like a beep.

The floor of a bin is what is left in the pauses, a low percentile of each second's frames, and of
the seconds of the last minute the median; it is the idea of R. Martin, "Noise power spectral
density estimation based on optimal smoothing and minimum statistics", IEEE Trans. Speech and Audio
Processing 9 (2001). A fan that is switched on opens the gate for half a minute at most and then is
the room; beeps with pauses between them stay out of the floor.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_FRAME_S: Final = 0.032
_LOWEST_HZ: Final = 375.0
_HIGHEST_HZ: Final = 7_500.0
_GROUP_FRAMES: Final = 4  # 80 ms, as frames overlap by half
_EACH_BELOW_DB: Final = 5.0  # how much weaker than the group its third best frame may be
_EACH_BELOW: Final = np.float32(10 ** (_EACH_BELOW_DB / 10))
_LEAST_POWER: Final = np.float32(1e-10)  # so that nothing has a level

_MEMORY_SECONDS: Final = 60
_PAUSE_QUANTILE: Final = 0.25  # of a second's frames: what sounds in the pauses of a beep
_PAUSE_OF_MEAN: Final = -math.log(1 - _PAUSE_QUANTILE)  # of noise, whose power is exponential
_ROOM_QUANTILE: Final = 0.5  # of the seconds in memory
_JUST_NOW_SECONDS: Final = 3  # a room that fell silent is believed after so long
_WARM_SECONDS: Final = 5  # before that the neighbours in pitch have a say in a bin's floor
_QUANTISATION: Final = 1 / 12  # power of rounding to int16, in squared steps

_HANN_WIDTH_BINS: Final = 1.5  # equivalent noise bandwidth
_OCTAVE: Final = 2**0.5 - 2**-0.5  # its width over its centre
_SAFETY_DB: Final = 5.0  # a pitch between two bins and noise may take so much off a beep
_LEAST_TONE_DB: Final = 9.0  # over a bin's floor; noise alone gets there about once in 500 windows
_LEAST_PEAK_DB: Final = 6.5  # over the neighbours in pitch
_NEIGHBOURS_BINS: Final = (4, 12)  # nearest and farthest, on both sides
_BEFORE_FRAMES: Final = (9, 2)  # where the room just before a group is, from its first frame
_REACH_BINS: Final = 2  # a pitch may wander so far from frame to frame
_HOLD_FRAMES: Final = 31  # half a second; longest pause after which a pitch goes on
_RISE_BELOW_DB: Final = 1.5  # how much less than over the floor it may be over just before
_JUST_BEGUN_S: Final = 1.0  # so long after its beginning a sound is new

_BAND_DB: Final = 24.0  # over the floor of half an octave, for a sound without pitch
_BAND_RISE_DB: Final = 12.0  # and over what was there just before
_BANDS_PER_OCTAVE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a window is worth hearing, and because of what."""

    keep: bool
    excess_db: float  # of its strongest 80 ms, over what it takes; if dropped, that is at most
    at_hz: float  # where that was


class Peek(NamedTuple):
    """What sounds at a moment."""

    is_new: bool  # whether something with a pitch has begun a moment ago
    sounded_until: float  # sample of the stream up to which something with a pitch was heard


class Gate:
    """Hears one stream, step by step, and judges each window of it."""

    def __init__(self, *, rate_hz: int, over_floor_db: float) -> None:
        self._frame = max(32, 32 * round(_FRAME_S * rate_hz / 32))  # a good length for an FFT
        self._hop = self._frame // 2
        hann = np.hanning(self._frame + 1)[:-1].astype(np.float32)
        # White noise keeps its variance; what a forward transform divides by is in it already.
        self._hann = hann * np.float32(self._frame / np.sqrt(np.square(hann).sum()))
        bin_hz = rate_hz / self._frame
        first = max(1, math.ceil(_LOWEST_HZ / bin_hz))
        last = min(self._frame // 2 - 1, int(min(_HIGHEST_HZ, 0.47 * rate_hz) / bin_hz))
        self._bins = slice(first, max(first + 2, last + 1))
        self._hz = (np.arange(self._frame // 2 + 1) * bin_hz)[self._bins].astype(np.float32)
        octave_db = 10 * np.log10(_OCTAVE * self._hz / (_HANN_WIDTH_BINS * bin_hz))
        self._tone_db = np.maximum(_LEAST_TONE_DB, over_floor_db + octave_db - _SAFETY_DB)
        self._tone_over = np.power(10, self._tone_db / 10, dtype=np.float32)
        octaves = np.log2(self._hz / self._hz[0]) * _BANDS_PER_OCTAVE
        _, self._band_starts = np.unique(octaves.astype(int), return_index=True)
        self._seconds = np.zeros((_MEMORY_SECONDS, self._hz.size), dtype=np.float32)  # a ring
        self._learnt = 0  # seconds ever
        self._room: Floats | None = None  # the floor, until one more second is learnt
        self._second_frames = max(4, (rate_hz - self._frame) // self._hop + 1)
        self._unheard = np.zeros(0, dtype=np.int16)  # belongs to frames that are not whole yet
        self._powers = np.zeros((0, self._hz.size), dtype=np.float32)  # of an unfinished second
        # What groups that go on began with and what was before; digital silence at the beginning.
        self._tail = np.zeros((_BEFORE_FRAMES[0], self._hz.size), dtype=np.float32)
        self._held_until = np.full(self._hz.size, -1)  # sample up to which a pitch goes on
        self._heard = 0  # samples up to the end of the last whole frame's hop
        self._begun = -math.inf  # sample up to which the last group that rose reached
        self._just_begun = _JUST_BEGUN_S * rate_hz
        self._scores: deque[tuple[float, float, int]] = deque()  # excess_db, hz, group's end

    @property
    def sounded_until(self) -> float:
        """Sample of the stream up to which something with a pitch was heard, or -inf."""
        return self._sounded_until(self._held_until)

    def step(self, fresh: NDArray[np.int16], first_sample: int) -> Verdict:
        """Judge the window at `first_sample`, of which `fresh` [samples] is what is new.

        Steps follow one another without a gap, so that frames cross their borders; how long each is
        makes no difference to what is heard.
        """
        powers, self._unheard = self._frames(fresh)
        self._learn(powers)
        if powers.shape[0]:
            self._score(powers)
        while self._scores and self._scores[0][2] < first_sample + self._frame:
            self._scores.popleft()
        if not self._scores:
            return Verdict(keep=False, excess_db=-math.inf, at_hz=0.0)
        excess_db, at_hz, _ = max(self._scores)
        return Verdict(keep=excess_db >= 0, excess_db=excess_db, at_hz=at_hz)

    def peek(self, coming: NDArray[np.int16]) -> Peek:
        """What sounds up to the end of `coming`, the beginning of what the next step will be given.

        Nothing is remembered of it: no verdict depends on whether it was asked about.
        """
        powers, _ = self._frames(coming)
        heard = self._heard + powers.shape[0] * self._hop
        powers = np.concatenate([self._tail, powers])
        held_until, begun = self._held_until, self._begun
        if powers.shape[0] >= _BEFORE_FRAMES[0] + _GROUP_FRAMES:
            floor = self._floor()
            means, thirds = _groups(powers[_BEFORE_FRAMES[0] :])
            most = np.minimum(means, thirds * _EACH_BELOW) / (floor * self._tone_over)
            some = np.flatnonzero(most.max(axis=1) >= 1)
            if some.size:
                tone = self._tones(means[some], thirds[some], floor)
                held_until = held_until.copy()
                begun = max(begun, self._go_on(tone, means[some], powers, some, held_until))
        return Peek(heard - begun <= self._just_begun, self._sounded_until(held_until))

    def _frames(self, fresh: NDArray[np.int16]) -> tuple[Floats, NDArray[np.int16]]:
        """Power of each whole frame, in squared int16 steps, [frames, bins]; what is left over."""
        sound = np.concatenate([self._unheard, fresh])
        count = max(0, (sound.size - self._frame) // self._hop + 1)
        left_over = sound[count * self._hop :]
        if count == 0:
            return np.zeros((0, self._hz.size), dtype=np.float32), left_over
        strides = self._hop * sound.itemsize, sound.itemsize
        view = np.ndarray((count, self._frame), sound.dtype, sound, strides=strides)
        # With norm="backward", whose factor is 1, numpy computes float32 in double precision.
        spectrum = np.fft.rfft(view * self._hann, axis=1, norm="forward")[:, self._bins]
        return np.square(spectrum.real) + np.square(spectrum.imag), left_over

    def _learn(self, powers: Floats) -> None:
        """Whole seconds go into the memory of the floor."""
        self._powers = np.concatenate([self._powers, powers])
        while self._powers.shape[0] >= self._second_frames:
            second = self._powers[: self._second_frames]
            self._powers = self._powers[self._second_frames :]
            rank = int(_PAUSE_QUANTILE * self._second_frames)
            pause = np.partition(second, rank, axis=0)[rank] / np.float32(_PAUSE_OF_MEAN)
            row = self._seconds[self._learnt % _MEMORY_SECONDS]
            np.maximum(pause, np.float32(_QUANTISATION), out=row)
            self._learnt += 1
            self._room = None

    def _floor(self) -> Floats:
        """Power of the room in each bin, [bins]; the same for each look within a second."""
        if self._room is None:
            self._room = self._floor_of_seconds()
        return self._room

    def _floor_of_seconds(self) -> Floats:
        count = min(self._learnt, _MEMORY_SECONDS)
        if count == 0:  # a window shorter than a second
            return np.full(self._hz.size, np.float32(_QUANTISATION))
        rank = int(_ROOM_QUANTILE * count)
        floor = np.partition(self._seconds[:count], rank, axis=0)[rank]
        if count >= _WARM_SECONDS:
            just_now = np.arange(self._learnt - _JUST_NOW_SECONDS, self._learnt) % _MEMORY_SECONDS
            least: Floats = np.minimum(floor, self._seconds[just_now].max(axis=0))
        else:
            around = np.power(10, _around(10 * np.log10(floor)[np.newaxis])[0] / 10)
            least = np.clip(floor, around / 2, around * 2)
        return least

    def _score(self, powers: Floats) -> None:
        """How far each group of frames that ends in `powers` is over what opens the gate."""
        before_frames = _BEFORE_FRAMES[0]
        powers = np.concatenate([self._tail, powers])
        self._tail = powers[1 - _GROUP_FRAMES - before_frames :]
        groups = powers.shape[0] - before_frames - _GROUP_FRAMES + 1
        first_end = self._first_end
        if groups <= 0:
            return
        floor = self._floor()
        means, thirds = _groups(powers[before_frames:])
        # Most groups of a quiet room are told from the powers: only what is left needs more.
        most = np.minimum(means, thirds * _EACH_BELOW) / (floor * self._tone_over)
        at = most.argmax(axis=1)
        excess_db = 10 * np.log10(most[np.arange(groups), at] + _LEAST_POWER)
        some = np.flatnonzero(excess_db >= 0)
        if some.size:
            tone = self._tones(means[some], thirds[some], floor)
            begun = self._go_on(tone, means[some], powers, some, self._held_until)
            self._begun = max(self._begun, begun)
            at[some], excess_db[some] = tone.argmax(axis=1), tone.max(axis=1)
        bands, band_db = self._over_bands(means, powers, floor)
        self._heard += groups * self._hop
        at = np.where(band_db > excess_db, bands, at)
        excess_db = np.maximum(excess_db, band_db)
        ends = range(first_end, first_end + groups * self._hop, self._hop)
        self._scores.extend(zip(excess_db.tolist(), self._hz[at].tolist(), ends, strict=True))

    def _tones(self, means: Floats, thirds: Floats, floor: Floats) -> Floats:
        """How far each group is over floor and neighbours, over what is asked, [groups, bins]."""
        mean_db = _db(means)
        tone = np.minimum(mean_db, _db(thirds) + _EACH_BELOW_DB) - _db(floor) - self._tone_db
        over: Floats = np.minimum(tone, mean_db - _around(mean_db) - _LEAST_PEAK_DB)
        return over

    def _rise(self, means: Floats, powers: Floats, groups: NDArray[np.intp]) -> Floats:
        """How far some groups are over the moment before, over what is asked, [groups, bins]."""
        rise: Floats = _db(means) - _before(powers, groups) - self._tone_db + _RISE_BELOW_DB
        return rise

    def _over_bands(
        self, means: Floats, powers: Floats, floor: Floats
    ) -> tuple[NDArray[np.intp], Floats]:
        """Where a sound without pitch is strongest in each group, and how far over what it takes.

        Its bin and an excess in dB, both [groups].
        """
        starts = self._band_starts
        over_db = _db(np.add.reduceat(means, starts, axis=1)) - _BAND_DB
        over_db -= _db(np.add.reduceat(floor, starts))
        some = np.flatnonzero((over_db >= 0).any(axis=1))
        if some.size:
            in_bands = np.add.reduceat(powers, starts, axis=1)
            level_db = over_db[some] + _BAND_DB + _db(np.add.reduceat(floor, starts))
            rise = level_db - _before(in_bands, some) - _BAND_RISE_DB
            over_db[some] = np.minimum(over_db[some], rise)
        return starts[over_db.argmax(axis=1)], over_db.max(axis=1)

    def _go_on(
        self,
        tone: Floats,
        means: Floats,
        powers: Floats,
        groups: NDArray[np.intp],
        held_until: NDArray[np.int_],
    ) -> float:
        """What neither rises nor follows on what rose does not open the gate: `tone` in place.

        Of those groups of a step that may sound, in their order: `tone` and `means` are [groups,
        bins], and `held_until` [bins] is brought up to date. The sample up to which the last of
        them that rose reached; minus infinity if none did.
        """
        if not (tone >= 0).any():
            return -math.inf
        rise = self._rise(means, powers, groups)
        ends = self._first_end + groups * self._hop
        for group in np.flatnonzero(_any(tone)).tolist():
            fresh = held_until < ends[group]
            tone[group, fresh] = np.minimum(tone[group, fresh], rise[group, fresh])
            for at in np.flatnonzero(tone[group] >= 0).tolist():
                reach = slice(max(0, at - _REACH_BINS), at + _REACH_BINS + 1)
                held_until[reach] = ends[group] + _HOLD_FRAMES * self._hop
        rose = groups[_any(np.minimum(tone, rise))]
        return float(self._heard + (rose[-1] + 1) * self._hop) if rose.size else -math.inf

    @property
    def _first_end(self) -> int:
        """Where the next step's first group will end."""
        return self._heard + self._frame + (_GROUP_FRAMES - 1) * self._hop

    def _sounded_until(self, held_until: NDArray[np.int_]) -> float:
        held = int(held_until.max())
        return held - _HOLD_FRAMES * self._hop if held >= 0 else -math.inf


def _any(over_db: Floats) -> NDArray[np.bool_]:
    """Which groups of [groups, bins] are over what is asked, at any pitch."""
    return np.asarray((over_db >= 0).any(axis=1))


def _db(powers: Floats) -> Floats:
    """Powers in dB; a power of nothing is very little, not minus infinity."""
    level_db: Floats = 10 * np.log10(powers + _LEAST_POWER)
    return level_db


def _groups(powers: Floats) -> tuple[Floats, Floats]:
    """Mean power of each group of frames, and that of its third best, [groups, bins]."""
    ones, twos, threes, fours = (
        powers[start : powers.shape[0] - _GROUP_FRAMES + 1 + start]
        for start in range(_GROUP_FRAMES)
    )
    means: Floats = (ones + twos + threes + fours) / np.float32(_GROUP_FRAMES)
    middle = np.minimum(twos, threes)
    thirds: Floats = np.maximum(np.minimum(ones, middle), np.minimum(middle, fours))
    return means, thirds


def _before(powers: Floats, groups: NDArray[np.intp]) -> Floats:
    """Level in dB of what was at and around a bin just before some groups, [groups, bins]."""
    first, last = _BEFORE_FRAMES
    frames = groups[:, np.newaxis] + np.arange(first - last + 1)
    mean_db = _db(powers[frames].mean(axis=1, dtype=np.float32))
    wide = np.pad(mean_db, ((0, 0), (_REACH_BINS, _REACH_BINS)), mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(wide, 2 * _REACH_BINS + 1, axis=1)
    before: Floats = view.max(axis=2).astype(np.float32)
    return before


def _around(level_db: Floats) -> Floats:
    """Mean level of the neighbours in pitch, the bin's own main lobe left out, [frames, bins]."""
    near, far = _NEIGHBOURS_BINS
    bins = level_db.shape[1]
    sums = np.zeros((level_db.shape[0], bins + 1), dtype=np.float64)
    np.cumsum(level_db, axis=1, out=sums[:, 1:])
    at = np.arange(bins)
    below = np.maximum(at - near + 1, 0), np.maximum(at - far, 0)
    above = np.minimum(at + far + 1, bins), np.minimum(at + near, bins)
    total = sums[:, below[0]] - sums[:, below[1]] + sums[:, above[0]] - sums[:, above[1]]
    count = below[0] - below[1] + above[0] - above[1]
    around: Floats = (total / np.maximum(count, 1)).astype(np.float32)
    return around
