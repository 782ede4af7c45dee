"""What look-alikes are made of: pitches that wander, partials, breath, notes that begin softly.

Sound here is float64 and of any level; all randomness comes from the caller's generator.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Wave = NDArray[np.float64]  # [samples]

CEILING = 0.46  # of the rate; no partial above it


def wander(rng: Generator, samples: int, rate_hz: int, knots_hz: float, depth: float) -> Wave:
    """Random around 0, standard deviation about `depth`, new `knots_hz` times a second."""
    knots = max(math.ceil(samples / rate_hz * knots_hz) + 1, 2)
    return np.interp(
        np.arange(samples) / samples * (knots - 1), np.arange(knots), rng.normal(0, depth, knots)
    )


def along(samples: int, values: Sequence[float]) -> Wave:
    """A curve through some values, evenly spaced over the length."""
    return np.interp(np.linspace(0, len(values) - 1, samples), np.arange(len(values)), values)


def vibrato(rng: Generator, samples: int, rate_hz: int, shake_hz: float, depth: float) -> Wave:
    """Relative deviation of a pitch, never quite regular."""
    speed_hz = shake_hz * (1 + wander(rng, samples, rate_hz, 3, 0.12))
    phase = 2 * np.pi * np.cumsum(speed_hz) / rate_hz + rng.uniform(0, 2 * np.pi)
    return depth * (1 + wander(rng, samples, rate_hz, 4, 0.25)) * np.sin(phase)


def harmonic_tone(pitch_hz: Wave, gains: Sequence[float] | Wave, rate_hz: int) -> Wave:
    """Partials 1, 2, … of a pitch given for every sample, each with its gain."""
    turn = np.exp(2j * np.pi * np.cumsum(pitch_hz) / rate_hz)
    ceiling_hz = CEILING * rate_hz
    lowest_hz, highest_hz = float(pitch_hz.min()), float(pitch_hz.max())
    partial = np.ones_like(turn)
    sound = np.zeros(len(pitch_hz))
    for order, gain in enumerate(gains, start=1):
        if order * lowest_hz > ceiling_hz:
            break
        partial *= turn
        if order * highest_hz > ceiling_hz:
            sound += gain * partial.imag * (order * pitch_hz <= ceiling_hz)
        else:
            sound += gain * partial.imag
    return sound


def vowel_gains(rng: Generator, pitch_hz: float, highest_hz: float) -> Wave:
    """Gains of a voice's partials up to `highest_hz`: three formants on a falling spectrum."""
    partial_hz = pitch_hz * np.arange(1, max(int(highest_hz // pitch_hz), 1) + 1)
    formants_hz = (rng.uniform(300, 1_000), rng.uniform(900, 2_600), rng.uniform(2_300, 4_200))
    gains = 0.08 * (partial_hz / partial_hz[0]) ** -0.7
    for formant_hz, level in zip(formants_hz, (1, 0.6, 0.35), strict=True):
        gains = gains + level * np.exp(
            -(((partial_hz - formant_hz) / (0.15 * formant_hz + 60)) ** 2)
        )
    return np.asarray(gains)


def band_noise(rng: Generator, samples: int, rate_hz: int, low_hz: float, high_hz: float) -> Wave:
    """Hiss of a band with soft edges, RMS 1."""
    length = 1 << max(samples - 1, 1).bit_length()  # other lengths may transform slowly
    spectrum = np.fft.rfft(rng.normal(0, 1, length))
    frequency_hz = np.fft.rfftfreq(length, 1 / rate_hz) + 1e-3
    spectrum /= 1 + (low_hz / frequency_hz) ** 4
    spectrum /= 1 + (frequency_hz / high_hz) ** 4
    noise = np.fft.irfft(spectrum, length)[:samples]
    return np.asarray(noise / max(float(np.sqrt((noise**2).mean())), 1e-9))


def soft(samples: int, rate_hz: int, attack_s: float, release_s: float) -> Wave:
    """An envelope that rises and falls like a cosine; shorter where the length allows no more."""
    time_s = (np.arange(samples) + 0.5) / rate_hz
    length_s = samples / rate_hz
    rise = np.clip(time_s / min(attack_s, 0.6 * length_s), 0, 1)
    fall = np.clip((length_s - time_s) / min(release_s, 0.6 * length_s), 0, 1)
    return np.asarray(0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall)))


def struck_partial(samples: int, rate_hz: int, pitch_hz: float, decay_s: float) -> Wave:
    """A partial that dies away from its very start; at most until it is 60 dB down."""
    length = min(samples, round(6.9 * decay_s * rate_hz) + 1)
    step = (2j * np.pi * pitch_hz - 1 / decay_s) / rate_hz
    # A geometric row is the outer product of two short ones.
    row = np.exp(step * np.arange(256))
    rows = np.exp(step * 256 * np.arange(-(-length // 256)))
    ring: Wave = np.multiply.outer(rows, row).imag.ravel()[:length]
    return ring


def lay(sound: Wave, place: int, tone: Wave) -> None:
    """Add a tone to a sound from `place` on; what lies outside is cut off."""
    if 0 <= place < len(sound):
        part = tone[: len(sound) - place]
        sound[place : place + len(part)] += part


def scale_hz(rng: Generator, low_hz: float, high_hz: float) -> Wave:
    """The pitches of a random key's scale between two limits, a few cents off."""
    steps = np.array([(0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)][int(rng.integers(2))])
    tonic_hz = 27.5 * 2 ** (rng.uniform(0, 12) / 12)
    pitches = np.concatenate([tonic_hz * 2 ** (octave + steps / 12) for octave in range(9)])
    pitches = pitches[(pitches >= low_hz) & (pitches <= high_hz)]
    if len(pitches) == 0:
        pitches = np.array([math.sqrt(low_hz * high_hz)])
    return np.asarray(pitches)


def tune_hz(rng: Generator, notes: int, low_hz: float, high_hz: float) -> Wave:
    """A melody: a walk over a scale in small steps, notes often repeated."""
    pitches = scale_hz(rng, low_hz, high_hz)
    steps = rng.choice([-3, -2, -1, 0, 0, 1, 2, 3], notes)
    walk = np.cumsum(steps) + int(rng.integers(len(pitches)))
    # Reflected at the scale's ends.
    span = 2 * max(len(pitches) - 1, 1)
    walk = np.abs((walk % span) - span // 2) if span > 2 else walk % len(pitches)
    return np.asarray(pitches[np.minimum(walk, len(pitches) - 1)])
