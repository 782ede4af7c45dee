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
24 dB over the floor of a half octave and comes at once.

The floor of a bin is what is left in the pauses, a low percentile of each second's frames, and of
the seconds of the last minute the median; it is the idea of R. Martin, "Noise power spectral
density estimation based on optimal smoothing and minimum statistics", IEEE Trans. Speech and Audio
Processing 9 (2001). A fan that is switched on opens the gate for half a minute at most and then is
the room; beeps with pauses between them stay out of the floor.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_FRAME_S: Final = 0.032
_LOWEST_HZ: Final = 375.0
_HIGHEST_HZ: Final = 7_500.0
_GROUP_FRAMES: Final = 4  # 80 ms, as frames overlap by half
_EACH_BELOW_DB: Final = 5.0  # how much weaker than the group its third best frame may be

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

_BAND_DB: Final = 24.0  # over the floor of half an octave, for a sound without pitch
_BAND_RISE_DB: Final = 12.0  # and over what was there just before
_BANDS_PER_OCTAVE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a window is worth hearing, and because of what."""

    keep: bool
    excess_db: float  # of its strongest 80 ms, over what it takes to be kept
    at_hz: float  # where that was


class Gate:
    """Hears one stream, step by step, and judges each window of it."""

    def __init__(self, *, rate_hz: int, window_s: float, over_floor_db: float) -> None:
        self._frame = max(32, 32 * round(_FRAME_S * rate_hz / 32))  # a good length for an FFT
        self._hop = self._frame // 2
        hann = np.hanning(self._frame + 1)[:-1].astype(np.float32)
        self._hann = hann / np.sqrt(np.square(hann).sum())  # white noise keeps its variance
        bin_hz = rate_hz / self._frame
        first = max(1, math.ceil(_LOWEST_HZ / bin_hz))
        last = min(self._frame // 2 - 1, int(min(_HIGHEST_HZ, 0.47 * rate_hz) / bin_hz))
        self._bins = slice(first, max(first + 2, last + 1))
        self._hz = (np.arange(self._frame // 2 + 1) * bin_hz)[self._bins].astype(np.float32)
        octave_db = 10 * np.log10(_OCTAVE * self._hz / (_HANN_WIDTH_BINS * bin_hz))
        self._tone_db = np.maximum(_LEAST_TONE_DB, over_floor_db + octave_db - _SAFETY_DB)
        octaves = np.log2(self._hz / self._hz[0]) * _BANDS_PER_OCTAVE
        _, self._band_starts = np.unique(octaves.astype(int), return_index=True)
        self._seconds: deque[Floats] = deque(maxlen=_MEMORY_SECONDS)
        self._second_frames = max(4, (rate_hz - self._frame) // self._hop + 1)
        self._unheard = np.zeros(0, dtype=np.int16)  # belongs to frames that are not whole yet
        self._powers = np.zeros((0, self._hz.size), dtype=np.float32)  # of an unfinished second
        # What groups that go on began with and what was before; digital silence at the beginning.
        self._tail = np.zeros((_BEFORE_FRAMES[0], self._hz.size), dtype=np.float32)
        self._held_until = np.full(self._hz.size, -1)  # sample up to which a pitch goes on
        self._heard = 0  # samples up to the end of the last whole frame's hop
        self._scores: deque[tuple[int, float, float]] = deque()  # group's end, excess_db, hz

    def step(self, fresh: NDArray[np.int16], first_sample: int) -> Verdict:
        """Judge the window at `first_sample`, of which `fresh` [samples] is what is new.

        Steps follow one another without a gap, so that frames cross their borders; how long each is
        makes no difference to what is heard.
        """
        powers = self._frames(fresh)
        self._learn(powers)
        if powers.shape[0]:
            self._score(powers)
        while self._scores and self._scores[0][0] < first_sample + self._frame:
            self._scores.popleft()
        if not self._scores:
            return Verdict(keep=False, excess_db=-math.inf, at_hz=0.0)
        _, excess_db, at_hz = max(self._scores, key=lambda score: score[1])
        return Verdict(keep=excess_db >= 0, excess_db=excess_db, at_hz=at_hz)

    def _frames(self, fresh: NDArray[np.int16]) -> Floats:
        """Power of each whole frame, in squared int16 steps, [frames, bins]."""
        sound = np.concatenate([self._unheard, fresh])
        count = max(0, (sound.size - self._frame) // self._hop + 1)
        self._unheard = sound[count * self._hop :]
        if count == 0:
            return np.zeros((0, self._hz.size), dtype=np.float32)
        view = np.lib.stride_tricks.sliding_window_view(sound, self._frame)[:: self._hop]
        spectrum = np.fft.rfft(view * self._hann, axis=1)[:, self._bins]
        return np.square(spectrum.real) + np.square(spectrum.imag)

    def _learn(self, powers: Floats) -> None:
        """Whole seconds go into the memory of the floor."""
        self._powers = np.concatenate([self._powers, powers])
        while self._powers.shape[0] >= self._second_frames:
            second = self._powers[: self._second_frames]
            self._powers = self._powers[self._second_frames :]
            rank = int(_PAUSE_QUANTILE * self._second_frames)
            pause = np.partition(second, rank, axis=0)[rank] / np.float32(_PAUSE_OF_MEAN)
            self._seconds.append(np.maximum(pause, np.float32(_QUANTISATION)))

    def _floor(self) -> Floats:
        """Power of the room in each bin, [bins]."""
        if not self._seconds:  # a window shorter than a second
            return np.full(self._hz.size, np.float32(_QUANTISATION))
        seconds = np.stack(self._seconds)
        rank = int(_ROOM_QUANTILE * len(seconds))
        floor = np.partition(seconds, rank, axis=0)[rank]
        if len(seconds) >= _WARM_SECONDS:
            least: Floats = np.minimum(floor, seconds[-_JUST_NOW_SECONDS:].max(axis=0))
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
        first_end = self._heard + self._frame + (_GROUP_FRAMES - 1) * self._hop
        if groups <= 0:
            return
        self._heard += groups * self._hop
        floor = self._floor()
        mean_db, peak_db, each_db = _groups(powers[before_frames:])
        floor_db = 10 * np.log10(floor)
        tone = np.minimum(mean_db, each_db + _EACH_BELOW_DB) - floor_db - self._tone_db
        tone = np.minimum(tone, peak_db - _LEAST_PEAK_DB)
        if (tone >= 0).any():
            rise = mean_db - _before(powers)[:groups] - self._tone_db + _RISE_BELOW_DB
            self._go_on(tone, rise, first_end)
        band = self._over_bands(powers, floor)
        tone[:, self._band_starts] = np.maximum(tone[:, self._band_starts], band)
        ends = range(first_end, first_end + groups * self._hop, self._hop)
        at_hz = self._hz[tone.argmax(axis=1)].tolist()
        self._scores.extend(zip(ends, tone.max(axis=1).tolist(), at_hz, strict=True))

    def _over_bands(self, powers: Floats, floor: Floats) -> Floats:
        """How far a sound without pitch is over what opens the gate, in dB, [groups, bands]."""
        in_bands = np.add.reduceat(powers, self._band_starts, axis=1)
        band_db, _, _ = _groups(in_bands[_BEFORE_FRAMES[0] :])
        rise = band_db - _before(in_bands)[: band_db.shape[0]] - _BAND_RISE_DB
        floor_db = 10 * np.log10(np.add.reduceat(floor, self._band_starts))
        band: Floats = np.minimum(band_db - floor_db - _BAND_DB, rise)
        return band

    def _go_on(self, tone: Floats, rise: Floats, first_end: int) -> None:
        """What neither rises nor follows on what rose does not open the gate; in place."""
        for group in np.flatnonzero((tone >= 0).any(axis=1)).tolist():
            end = first_end + group * self._hop
            fresh = self._held_until < end
            tone[group, fresh] = np.minimum(tone[group, fresh], rise[group, fresh])
            for at in np.flatnonzero(tone[group] >= 0).tolist():
                reach = slice(max(0, at - _REACH_BINS), at + _REACH_BINS + 1)
                self._held_until[reach] = end + _HOLD_FRAMES * self._hop


def _groups(powers: Floats) -> tuple[Floats, Floats, Floats]:
    """Each group's mean, that over its neighbours, and its third best frame, in dB.

    `powers` is [frames, bins], what comes back [groups, bins].
    """
    ones, twos, threes, fours = (
        powers[start : powers.shape[0] - _GROUP_FRAMES + 1 + start]
        for start in range(_GROUP_FRAMES)
    )
    least = np.float32(1e-10)
    mean_db = 10 * np.log10((ones + twos + threes + fours) / _GROUP_FRAMES + least)
    middle = np.minimum(twos, threes)
    each = np.maximum(np.minimum(ones, middle), np.minimum(middle, fours))
    each_db = 10 * np.log10(each + least)
    return mean_db, mean_db - _around(mean_db), each_db


def _before(powers: Floats) -> Floats:
    """Level in dB of what was at and around a bin just before each group, [groups, bins]."""
    first, last = _BEFORE_FRAMES
    frames = first - last + 1
    sums = np.cumsum(powers, axis=0, dtype=np.float64)
    sums[frames:] -= sums[:-frames].copy()
    mean_db = 10 * np.log10(sums[frames - 1 :] / frames + 1e-10)
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
