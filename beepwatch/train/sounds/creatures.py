"""Birds, children, people who whistle and sing: nothing alive repeats itself exactly."""

from typing import cast

import msgspec
import numpy as np
from numpy.random import Generator

from beepwatch.train.sounds.tones import (
    Wave,
    along,
    band_noise,
    harmonic_tone,
    lay,
    soft,
    tune_hz,
    vibrato,
    vowel_gains,
    wander,
)
from beepwatch.train.synthesis import log_uniform

LEAST_BEND = 0.08  # octaves; a bird that held its pitch better would be a beep


class Syllable(msgspec.Struct, frozen=True, kw_only=True):
    """What a bird sings in one piece, as it means to sing it."""

    pitch_hz: float
    bend: tuple[float, ...]  # octaves, evenly spaced over its length
    length_s: float
    pause_s: float
    gains: tuple[float, ...]  # of its partials
    second_voice: float  # the other half of the syrinx sings so many times higher; 0: silent


def draw_syllable(rng: Generator) -> Syllable:
    """Gliding 600 Hz to 7 kHz, mostly a near-sine."""
    bend = np.cumsum(rng.normal(0, log_uniform(rng, 0.03, 0.6), int(rng.integers(3, 7))))
    bend *= max(LEAST_BEND / max(float(np.ptp(bend)), 1e-9), 1.0)
    rich = rng.random() < 0.25
    return Syllable(
        pitch_hz=log_uniform(rng, 1_500, 5_500) if rng.random() < 0.8 else rng.uniform(600, 1_500),
        bend=tuple(float(octaves) for octaves in np.clip(bend - bend.mean(), -1, 0.6)),
        length_s=log_uniform(rng, 0.03, 0.5),
        pause_s=log_uniform(rng, 0.01, 0.25),
        gains=(1.0, rng.uniform(0, 0.6), rng.uniform(0, 0.3)) if rich else (1.0,),
        second_voice=rng.uniform(1.1, 1.6) if rng.random() < 0.15 else 0.0,
    )


def sung(rng: Generator, syllable: Syllable, rate_hz: int) -> Wave:
    """A syllable as it comes out this time: a few percent off in pitch, length and shape."""
    samples = max(round(syllable.length_s * rng.uniform(0.88, 1.12) * rate_hz), 32)
    bend = along(samples, syllable.bend) * rng.uniform(0.85, 1.15)
    pitch_hz = syllable.pitch_hz * rng.uniform(0.97, 1.03) * 2**bend
    pitch_hz *= 1 + vibrato(rng, samples, rate_hz, rng.uniform(8, 40), rng.uniform(0, 0.02))
    tone = harmonic_tone(pitch_hz, syllable.gains, rate_hz)
    if syllable.second_voice:
        tone = tone + 0.6 * harmonic_tone(pitch_hz * syllable.second_voice, (1.0,), rate_hz)
    swelling = 1 + wander(rng, samples, rate_hz, 25, 0.25)
    attack_s, release_s = rng.uniform(0.005, 0.04), rng.uniform(0.01, 0.06)
    level = rng.uniform(0.5, 1)
    return tone * swelling * soft(samples, rate_hz, attack_s, release_s) * level


def birdsong(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Motifs of gliding syllables, sung again almost alike."""
    sound = np.zeros(samples)
    motif = [draw_syllable(rng) for _ in range(int(rng.integers(1, 7)))]
    rest_s = log_uniform(rng, 0.05, 1.2)
    place = int(rng.uniform(0, 0.6) * rate_hz)
    while place < samples:
        for syllable in motif:
            tone = sung(rng, syllable, rate_hz)
            lay(sound, place, tone)
            place += len(tone) + round(syllable.pause_s * rng.uniform(0.8, 1.2) * rate_hz)
        place += round(rest_s * rng.uniform(0.7, 1.4) * rate_hz)
        if rng.random() < 0.15:
            motif = [draw_syllable(rng) for _ in range(int(rng.integers(1, 7)))]
    return sound


def bird_trill(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """One syllable 5 to 40 times a second, its pitch and tempo drifting through the trill."""
    sound = np.zeros(samples)
    place_s = rng.uniform(0, 0.5)
    while place_s * rate_hz < samples:
        notes_hz = log_uniform(rng, 5, 40)
        syllable = draw_syllable(rng)
        drift = rng.normal(0, 0.2)
        hurry = rng.uniform(-0.3, 0.3)
        count = int(rng.uniform(0.3, 2.5) * notes_hz) + 2
        for number in range(count):
            share = number / count
            note = msgspec.structs.replace(
                syllable,
                pitch_hz=syllable.pitch_hz * 2 ** (drift * share),
                length_s=rng.uniform(0.55, 0.85) / notes_hz,
            )
            level = 0.3 + 0.7 * np.sin(np.pi * (share + 0.1) / 1.2)
            lay(sound, int(place_s * rate_hz), level * sung(rng, note, rate_hz))
            place_s += (1 + hurry * share) * rng.uniform(0.95, 1.05) / notes_hz
        place_s += log_uniform(rng, 0.1, 1.5)
    return sound


def bird_whistle(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Long whistles of 1.5 to 5 kHz that wobble, two or three pitches in turn, nearly repeated."""
    sound = np.zeros(samples)
    notes = [
        (log_uniform(rng, 1_500, 5_000), log_uniform(rng, 0.09, 0.8), rng.uniform(-0.1, 0.1))
        for _ in range(int(rng.integers(1, 4)))
    ]
    pause_s = log_uniform(rng, 0.03, 0.7)
    wobble = rng.uniform(0.01, 0.05)
    number, place = 0, int(rng.uniform(0, 0.6) * rate_hz)
    while place < samples:
        pitch_hz, length_s, slope = notes[number % len(notes)]
        length = round(length_s * rng.uniform(0.9, 1.1) * rate_hz)
        shake_hz = max(rng.uniform(2, 12), 0.8 / length_s)
        curve = 1 + vibrato(rng, length, rate_hz, shake_hz, wobble)
        curve *= rng.uniform(0.97, 1.03) * 2 ** along(length, (-slope, slope))
        tone = harmonic_tone(pitch_hz * curve, (1.0, 0.08 * rng.random()), rate_hz)
        tone *= 1 + wander(rng, length, rate_hz, 15, 0.2)
        lay(sound, place, tone * soft(length, rate_hz, rng.uniform(0.015, 0.06), 0.05))
        place += length + round(pause_s * rng.uniform(0.7, 1.4) * rate_hz)
        number += 1
    return sound


def rough_calls(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Crows, gulls, geese: harmonic, rough, the pitch an arch."""
    sound = np.zeros(samples)
    base_hz = log_uniform(rng, 280, 1_300)
    rough_hz, rough = rng.uniform(25, 110), rng.uniform(0.1, 0.9)
    length_s, pause_s = log_uniform(rng, 0.1, 0.7), log_uniform(rng, 0.05, 0.8)
    gains = vowel_gains(rng, base_hz, 7_000)
    place = int(rng.uniform(0, 0.6) * rate_hz)
    while place < samples:
        length = round(length_s * rng.uniform(0.7, 1.3) * rate_hz)
        arch = along(length, (-rng.uniform(0.1, 0.5), 0.1, 0.05, -rng.uniform(0.1, 0.6)))
        jitter = wander(rng, length, rate_hz, 150, 0.02)
        pitch_hz = base_hz * rng.uniform(0.93, 1.07) * 2 ** (arch + jitter)
        tone = harmonic_tone(pitch_hz, gains, rate_hz)
        time_s = np.arange(length) / rate_hz
        tone *= 1 + rough * np.sin(2 * np.pi * rough_hz * time_s + 3 * jitter)
        tone += 0.4 * rough * band_noise(rng, length, rate_hz, base_hz, 4 * base_hz)
        lay(sound, place, tone * soft(length, rate_hz, 0.03, 0.08) * rng.uniform(0.5, 1))
        place += length + round(pause_s * rng.uniform(0.6, 1.6) * rate_hz)
    return sound


def crickets(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Chirps of a few soft strokes each, or strokes without end; several animals at once."""
    sound = np.zeros(samples)
    for _ in range(int(rng.integers(1, 5))):
        pitch_hz, strokes_hz = rng.uniform(2_800, 6_500), rng.uniform(18, 60)
        endless = rng.random() < 0.4
        strokes = 10_000 if endless else int(rng.integers(2, 9))
        rest_s, level, place_s = rng.uniform(0.15, 1.0), rng.uniform(0.2, 1), rng.uniform(0, 0.5)
        while place_s * rate_hz < samples:
            for number in range(min(strokes, int((samples / rate_hz - place_s) * strokes_hz) + 1)):
                length = round(rng.uniform(0.5, 0.8) / strokes_hz * rate_hz)
                curve = pitch_hz * rng.uniform(0.985, 1.015) * along(length, (1.03, 1.0, 0.95))
                swelling = 1 if endless else (number + 1) / strokes
                stroke = np.sin(2 * np.pi * np.cumsum(curve) / rate_hz)
                stroke *= np.sin(np.pi * np.linspace(0, 1, length)) * swelling * level
                lay(sound, int(place_s * rate_hz), stroke)
                place_s += rng.uniform(0.93, 1.07) / strokes_hz
            place_s += rest_s * rng.uniform(0.8, 1.2)
    return sound


def _cry(rng: Generator, base_hz: float, length: int, rate_hz: int, depth: float) -> Wave:
    """A throat's sound: an arch of pitch under formants, with jitter, shimmer and breath."""
    arch = along(length, (-depth, 0.3 * depth * rng.random(), 0, -depth * rng.uniform(0.5, 1.5)))
    jitter = wander(rng, length, rate_hz, 120, rng.uniform(0.01, 0.03))
    slow = wander(rng, length, rate_hz, 5, 0.03)
    tone = harmonic_tone(
        base_hz * 2 ** (arch + jitter + slow), vowel_gains(rng, base_hz, 6_500), rate_hz
    )
    tone *= 1 + wander(rng, length, rate_hz, 60, rng.uniform(0.05, 0.25))
    return tone + rng.uniform(0.01, 0.15) * band_noise(rng, length, rate_hz, 800, 5_000)


def crying(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A child that cries: bouts of half a second and more, breath between them."""
    sound = np.zeros(samples)
    base_hz, length_s = rng.uniform(280, 750), log_uniform(rng, 0.25, 1.5)
    place = int(rng.uniform(0, 0.5) * rate_hz)
    while place < samples:
        length = round(length_s * rng.uniform(0.6, 1.4) * rate_hz)
        pitch_hz = base_hz * rng.uniform(0.88, 1.15)
        bout = _cry(rng, pitch_hz, length, rate_hz, rng.uniform(0.1, 0.6))
        lay(sound, place, bout * soft(length, rate_hz, 0.06, 0.12) * rng.uniform(0.5, 1))
        place += length + round(rng.uniform(0.05, 0.2) * rate_hz)
        breath = round(rng.uniform(0.1, 0.3) * rate_hz)
        gasp = band_noise(rng, breath, rate_hz, 900, 4_500)
        lay(sound, place, 0.15 * gasp * soft(breath, rate_hz, 0.05, 0.05))
        place += breath + round(rng.uniform(0, 0.15) * rate_hz)
    return sound


def shouting(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Children who call and squeal: short vowels and long ones, leaping in pitch."""
    sound = np.zeros(samples)
    base_hz = log_uniform(rng, 300, 900)
    place = int(rng.uniform(0, 0.5) * rate_hz)
    while place < samples:
        length = round(log_uniform(rng, 0.08, 0.9) * rate_hz)
        squeal = 2.0 if rng.random() < 0.15 else 1.0
        pitch_hz = base_hz * squeal * 2 ** rng.normal(0, 0.25)
        call = _cry(rng, pitch_hz, length, rate_hz, rng.uniform(0.1, 0.5))
        lay(sound, place, call * soft(length, rate_hz, 0.025, 0.08) * rng.uniform(0.3, 1))
        pause_s = log_uniform(rng, 0.02, 0.15) if rng.random() < 0.7 else rng.uniform(0.2, 1)
        place += length + round(pause_s * rate_hz)
    return sound


def laughter(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Four to twelve breathy syllables, four to seven a second, sinking."""
    sound = np.zeros(samples)
    base_hz = log_uniform(rng, 180, 800)
    place = int(rng.uniform(0, 0.5) * rate_hz)
    while place < samples:
        pace_hz, count = rng.uniform(4, 7), int(rng.integers(4, 13))
        for number in range(count):
            length = round(rng.uniform(0.4, 0.75) / pace_hz * rate_hz)
            pitch_hz = base_hz * rng.uniform(0.9, 1.1) * 2 ** (-0.4 * number / count)
            ha = _cry(rng, pitch_hz, length, rate_hz, rng.uniform(0.1, 0.4))
            level = rng.uniform(0.6, 1) * (1 - 0.7 * number / count)
            lay(sound, place, level * ha * soft(length, rate_hz, 0.03, 0.06))
            place += round(rng.uniform(0.85, 1.15) / pace_hz * rate_hz)
        place += round(rng.uniform(0.2, 1.2) * rate_hz)
        base_hz *= rng.uniform(0.85, 1.2)
    return sound


def speech(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Grown-ups: syllables under moving formants, hissed consonants, a sentence's falling tune."""
    sound = np.zeros(samples)
    base_hz = log_uniform(rng, 90, 280)
    place = 0
    while place < samples:
        for number in range(int(rng.integers(3, 10))):
            hiss = round(rng.uniform(0.02, 0.1) * rate_hz)
            noise = band_noise(rng, hiss, rate_hz, rng.uniform(1_500, 4_000), 7_000)
            lay(sound, place, 0.15 * noise * soft(hiss, rate_hz, 0.01, 0.02))
            place += hiss
            length = round(rng.uniform(0.06, 0.3) * rate_hz)
            pitch_hz = base_hz * rng.uniform(0.9, 1.2) * 2 ** (-0.04 * number)
            vowel = _cry(rng, pitch_hz, length, rate_hz, 0.15)
            lay(sound, place, vowel * soft(length, rate_hz, 0.02, 0.04) * rng.uniform(0.4, 1))
            place += length
        place += round(rng.uniform(0.1, 0.8) * rate_hz)
    return sound


def sliding_tune_hz(
    rng: Generator, samples: int, rate_hz: int, low_hz: float, top_hz: float
) -> Wave:
    """A melody's pitch for every sample, each note reached by a slide of 30 to 150 ms."""
    tempo_hz = rng.uniform(1, 5)
    notes = int(samples / rate_hz * tempo_hz) + 3
    tune = np.log(tune_hz(rng, notes, low_hz, top_hz)) + rng.normal(0, 0.006, notes)
    ends_s = np.cumsum(rng.choice([0.5, 1, 1, 2], notes) * rng.uniform(0.9, 1.1, notes) / tempo_hz)
    slides_s = np.minimum(rng.uniform(0.03, 0.15, notes), 0.4 * np.diff(ends_s, prepend=0))
    knots_s = np.stack([ends_s - slides_s, ends_s], axis=1).ravel()
    values = np.stack([tune, np.roll(tune, -1)], axis=1).ravel()
    return cast("Wave", np.exp(np.interp(np.arange(samples) / rate_hz, knots_s, values)))


def breaths(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """An envelope with a pause for breath now and then, every start and end soft."""
    envelope = np.zeros(samples)
    place = int(rng.uniform(0, 0.4) * rate_hz)
    while place < samples:
        length = round(log_uniform(rng, 0.25, 3) * rate_hz)
        lay(envelope, place, soft(length, rate_hz, rng.uniform(0.04, 0.12), rng.uniform(0.05, 0.2)))
        place += length + round(rng.uniform(0.05, 0.5) * rate_hz)
    return envelope


def whistling(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Somebody who whistles a tune: a sine with breath that slides from note to note."""
    low_hz = rng.uniform(700, 1_400)
    pitch_hz = sliding_tune_hz(rng, samples, rate_hz, low_hz, rng.uniform(1.4, 2.4) * low_hz)
    wobble = vibrato(rng, samples, rate_hz, rng.uniform(3, 8), rng.uniform(0.005, 0.02))
    pitch_hz *= 1 + wobble + wander(rng, samples, rate_hz, 2, 0.005)
    tone = harmonic_tone(pitch_hz, (1.0, rng.uniform(0, 0.15), rng.uniform(0, 0.05)), rate_hz)
    tone *= 1 + wander(rng, samples, rate_hz, 12, 0.15)
    hiss = band_noise(rng, samples, rate_hz, 0.7 * low_hz, 4 * low_hz)
    return (tone + rng.uniform(0.005, 0.08) * hiss) * breaths(rng, samples, rate_hz)


def singing(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Sung vowels, most with vibrato."""
    low_hz = log_uniform(rng, 110, 450)
    pitch_hz = sliding_tune_hz(rng, samples, rate_hz, low_hz, 2 * low_hz)
    depth = rng.uniform(0.01, 0.04) if rng.random() < 0.8 else 0.004
    pitch_hz *= 1 + vibrato(rng, samples, rate_hz, rng.uniform(4.5, 7), depth)
    pitch_hz *= 1 + wander(rng, samples, rate_hz, 80, 0.004)
    first, second = (vowel_gains(rng, 1.4 * low_hz, 6_500) for _ in range(2))
    share = np.clip(0.5 + wander(rng, samples, rate_hz, 3, 0.6), 0, 1)
    tone = harmonic_tone(pitch_hz, first, rate_hz) * share
    tone += harmonic_tone(pitch_hz, second, rate_hz) * (1 - share)
    return tone * breaths(rng, samples, rate_hz)
