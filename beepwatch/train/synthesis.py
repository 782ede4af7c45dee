"""Beeps that no machine ever made, and sounds that only resemble them.

Everything is drawn from a random generator that the caller seeds; sound is float32, peak 1.
"""

import math
from collections.abc import Callable

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

    harmonics: tuple[float, ...]  # amplitude of the fundamental and its multiples
    attack_s: float
    release_s: float
    decay_s: float  # time constant; infinite when the tone holds its level
    flutter_hz: float  # a buzzer switched on and off this often; 0 when steady
    bend: float  # the pitch's relative error at the onset, gone after 30 ms


def draw_timbre(rng: Generator, pitch_hz: float) -> Timbre:
    """A piezo disc, a magnetic buzzer or a loudspeaker."""
    kind = rng.random()
    count = int(min(12, 7_600 // pitch_hz))
    order = np.arange(1, max(count, 1) + 1)
    if kind < 0.35:
        amplitude = np.where(order == 1, 1.0, 0.0)
    elif kind < 0.7:  # a square wave, as a pin of a microcontroller makes it
        amplitude = np.where(order % 2 == 1, 1.0 / order, rng.uniform(0, 0.1))
    else:
        amplitude = rng.uniform(0, 1, len(order)) ** 2 * order ** -rng.uniform(0, 1.5)
        amplitude[0] = max(amplitude[0], 0.5)
    return Timbre(
        harmonics=tuple(float(a) for a in amplitude),
        attack_s=log_uniform(rng, 0.001, 0.012),
        release_s=log_uniform(rng, 0.001, 0.03),
        decay_s=log_uniform(rng, 0.08, 1.5) if rng.random() < 0.3 else math.inf,
        flutter_hz=log_uniform(rng, 15, 200) if rng.random() < 0.12 else 0.0,  # rasping buzzers
        bend=rng.normal(0, 0.01) if rng.random() < 0.2 else 0.0,
    )


def pulse_sound(
    rng: Generator, pitch_hz: float, length_s: float, timbre: Timbre, rate_hz: int
) -> Sound:
    """One pulse of exactly `length_s`, attack and release within it."""
    samples = max(round(length_s * rate_hz), 1)
    time_s = np.arange(samples) / rate_hz
    pitch = pitch_hz * (1 + timbre.bend * np.exp(-time_s / 0.01))
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    sound = np.zeros(samples)
    for order, amplitude in enumerate(timbre.harmonics, start=1):
        if amplitude > 0 and order * pitch_hz < 0.48 * rate_hz:
            sound += amplitude * np.sin(order * phase + rng.uniform(0, 2 * np.pi))
    rising = np.minimum(1, time_s / timbre.attack_s)
    falling = np.minimum(1, (length_s - time_s) / timbre.release_s)
    sound *= rising * falling * np.exp(-time_s / timbre.decay_s)
    if timbre.flutter_hz:
        sound *= np.sin(2 * np.pi * timbre.flutter_hz * time_s) > -0.3
    return sound.astype(np.float32)


def draw_rhythm(rng: Generator) -> list[tuple[float, float]]:
    """Lengths of pulses and of the pauses that follow, in seconds."""
    on_s = log_uniform(rng, 0.06, 1.2)
    off_s = log_uniform(rng, 0.06, 1.5)
    kind = rng.random()
    if kind < 0.15:
        return [(log_uniform(rng, 0.06, 2.5), 0.0)]
    if kind < 0.3:  # groups of two to five, as in T3 and T4 alarm patterns
        group = int(rng.integers(2, 6))
        on_s, off_s = min(on_s, 0.5), min(off_s, 0.5)
        return ([(on_s, off_s)] * (group - 1) + [(on_s, rng.uniform(0.5, 2.0))]) * 5
    if kind < 0.4:  # long and short in turn
        return [(on_s, off_s), (log_uniform(rng, 0.06, 0.8), off_s)] * 8
    return [(on_s, off_s)] * int(rng.integers(2, 25))


def draw_pitches(rng: Generator, count: int) -> list[float]:
    """One pitch for all pulses, two in turn, or those of a tune."""
    first_hz = beep_pitch_hz(rng)
    kind = rng.random()
    if kind < 0.75:
        return [first_hz] * count
    if kind < 0.87:
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


def swell(samples: int, attack: float, release: float) -> NDArray[np.float64]:
    """A soft envelope; attack and release are shares of the length."""
    place = (np.arange(samples) + 0.5) / samples
    return np.minimum(1, place / attack) * np.minimum(1, (1 - place) / release)


def glides(rng: Generator, samples: int, rate_hz: int) -> NDArray[np.float64]:
    """Birds, sirens and whistling: tones that never hold their pitch."""
    sound = np.zeros(samples)
    place = int(rng.uniform(0, 0.5) * rate_hz)
    length = round(log_uniform(rng, 0.05, 1.0) * rate_hz)
    pause = round(log_uniform(rng, 0.02, 0.6) * rate_hz)
    start_hz = log_uniform(rng, 600, 5_000)
    shape = rng.choice([-1, 1]) * rng.uniform(0.15, 1.2)
    while place + length < samples:
        along = np.linspace(0, 1, length)
        bend = shape * (along if rng.random() < 0.7 else np.sin(np.pi * along))
        pitch = start_hz * 2 ** (bend + rng.normal(0, 0.05))
        tone = gliding_tone(np.minimum(pitch, 0.45 * rate_hz), rate_hz)
        sound[place : place + length] += tone * swell(length, 0.1, 0.2) * rng.uniform(0.4, 1)
        place += length + round(pause * rng.uniform(0.6, 1.6))
    return sound


def flute(rng: Generator, samples: int, rate_hz: int) -> NDArray[np.float64]:
    """Wind and string tones: slow attacks, vibrato, every note another pitch."""
    sound = np.zeros(samples)
    place = 0
    while place < samples:
        length = min(round(log_uniform(rng, 0.12, 1.2) * rate_hz), samples - place)
        time_s = np.arange(length) / rate_hz
        vibrato = rng.uniform(0.003, 0.02) * np.sin(
            2 * np.pi * rng.uniform(4, 7) * time_s + rng.uniform(0, 6)
        )
        pitch = log_uniform(rng, 400, 2_000) * (1 + vibrato)
        tone = gliding_tone(pitch, rate_hz) + 0.3 * gliding_tone(2 * pitch, rate_hz)
        tone += 0.05 * rng.normal(0, 1, length)
        sound[place : place + length] += tone * swell(length, rng.uniform(0.15, 0.4), 0.25)
        place += round(length * rng.uniform(0.9, 1.3)) + 1
    return sound


def bells(rng: Generator, samples: int, rate_hz: int) -> NDArray[np.float64]:
    """Struck metal and glass: inharmonic partials that die away each at its own pace."""
    sound = np.zeros(samples)
    for _ in range(int(rng.integers(1, 7))):
        place = int(rng.integers(0, samples))
        time_s = np.arange(samples - place) / rate_hz
        base_hz = log_uniform(rng, 350, 3_500)
        for _ in range(int(rng.integers(3, 9))):
            partial_hz = min(base_hz * rng.uniform(1, 4.5), 0.45 * rate_hz)
            fade = np.exp(-time_s / log_uniform(rng, 0.02, 0.8))
            sound[place:] += rng.uniform(0.2, 1) * fade * np.sin(2 * np.pi * partial_hz * time_s)
    return sound


def voice(rng: Generator, samples: int, rate_hz: int) -> NDArray[np.float64]:
    """Vowels and cries: harmonics under formants, the pitch never still."""
    time_s = np.arange(samples) / rate_hz
    drift = sum(
        rng.uniform(0.03, 0.15)
        * np.sin(2 * np.pi * rng.uniform(0.3, 3) * time_s + rng.uniform(0, 6))
        for _ in range(3)
    )
    pitch = log_uniform(rng, 110, 650) * (1 + drift)
    formants = np.sort(rng.uniform(300, 4_000, 3))
    sound = np.zeros(samples)
    for order in range(1, 20):
        partial = order * pitch
        gain = sum(np.exp(-(((partial - f) / 250) ** 2)) for f in formants) + 0.03
        sound += gain * np.sin(order * 2 * np.pi * np.cumsum(pitch) / rate_hz)
    syllables = np.sin(2 * np.pi * rng.uniform(0.5, 4) * time_s + rng.uniform(0, 6))
    return sound * np.clip(syllables + rng.uniform(0, 0.8), 0, 1)


def whine(rng: Generator, samples: int, rate_hz: int) -> NDArray[np.float64]:
    """A motor: tones that were there before and stay, or fade in over a second or more."""
    time_s = np.arange(samples) / rate_hz
    sound = np.zeros(samples)
    wander = 1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.05, 1) * time_s + rng.uniform(0, 6))
    for _ in range(int(rng.integers(1, 4))):
        pitch = log_uniform(rng, 350, 6_500) * wander ** int(rng.integers(0, 2))
        sound += rng.uniform(0.2, 1) * gliding_tone(pitch, rate_hz)
    if rng.random() < 0.4:
        sound *= np.clip(time_s / rng.uniform(1.2, 4), 0, 1)
    if rng.random() < 0.3:
        sound *= 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 8) * time_s)
    return sound + rng.uniform(0, 0.5) * rng.normal(0, 1, samples)


def clicks(rng: Generator, samples: int, rate_hz: int) -> NDArray[np.float64]:
    """Cutlery, ticks, knocks: resonances of a few milliseconds, often regular."""
    sound = np.zeros(samples)
    pause = rng.uniform(0.1, 1.2)
    place_s = rng.uniform(0, pause)
    tone_hz = log_uniform(rng, 400, 6_000)
    steady = rng.random() < 0.5
    while place_s * rate_hz < samples - 1:
        place = int(place_s * rate_hz)
        time_s = np.arange(min(samples - place, rate_hz // 10)) / rate_hz
        knock = np.exp(-time_s / log_uniform(rng, 0.001, 0.012))
        sound[place : place + len(time_s)] += knock * np.sin(2 * np.pi * tone_hz * time_s)
        place_s += pause if steady else pause * rng.uniform(0.2, 2)
    return sound


LOOK_ALIKES: dict[str, Callable[[Generator, int, int], NDArray[np.float64]]] = {
    "glides": glides,
    "flute": flute,
    "bells": bells,
    "voice": voice,
    "whine": whine,
    "clicks": clicks,
}


def look_alike(rng: Generator, length_s: float, rate_hz: int) -> Signal:
    """A sound that must not be taken for a beep."""
    kind = str(rng.choice(list(LOOK_ALIKES)))
    sound = LOOK_ALIKES[kind](rng, round(length_s * rate_hz), rate_hz)
    return Signal(sound=at_peak(sound.astype(np.float32)), pulses=())
