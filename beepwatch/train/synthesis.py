"""Beeps that no machine ever made.

Everything is drawn from a random generator that the caller seeds; sound is float32, peak 1.
"""

import math

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Sound = NDArray[np.float32]


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One uninterrupted tone of a signal, in seconds from the start of its sound."""

    onset_s: float
    offset_s: float
    pitch_hz: float


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """A sound with the truth about its pulses; a look-alike has none."""

    sound: Sound
    pulses: tuple[Pulse, ...]

    @property
    def pitch_hz(self) -> float:
        """The pulses' median pitch."""
        return float(np.median([pulse.pitch_hz for pulse in self.pulses]))


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number as likely to lie in one octave as in the next."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def beep_pitch_hz(rng: Generator) -> float:
    """Half of all buzzers sit where a piezo disc resonates, the others anywhere they can."""
    if rng.random() < 0.5:
        return float(np.clip(rng.normal(3_000, 650), 1_700, 4_600))
    return log_uniform(rng, 400, 6_000)


class Timbre(msgspec.Struct, frozen=True, kw_only=True):
    """What one buzzer does to every pulse alike."""

    partials: tuple[tuple[float, float], ...]  # multiples of the pitch with their amplitudes
    attack_s: float
    release_s: float
    decay_s: float  # time constant; infinite when the tone holds its level
    flutter_hz: float  # a buzzer switched on and off this often; 0 when steady
    roughness: float  # how deep and soft the flutter is: 0 soft and shallow, 1 hard and deep
    bend: float  # the pitch's relative error at the onset, gone after 30 ms
    sweep: float  # how far the pitch moves over the whole pulse, in octaves; mostly 0


def draw_timbre(rng: Generator, pitch_hz: float) -> Timbre:
    """A piezo disc, a magnetic buzzer, a loudspeaker, or two tones at once."""
    kind = rng.random()
    count = int(min(12, 7_600 // pitch_hz))
    order = np.arange(1, max(count, 1) + 1)
    if kind < 0.35:
        amplitude = np.where(order == 1, 1.0, 0.0)
    elif kind < 0.65:  # a square wave, as a pin of a microcontroller makes it
        amplitude = np.where(order % 2 == 1, 1.0 / order, rng.uniform(0, 0.1))
    else:
        amplitude = rng.uniform(0, 1, len(order)) ** 2 * order ** -rng.uniform(0, 1.5)
        amplitude[0] = max(amplitude[0], 0.5)
    partials = [(float(o), float(a)) for o, a in zip(order, amplitude, strict=True) if a > 0]
    if rng.random() < 0.08:  # a second tone with it, or the same a little out of tune
        apart = rng.uniform(1.05, 1.9) if rng.random() < 0.7 else 1 + rng.uniform(0.001, 0.01)
        partials.append((float(apart), float(rng.uniform(0.3, 1))))
    rasps = rng.random() < 0.12
    return Timbre(
        partials=tuple(partials),
        attack_s=log_uniform(rng, 0.001, 0.02),
        release_s=log_uniform(rng, 0.001, 0.03),
        decay_s=log_uniform(rng, 0.2, 2) if rng.random() < 0.2 else math.inf,
        flutter_hz=log_uniform(rng, 15, 200) if rasps else 0.0,
        roughness=rng.uniform(0.2, 1),
        bend=rng.normal(0, 0.01) if rng.random() < 0.2 else 0.0,
        sweep=rng.uniform(-0.25, 0.25) if rng.random() < 0.04 else 0.0,
    )


def pulse_sound(
    rng: Generator, pitch_hz: float, length_s: float, timbre: Timbre, rate_hz: int
) -> Sound:
    """One pulse of exactly `length_s`, attack and release within it."""
    samples = max(round(length_s * rate_hz), 1)
    time_s = np.arange(samples) / rate_hz
    pitch = pitch_hz * (1 + timbre.bend * np.exp(-time_s / 0.01))
    pitch *= 2 ** (timbre.sweep * time_s / length_s)
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    sound = np.zeros(samples)
    for multiple, amplitude in timbre.partials:
        if multiple * pitch_hz < 0.48 * rate_hz:
            sound += amplitude * np.sin(multiple * phase + rng.uniform(0, 2 * np.pi))
    rising = np.minimum(1, time_s / timbre.attack_s)
    falling = np.minimum(1, (length_s - time_s) / timbre.release_s)
    sound *= rising * falling * np.exp(-time_s / timbre.decay_s)
    if timbre.flutter_hz:
        beat = np.sin(2 * np.pi * timbre.flutter_hz * time_s)
        hard = (beat > -0.3).astype(np.float64)
        sound *= timbre.roughness * hard + (1 - timbre.roughness) * (0.75 + 0.25 * beat)
    return sound.astype(np.float32)


Rhythm = list[tuple[float, float]]


def draw_rhythm(rng: Generator) -> Rhythm:
    """Lengths of pulses and of the pauses that follow, in seconds."""
    on_s = log_uniform(rng, 0.06, 1.2)
    off_s = log_uniform(rng, 0.06, 1.5)
    kind = rng.random()
    if kind < 0.2:
        return [(log_uniform(rng, 0.06, 2.5), 0.0)]
    if kind < 0.35:  # groups of two to five, with a longer pause after each
        group = int(rng.integers(2, 6))
        on_s, off_s = min(on_s, 0.5), min(off_s, 0.5)
        return ([(on_s, off_s)] * (group - 1) + [(on_s, rng.uniform(0.3, 2.5))]) * 5
    if kind < 0.42:  # long and short in turn
        return [(on_s, off_s), (log_uniform(rng, 0.06, 0.8), off_s)] * 8
    if kind < 0.52:
        return known_rhythm(rng)
    return [(on_s, off_s)] * int(rng.integers(2, 25))


def known_rhythm(rng: Generator) -> Rhythm:
    """Of ISO 8201's evacuation signal, NFPA 720's carbon monoxide signal, timers and ovens."""
    known: list[Rhythm] = [
        ([(0.5, 0.5)] * 2 + [(0.5, 1.5)]) * 3,
        ([(0.1, 0.1)] * 3 + [(0.1, 5.0)]) * 2,
        ([(0.06, 0.065)] * 3 + [(0.06, 0.6)]) * 6,
        [(1.0, 1.0)] * 5,
        [(0.25, 0.07)] * 20,
        [(0.5, 0.25)] * 10,
    ]
    pace = rng.uniform(0.85, 1.2)
    rhythm = known[int(rng.integers(len(known)))]
    return [(max(on_s * pace, 0.06), off_s * pace) for on_s, off_s in rhythm]


def draw_pitches(rng: Generator, count: int) -> list[float]:
    """One pitch for all pulses, two in turn, or those of a tune."""
    first_hz = beep_pitch_hz(rng)
    kind = rng.random()
    if kind < 0.78:
        return [first_hz] * count
    if kind < 0.88:
        second_hz = float(np.clip(first_hz * 2 ** rng.uniform(-0.7, 0.7), 400, 6_000))
        return [(first_hz, second_hz)[i % 2] for i in range(count)]
    base_hz = log_uniform(rng, 450, 2_200)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 16])
    return [float(base_hz * 2 ** (rng.choice(scale) / 12)) for _ in range(count)]


def beep(rng: Generator, length_s: float, rate_hz: int) -> Signal:
    """A signal as appliances give it, cut off after `length_s`."""
    rhythm = draw_rhythm(rng)
    pitches = draw_pitches(rng, len(rhythm))
    timbre = draw_timbre(rng, max(pitches))
    sound = np.zeros(round(length_s * rate_hz), dtype=np.float32)
    pulses: list[Pulse] = []
    onset_s = 0.0
    for (on_s, off_s), pitch_hz in zip(rhythm, pitches, strict=True):
        start = round(onset_s * rate_hz)
        if start >= len(sound):
            break
        tone = pulse_sound(rng, pitch_hz, on_s, timbre, rate_hz)[: len(sound) - start]
        sound[start : start + len(tone)] = tone
        offset_s = onset_s + len(tone) / rate_hz
        pulses.append(Pulse(onset_s=onset_s, offset_s=offset_s, pitch_hz=pitch_hz))
        onset_s += on_s + off_s
    return Signal(sound=at_peak(sound), pulses=tuple(pulses))


def at_peak(sound: Sound) -> Sound:
    """The sound scaled to a peak of 1; silence stays silent."""
    peak = float(np.abs(sound).max(initial=0.0))
    return sound if peak == 0 else (sound / np.float32(peak)).astype(np.float32)


def gliding_tone(pitch_hz: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """A sine that follows a pitch given for every sample."""
    return np.sin(2 * np.pi * np.cumsum(pitch_hz) / rate_hz)
