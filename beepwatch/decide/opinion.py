"""A second opinion on a pulse, from its sound at full resolution.

A network that has to answer every 20 ms sees tones in bands of 50 Hz. Where one of its pulses is
and at what pitch is known afterwards; then a few numbers tell how steadily that pitch was held, how
far it stands out, how it began and what it left behind. A buzzer holds its pitch to a thousandth
and stops; a bird, a voice or a bell does not. What the numbers weigh was fitted on the train split
by `benchmarks/candidates.py`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.demodulation import STEP_S, demodulated, smoothed
from beepwatch.decide.pulses import LEAST_LEFT_DB, Opinion, Pulse
from beepwatch.decide.ranks import median, quantile

BEFORE_S = 0.5  # of sound before a pulse that is looked at
LEAST_BEFORE_S = 0.25  # without so much of it there is no opinion
JUDGED_S = 1.0  # of a long pulse; it does not change any more
AFTER_S = 0.12  # of sound after it
LONGEST_S = 3.0  # of a pulse: what lasts longer needs no opinion

GUARD_S = 0.05  # from a pulse to where it is over, or has not begun
SMOOTHED_STEPS = 7  # under a Hann window: 20 ms
BESIDE = 0.05  # of the pitch, where its noise is measured, but at least …
LEAST_BESIDE_HZ = 140.0
NEAR = 0.02  # of a pitch that the network tells, the tone itself
LOWEST_HZ, HIGHEST_HZ = 300.0, 7_500.0
FALLEN_DB = 9.0  # below the pulse's loud parts, it is over
LEAST_STEPS = 5  # of a tone that can be judged
SPECTRUM_S = 0.5  # of the pulse's middle
NOISE_S = 0.128  # stretches of the sound before that its noise is a mean of
PARTIALS = 8
FAINTEST_POWER = 1e-6

Samples = NDArray[np.float32]
Values = NDArray[np.float64]


class Traits(NamedTuple):
    """What a tone is like."""

    wander: float  # log of the deviation of its pitch from step to step, relative to the pitch
    glide: float  # log of by how much the pitch moves from beginning to end, relative
    unrest: float  # log of the phase's deviation from a steady tone's, in radians
    beside_db: float  # over what sounds beside it while it does
    contrast_db: float  # of its peak over the spectrum around
    left_db: float  # over what is left after it
    rise_db: float  # steepest, within 15 ms
    other_db: float  # of the loudest new tone that is no partial of its own, over it
    drift_db_s: float  # by how much its level rises or falls


class Weight(NamedTuple):
    """What a trait adds, within limits."""

    lowest: float
    highest: float
    weight: float


BIAS = -8.256
WEIGHTS = (
    Weight(-9.25, -3.78, -1.0088),  # wander
    Weight(-10.57, -2.36, -0.0926),  # glide
    Weight(-3.75, 0.43, 0.5747),  # unrest
    Weight(-5.27, 47.84, 0.0567),  # beside_db
    Weight(-3.85, 71.13, -0.0156),  # contrast_db
    Weight(-23.06, 39.64, 0.0334),  # left_db
    Weight(-18.93, 48.21, 0.0282),  # rise_db
    Weight(-43.75, 30.98, -0.0183),  # other_db
    Weight(-67.96, 117.99, -0.0089),  # drift_db_s
)
MOST = 4.0  # log odds that an opinion may add or take


def opinion(pulse: Pulse, sound: NDArray[np.int16], rate_hz: int, start_s: float) -> Opinion | None:
    """By how much a pulse is likelier a beep than its score tells, by its sound.

    `sound` [samples] begins at `start_s`; None if it does not hold the pulse and what is before it.
    """
    looked_at = _looked_at(pulse, sound, rate_hz, start_s)
    if looked_at is None:
        return None
    seen = _traits(*looked_at)
    return Opinion(weighed(seen), seen.left_db, looked_at.tone.before())


def weighed(seen: Traits) -> float:
    """What traits say together, in log odds."""
    total = BIAS + sum(
        one.weight * min(max(value, one.lowest), one.highest)
        for value, one in zip(seen, WEIGHTS, strict=True)
    )
    most = MOST if seen.left_db >= LEAST_LEFT_DB else 0.0
    return min(max(total, -MOST), most)


def span_to_ask_of(pulse: Pulse) -> tuple[float, float] | None:
    """From when to when a pulse's sound is needed; None if it is too long to be asked of."""
    if pulse.duration_s > LONGEST_S:
        return None
    return pulse.onset_s - BEFORE_S - STEP_S, _judged_until_s(pulse) + AFTER_S + STEP_S


def traits(pulse: Pulse, sound: NDArray[np.int16], rate_hz: int, start_s: float) -> Traits | None:
    """What a pulse's tone is like; None if `sound` does not hold what it takes to know, or it is so
    long that nobody needs to.
    """
    looked_at = _looked_at(pulse, sound, rate_hz, start_s)
    return None if looked_at is None else _traits(*looked_at)


def _looked_at(
    pulse: Pulse, sound: NDArray[np.int16], rate_hz: int, start_s: float
) -> "_LookedAt | None":
    if pulse.duration_s > LONGEST_S:
        return None
    first = round((pulse.onset_s - start_s) * rate_hz)
    last = round((_judged_until_s(pulse) - start_s) * rate_hz)
    before = first - round(BEFORE_S * rate_hz)
    heard = sound[max(before, 0) : last + round(AFTER_S * rate_hz)].astype(np.float32)
    first, last = first - max(before, 0), last - max(before, 0)
    enough = last - first >= LEAST_STEPS * STEP_S * rate_hz
    if not enough or first < LEAST_BEFORE_S * rate_hz or last > len(heard):
        return None
    spectra = _Spectra(heard, first, last, rate_hz)
    pitch_hz = spectra.pitch_hz(pulse.pitches_hz)
    tone = _Tone(heard, pitch_hz, first / rate_hz, last / rate_hz, rate_hz)
    return None if tone.steps < LEAST_STEPS else _LookedAt(tone, spectra, pitch_hz)


def _traits(tone: "_Tone", spectra: "_Spectra", pitch_hz: float) -> Traits:
    wander, glide, unrest = tone.steadiness()
    return Traits(
        wander=wander,
        glide=glide,
        unrest=unrest,
        beside_db=tone.beside_db(),
        contrast_db=spectra.contrast_db(pitch_hz),
        left_db=tone.left_db(),
        rise_db=tone.rise_db(),
        other_db=spectra.other_db(pitch_hz),
        drift_db_s=tone.drift_db_s(),
    )


def _judged_until_s(pulse: Pulse) -> float:
    return min(pulse.offset_s, pulse.onset_s + JUDGED_S)


class _Tone:
    """One pitch and the noise on both sides of it, a value every 5 ms."""

    def __init__(
        self, heard: Samples, pitch_hz: float, onset_s: float, offset_s: float, rate_hz: int
    ) -> None:
        aside_hz = max(LEAST_BESIDE_HZ, BESIDE * pitch_hz)
        pitches_hz = (pitch_hz, pitch_hz - aside_hz, pitch_hz + aside_hz)
        tones = smoothed(demodulated(heard, pitches_hz, rate_hz), SMOOTHED_STEPS)
        power = np.abs(tones) ** 2 + FAINTEST_POWER
        self._pitch_hz = pitch_hz
        self._level_db: Values = 10 * np.log10(power[0])
        self._noise_db: Values = 10 * np.log10((power[1] + power[2]) / 2)
        self._at_s = STEP_S * (np.arange(tones.shape[1]) + 0.5)
        self._onset_s, self._offset_s = onset_s, offset_s
        self._start, self._end = self._longest(onset_s, offset_s)
        self.steps = self._end - self._start
        self._core = tones[0, self._start : self._end]

    def _longest(self, onset_s: float, offset_s: float) -> tuple[int, int]:
        """The longest run of steps in which it sounds, without the steps it begins and ends in."""
        first = int(self._at_s.searchsorted(onset_s - 0.02, "left"))
        last = int(self._at_s.searchsorted(offset_s + 0.02, "right"))
        level_db = self._level_db[first:last]
        loud = np.zeros(len(level_db) + 2, dtype=np.bool_)
        loud[1:-1] = level_db >= quantile(level_db, 0.85) - FALLEN_DB
        edges = first + np.flatnonzero(loud[1:] != loud[:-1])
        starts, ends = edges[::2], edges[1::2]
        longest = int(np.argmax(ends - starts))
        start, end = int(starts[longest]), int(ends[longest])
        return (start + 1, end - 1) if end - start >= 8 else (start, end)

    def steadiness(self) -> tuple[float, float, float]:
        """Wander, glide and unrest of its pitch."""
        loud = np.abs(self._core) ** 2 + FAINTEST_POWER
        weight = loud / loud.sum()
        at_s = self._from_its_middle_s()
        phase = _unwrapped(np.angle(self._core))
        off, bow = _off_a_line(at_s, phase, weight)
        unrest = (weight * np.minimum(off**2, 4)).sum()
        moved = 2 * abs(bow) * (at_s[-1] - at_s[0]) / (2 * np.pi * self._pitch_hz)
        turns_hz = (phase[1:] - phase[:-1]) / (2 * np.pi * STEP_S)
        share = loud[1:] / loud[1:].sum()
        spread_hz = np.sqrt((share * (turns_hz - (share * turns_hz).sum()) ** 2).sum())
        return (
            float(np.log(spread_hz / self._pitch_hz + 1e-4)),
            float(np.log(moved + 1e-4)),
            float(np.log(np.sqrt(unrest) + 0.01)),
        )

    def beside_db(self) -> float:
        """Over the noise beside it."""
        during = slice(self._start, self._end)
        return self._own_db() - float(median(self._noise_db[during]))

    def left_db(self) -> float:
        """Over what is left of it after its end."""
        after_db = self._level_db[self._at_s > self._offset_s + GUARD_S]
        return self._own_db() - float(median(after_db)) if len(after_db) > 2 else 5.0

    def before(self) -> float:
        """Share of what is known before its onset in which it sounds about as loudly."""
        before_db = self._level_db[self._at_s < self._onset_s - GUARD_S]
        return float((before_db >= self._own_db() - FALLEN_DB).mean()) if len(before_db) else 0.0

    def rise_db(self) -> float:
        """How much it rises within 15 ms, where it does so most."""
        rising_db = self._level_db[max(self._start - 13, 0) : self._start + 3]
        return float((rising_db[3:] - rising_db[:-3]).max()) if len(rising_db) > 3 else 0.0

    def drift_db_s(self) -> float:
        """How fast its level changes from beginning to end."""
        at_s = self._from_its_middle_s()
        return float(abs((at_s * self._level_db[self._start : self._end]).sum() / (at_s**2).sum()))

    def _from_its_middle_s(self) -> Values:
        return np.asarray(STEP_S * (np.arange(self.steps) - (self.steps - 1) / 2), np.float64)

    def _own_db(self) -> float:
        return float(median(self._level_db[self._start : self._end]))


class _Spectra:
    """Power by frequency of a pulse and of what was there before."""

    def __init__(self, heard: Samples, first: int, last: int, rate_hz: int) -> None:
        samples = min(last - first, round(SPECTRUM_S * rate_hz))
        start = (first + last) // 2 - samples // 2
        self._bins = max(1 << int(np.ceil(np.log2(2 * samples))), 4_096)
        self._hz = rate_hz / self._bins
        self._highest_hz = min(HIGHEST_HZ, 0.47 * rate_hz)
        self._width = 2.5 * self._bins / samples  # bins on either side that are the tone's own
        window = np.hanning(samples)
        self._pulse = _power(heard[start : start + samples], window, self._bins)
        piece = min(samples, round(NOISE_S * rate_hz))
        window = window if piece == samples else np.hanning(piece)
        quiet = heard[: first - round(0.04 * rate_hz)]
        count = len(quiet) // piece
        pieces = quiet[len(quiet) - count * piece :].reshape(count, piece)
        self._before = _power(pieces, window, self._bins).mean(axis=0)

    def pitch_hz(self, told_hz: tuple[float, ...]) -> float:
        """The strongest of the pitches that are told, or of all, to a fraction of a bin."""
        within = [hz for hz in told_hz if LOWEST_HZ < hz < self._highest_hz]
        spans_hz = [(hz * (1 - NEAR), hz * (1 + NEAR)) for hz in within]
        spans_hz = spans_hz or [(LOWEST_HZ, self._highest_hz)]
        spans = [(int(lowest / self._hz), int(most / self._hz) + 2) for lowest, most in spans_hz]
        peaks = [start + int(np.argmax(self._pulse[start:end])) for start, end in spans]
        peak = max(peaks, key=lambda place: float(self._pulse[place]))
        left, top, right = np.log(self._pulse[peak - 1 : peak + 2] + 1e-9).tolist()
        bend = left - 2 * top + right
        aside = 0.5 * (left - right) / bend if bend else 0.0
        return float(peak + min(max(aside, -0.5), 0.5)) * self._hz

    def contrast_db(self, pitch_hz: float) -> float:
        """Of the peak over the spectrum from a quarter below to three tenths above."""
        peak = round(pitch_hz / self._hz)
        width = round(max(self._width, 0.005 * peak, 2))
        below = self._pulse[round(0.75 * peak) : peak - 2 * width]
        above = self._pulse[peak + 2 * width : round(1.3 * peak)]
        around = float(median(np.concatenate([below, above]))) if len(below) else 0.0
        return float(10 * np.log10((self._pulse[peak] + 1e-9) / (around + 1e-9)))

    def other_db(self, pitch_hz: float) -> float:
        """The loudest that is neither of its partials nor was there before, over the tone."""
        new = np.maximum(self._pulse - 2 * self._before, 0)
        new = new[: round(self._highest_hz / self._hz)]
        new[: round(LOWEST_HZ / self._hz)] = 0
        width = round(max(self._width, 0.005 * pitch_hz / self._hz, 2))
        for partial in range(1, PARTIALS + 1):
            place = round(partial * pitch_hz / self._hz)
            new[max(place - 2 * width, 0) : place + 2 * width + 1] = 0
        tone = float(self._pulse[round(pitch_hz / self._hz)])
        return float(10 * np.log10(new.max() / (tone + 1e-9) + 1e-4))


class _LookedAt(NamedTuple):
    """A pulse's sound, ready to be asked."""

    tone: _Tone
    spectra: _Spectra
    pitch_hz: float


def _unwrapped(angle: Values) -> Values:
    """Angles that follow one another, without the turns by which they jump, as `np.unwrap` has it.

    Of no step is known whether it turned by more than half.
    """
    turns = np.rint((angle[1:] - angle[:-1]) / (2 * np.pi))
    unwrapped = angle.copy()
    unwrapped[1:] -= 2 * np.pi * turns.cumsum()
    return unwrapped


def _off_a_line(at_s: Values, values: Values, weight: Values) -> tuple[Values, float]:
    """By how much values are off the line that fits them best, and how the best parabola bends.

    Its last coefficient, that is; `weight` adds up to 1. Each power of time is taken without what
    the lower ones tell of it, so that no equations need solving.
    """
    time = at_s - (weight * at_s).sum()
    centred = values - (weight * values).sum()
    squares = time * time
    moment = (weight * squares).sum()
    off = centred - time * ((weight * time * centred).sum() / moment)
    curve = squares - moment - time * ((weight * squares * time).sum() / moment)
    return off, float((weight * curve * off).sum() / (weight * curve * curve).sum())


def _power(sound: Samples, window: Values, bins: int) -> Values:
    """Of the last axis, under a window of its length."""
    spectrum = np.fft.rfft(sound * window, bins)
    return np.asarray(np.abs(spectrum) ** 2 / (window**2).sum())
