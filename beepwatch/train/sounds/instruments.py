"""Music and ringing things: notes that begin softly, bend, ring on or sound as chords."""

import msgspec
import numpy as np
from numpy.random import Generator

from beepwatch.train.sounds.tones import (
    Wave,
    along,
    band_noise,
    harmonic_tone,
    lay,
    scale_hz,
    soft,
    struck_partial,
    tune_hz,
    vibrato,
    wander,
)
from beepwatch.train.synthesis import log_uniform


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is struck: which partials ring, and for how long."""

    ratios: tuple[float, ...]  # of the partials to the lowest; none: drawn anew for each thing
    low_hz: float
    high_hz: float
    decay_s: tuple[float, float]  # of the lowest partial
    tuned: bool  # plays tunes
    pause_s: tuple[float, float]  # between two strokes


# Ratios: N. H. Fletcher and T. D. Rossing, The Physics of Musical Instruments (1998): a free bar
# (2.76, 5.40, 8.93), a clamped one (6.27, 17.5), a marimba's tuned bar (about 4 and 10), a church
# bell (hum, prime, tierce, quint, nominal, …), a wine glass (about (n / 2) squared).
STRUCK = {
    "church bell": Bar(
        ratios=(0.5, 1, 1.19, 1.5, 2, 2.51, 2.66, 3.01, 4.17),
        low_hz=250, high_hz=1_200, decay_s=(0.6, 4), tuned=False, pause_s=(0.4, 2.5),
    ),
    "small bell": Bar(
        ratios=(), low_hz=900, high_hz=4_500, decay_s=(0.1, 1.5), tuned=False, pause_s=(0.05, 1.2)
    ),
    "glass": Bar(
        ratios=(1, 2.3, 4.2, 6.5),
        low_hz=700, high_hz=4_000, decay_s=(0.05, 0.8), tuned=False, pause_s=(0.05, 1.5),
    ),
    "cutlery": Bar(
        ratios=(), low_hz=1_200, high_hz=5_500, decay_s=(0.008, 0.12), tuned=False,
        pause_s=(0.02, 0.6),
    ),
    "wind chime": Bar(
        ratios=(1, 2.76, 5.4, 8.93),
        low_hz=500, high_hz=3_000, decay_s=(0.4, 2.5), tuned=True, pause_s=(0.04, 0.9),
    ),
    "glockenspiel": Bar(
        ratios=(1, 2.76, 5.4),
        low_hz=700, high_hz=4_000, decay_s=(0.25, 1.2), tuned=True, pause_s=(0.1, 0.6),
    ),
    "music box": Bar(
        ratios=(1, 2.01, 6.27),
        low_hz=450, high_hz=2_600, decay_s=(0.25, 1.0), tuned=True, pause_s=(0.08, 0.45),
    ),
    "marimba": Bar(
        ratios=(1, 3.98, 9.9),
        low_hz=200, high_hz=1_600, decay_s=(0.06, 0.35), tuned=True, pause_s=(0.07, 0.4),
    ),
}  # fmt: skip


def struck(rng: Generator, samples: int, rate_hz: int, bar: Bar) -> Wave:
    """A row of strokes that ring into one another, no two equally hard."""
    sound = np.zeros(samples)
    strokes = 60
    tune = (
        tune_hz(rng, strokes, bar.low_hz, bar.high_hz)
        if bar.tuned
        else np.repeat([log_uniform(rng, bar.low_hz, bar.high_hz)], strokes)
    )
    ratios = bar.ratios or tuple(np.sort(rng.uniform(1, 4.5, int(rng.integers(4, 10)))))
    decay_s, pause_s = log_uniform(rng, *bar.decay_s), log_uniform(rng, *bar.pause_s)
    loose = rng.uniform(0.02, 0.6)  # how irregular the strokes are
    place = int(rng.uniform(0, 0.6) * rate_hz)
    for pitch_hz in tune:
        if place >= samples:
            break
        for order, ratio in enumerate(ratios):
            partial_hz = pitch_hz * ratio * rng.uniform(0.998, 1.002)
            if partial_hz < 0.46 * rate_hz:
                fade_s = decay_s * rng.uniform(0.6, 1.2) / (1 + 0.7 * order)
                ring = struck_partial(samples - place, rate_hz, partial_hz, fade_s)
                lay(sound, place, rng.uniform(0.2, 1) / (1 + 0.3 * order) * ring)
        knock = round(0.004 * rate_hz)
        lay(sound, place, rng.normal(0, 0.3, knock) * np.linspace(1, 0, knock))
        if not bar.tuned and rng.random() < 0.3:  # another glass, another fork
            tune *= rng.uniform(0.7, 1.4)
            tune = np.clip(tune, bar.low_hz, bar.high_hz)
        place += round(pause_s * np.exp(rng.normal(0, loose)) * rate_hz)
    return sound


def piano(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Strings that were struck or plucked: stiff, two or three a note, ringing into one another."""
    sound = np.zeros(samples)
    low_hz = log_uniform(rng, 110, 500)
    stiffness = log_uniform(rng, 1e-4, 1.5e-3)
    decay_s, pause_s = log_uniform(rng, 0.2, 0.8), log_uniform(rng, 0.1, 0.5)
    order = np.arange(1, 9)
    place = int(rng.uniform(0, 0.4) * rate_hz)
    while place < samples:
        chord = 1 if rng.random() < 0.6 else int(rng.integers(2, 5))
        for pitch_hz in rng.choice(scale_hz(rng, low_hz, 5 * low_hz), chord, replace=False):
            partials_hz = pitch_hz * order * np.sqrt(1 + stiffness * order**2)
            for number, partial_hz in enumerate(partials_hz[partials_hz < 0.46 * rate_hz], 1):
                fade_s = decay_s / (1 + 0.25 * number)
                beat_hz = rng.uniform(-1.2, 1.2)
                ring = struck_partial(samples - place, rate_hz, partial_hz, fade_s)
                ring += struck_partial(samples - place, rate_hz, partial_hz + beat_hz, fade_s)
                lay(sound, place, rng.uniform(0.3, 1) * number**-1.2 * ring)
        place += round(pause_s * rng.choice([1, 1, 2]) * rng.uniform(0.93, 1.07) * rate_hz)
    return sound


def flute(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Flutes, recorders, ocarinas: breath first, then the tone; most with vibrato."""
    low_hz = log_uniform(rng, 350, 1_300)
    gains = (1.0, rng.uniform(0, 0.6), rng.uniform(0, 0.3), rng.uniform(0, 0.1))
    return _blown(rng, samples, rate_hz, low_hz, gains, rng.uniform(0.02, 0.15))


def violin(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Bowed strings and reeds: many partials, a slow bow, most with vibrato."""
    low_hz = log_uniform(rng, 196, 900)
    gains = rng.uniform(0.2, 1, 16) / np.arange(1, 17) ** rng.uniform(0.6, 1.4)
    return _blown(rng, samples, rate_hz, low_hz, tuple(gains), rng.uniform(0.005, 0.04))


def _blown(
    rng: Generator,
    samples: int,
    rate_hz: int,
    low_hz: float,
    gains: tuple[float, ...],
    breath: float,
) -> Wave:
    """A tune of notes with soft starts: 45 ms and more, and a scoop up to the pitch."""
    sound = np.zeros(samples)
    depth = rng.uniform(0.004, 0.02) if rng.random() < 0.75 else 0.0015
    attack_s, beat_s = rng.uniform(0.045, 0.2), log_uniform(rng, 0.12, 0.8)
    shake_hz = rng.uniform(4, 7)
    place = int(rng.uniform(0, 0.4) * rate_hz)
    for pitch_hz in tune_hz(rng, 40, low_hz, 2.5 * low_hz):
        if place >= samples:
            break
        length = round(beat_s * rng.choice([1, 1, 2, 3]) * rng.uniform(0.9, 1.1) * rate_hz)
        time_s = np.arange(length) / rate_hz
        curve = 1 + vibrato(rng, length, rate_hz, shake_hz, depth)
        curve += wander(rng, length, rate_hz, 6, 0.002) - 0.02 * np.exp(-time_s / 0.03)
        tone = harmonic_tone(pitch_hz * curve * rng.uniform(0.995, 1.005), gains, rate_hz)
        tone *= 1 + wander(rng, length, rate_hz, 8, 0.15)
        tone += breath * band_noise(rng, length, rate_hz, 0.8 * pitch_hz, 4 * pitch_hz)
        release_s = rng.uniform(0.05, 0.2)
        lay(sound, place, tone * soft(length, rate_hz, attack_s, release_s) * rng.uniform(0.5, 1))
        place += round(length * rng.uniform(0.85, 1.15))
    return sound


def accordion(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Chords of reeds that beat against one another, swelling and fading."""
    sound = np.zeros(samples)
    place = 0
    while place < samples:
        length = round(log_uniform(rng, 0.3, 2) * rate_hz)
        chord = np.zeros(length)
        for pitch_hz in rng.choice(scale_hz(rng, 200, 900), int(rng.integers(3, 5)), replace=False):
            gains = rng.uniform(0.1, 1, 8) / np.arange(1, 9)
            for detune in (1.0, 1 + rng.uniform(0.002, 0.008)):
                curve = pitch_hz * detune * (1 + wander(rng, length, rate_hz, 4, 0.001))
                chord += harmonic_tone(curve, gains, rate_hz)
        chord *= 1 + wander(rng, length, rate_hz, 5, 0.2)
        lay(sound, place, chord * soft(length, rate_hz, 0.06, 0.1))
        place += round(length * rng.uniform(0.9, 1.1))
    return sound


def ringtone(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A telephone's tune: fast broken chords of rich, ringing notes over a second voice."""
    sound = np.zeros(samples)
    notes_hz = rng.uniform(5, 14)
    gains = rng.uniform(0.2, 1, 7) / np.arange(1, 8) ** rng.uniform(0.3, 1)
    scale = scale_hz(rng, 350, 2_400)
    ring_s, place_s = rng.uniform(0.1, 0.3), rng.uniform(0, 0.5)
    figure = rng.integers(0, len(scale), int(rng.integers(4, 12)))
    number = 0
    while place_s * rate_hz < samples:
        pair = (scale[figure[number % len(figure)]], scale[int(rng.integers(len(scale)))] / 2)
        voices = pair if number % 2 == 0 or rng.random() < 0.4 else pair[:1]
        for pitch_hz in voices:
            length = min(round(4 * ring_s * rate_hz), samples)
            time_s = np.arange(length) / rate_hz
            shake = 0.004 * np.sin(2 * np.pi * 6 * time_s + rng.uniform(0, 6))
            curve = pitch_hz * (1 + shake)
            tone = harmonic_tone(curve, gains, rate_hz) * np.exp(-time_s / ring_s)
            lay(sound, int(place_s * rate_hz), tone * rng.uniform(0.6, 1))
        number += 1
        place_s += 1 / notes_hz
        if number % (4 * len(figure)) == 0:
            place_s += rng.uniform(0, 1.2)
    return sound


def electronic_music(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Arpeggios of filtered saw waves over a bass and drums."""
    sound = np.zeros(samples)
    step_s = 60 / rng.uniform(90, 150) / 4
    scale = scale_hz(rng, 200, 1_600)
    chord = rng.choice(scale, 4)
    order = np.arange(1, 25)
    square = rng.random() < 0.4
    cutoff_hz = np.exp(rng.uniform(np.log(500), np.log(4_000)) + wander(rng, 4_096, 100, 0.3, 0.5))
    bass_hz = float(scale[0]) / 4
    for step in range(int(samples / rate_hz / step_s) + 1):
        place = int(step * step_s * rate_hz)
        length = round(step_s * rng.uniform(0.8, 2.5) * rate_hz)
        pitch_hz = float(chord[step % 4]) * rng.choice([1, 1, 2])
        gains = (order % 2 if square else 1) / order
        gains = gains / (1 + (order * pitch_hz / cutoff_hz[step % 4_096]) ** 4)
        time_s = np.arange(length) / rate_hz
        two = np.full(length, pitch_hz)
        lead = harmonic_tone(two, gains, rate_hz) + harmonic_tone(two * 1.006, gains, rate_hz)
        lay(sound, place, 0.4 * lead * np.exp(-time_s / (1.2 * step_s)))
        if step % 2 == 0:
            bass = harmonic_tone(np.full(length, bass_hz), 1 / order[:8], rate_hz)
            lay(sound, place, bass * soft(length, rate_hz, 0.01, 0.05))
        if step % 4 == 0:
            lay(sound, place, 2 * _drum(rng, rate_hz))
        if step % 2 == 1:
            hat = round(0.05 * rate_hz)
            lay(sound, place, 0.5 * rng.normal(0, 1, hat) * np.exp(-np.arange(hat) / (hat / 5)))
        if step % 16 == 15:
            chord = rng.choice(scale, 4)
    return sound


def _drum(rng: Generator, rate_hz: int) -> Wave:
    """A kick: a tone that falls to 50 Hz, or a snare: hiss."""
    length = round(0.18 * rate_hz)
    fade = np.exp(-np.arange(length) / (length / 4))
    if rng.random() < 0.3:
        return 0.5 * rng.normal(0, 1, length) * fade
    return harmonic_tone(along(length, (180, 60, 50, 50)), (1.0,), rate_hz) * fade
