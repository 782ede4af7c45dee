"""Motors, doors, vehicles, telephones, weather: steady, sliding or rattling, never a pulse."""

import numpy as np
from numpy.random import Generator

from beepwatch.train.sounds.tones import (
    Wave,
    along,
    band_noise,
    harmonic_tone,
    lay,
    soft,
    vibrato,
    wander,
)
from beepwatch.train.synthesis import gliding_tone, log_uniform


def whine(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A motor: tones that were there before and stay, or fade in over a second or more."""
    time_s = np.arange(samples) / rate_hz
    sound = np.zeros(samples)
    course = 1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.05, 1) * time_s + rng.uniform(0, 6))
    for _ in range(int(rng.integers(1, 4))):
        pitch = log_uniform(rng, 350, 6_500) * course ** int(rng.integers(0, 2))
        sound += rng.uniform(0.2, 1) * gliding_tone(pitch, rate_hz)
    if rng.random() < 0.4:
        sound *= np.clip(time_s / rng.uniform(1.2, 4), 0, 1)
    if rng.random() < 0.3:
        sound *= 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.2, 8) * time_s)
    return sound + rng.uniform(0, 0.5) * rng.normal(0, 1, samples)


def spinning_drum(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A drum that spins, runs up or runs down: gear whine, its sidebands, beating, rumble."""
    length_s = samples / rate_hz
    course = along(samples, (1.0, 1.0))
    kind = rng.random()
    if kind < 0.6:  # up or down, over most of the clip
        start, end = (rng.uniform(0.2, 0.9), 1.0) if kind < 0.35 else (1.0, rng.uniform(0.2, 0.9))
        course = along(samples, (start, start, 0.5 * (start + end), end, end))
    turns_hz = rng.uniform(5, 25)
    teeth = log_uniform(rng, 350, 5_000) / turns_hz
    course = course * (1 + wander(rng, samples, rate_hz, 2, 0.002))
    gains = rng.uniform(0, 1, 5) * np.arange(1, 6) ** -rng.uniform(0, 1.2)
    sound = harmonic_tone(turns_hz * teeth * course, gains, rate_hz)
    eccentric = np.sin(2 * np.pi * np.cumsum(turns_hz * course) / rate_hz)
    sound *= 1 + rng.uniform(0, 0.6) * eccentric
    sound *= course ** rng.uniform(0, 2)
    if rng.random() < 0.4:
        second_hz = turns_hz * teeth * rng.uniform(0.98, 1.02)
        sound += 0.6 * harmonic_tone(second_hz * course, gains[:2], rate_hz)
    rumble = band_noise(rng, samples, rate_hz, 40, rng.uniform(200, 2_500))
    fade_s = min(rng.uniform(0.5, 3), length_s)
    if rng.random() < 0.3:
        sound *= soft(samples, rate_hz, fade_s, fade_s)
    return sound + rng.uniform(0.05, 0.8) * rumble


def vacuum_cleaner(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A fast motor in its own wind; half of them are switched on within the clip."""
    pitch_hz = log_uniform(rng, 250, 900)
    time_s = np.arange(samples) / rate_hz
    start_s = rng.uniform(0, 2) if rng.random() < 0.5 else -5.0
    speed = 1 - np.exp(-np.maximum(time_s - start_s, 0) / rng.uniform(0.3, 1.0))
    pitch = pitch_hz * (speed + 1e-3) * (1 + wander(rng, samples, rate_hz, 1.5, 0.01))
    gains = rng.uniform(0.1, 1, 12) / np.arange(1, 13) ** rng.uniform(0.3, 1.2)
    tone = harmonic_tone(pitch, gains, rate_hz)
    wind = band_noise(rng, samples, rate_hz, 200, rng.uniform(2_000, 6_000))
    sound: Wave = (tone * rng.uniform(0.2, 1) + wind) * speed**2
    return sound


def squeaks(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Doors, brakes, shoes, rubbed glass: stick and slip, harmonic, sliding 500 to 4,000 Hz."""
    sound = np.zeros(samples)
    base_hz = log_uniform(rng, 500, 3_500)
    count = int(rng.integers(3, 10))
    gains = rng.uniform(0.1, 1, count) / np.arange(1, count + 1) ** rng.uniform(0.2, 1.2)
    place = int(rng.uniform(0, 0.8) * rate_hz)
    while place < samples:
        length = round(log_uniform(rng, 0.08, 1.6) * rate_hz)
        course = np.cumsum(rng.normal(0, 0.18, 5))
        course *= max(0.12 / max(float(np.ptp(course)), 1e-9), 1)  # at least two semitones, nearly
        jitter = wander(rng, length, rate_hz, 200, rng.uniform(0.003, 0.03))
        pitch_hz = base_hz * rng.uniform(0.85, 1.2) * 2 ** (along(length, course.tolist()) + jitter)
        tone = harmonic_tone(pitch_hz, gains, rate_hz)
        tone *= np.clip(1 + wander(rng, length, rate_hz, 30, 0.5), 0, 3)
        lay(sound, place, tone * soft(length, rate_hz, rng.uniform(0.01, 0.1), 0.08))
        place += length + round(log_uniform(rng, 0.05, 1.2) * rate_hz)
    return sound


def siren(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Wail, yelp or two tones in turn without a pause, coming nearer or going away."""
    time_s = np.arange(samples) / rate_hz
    kind = rng.random()
    if kind < 0.4:
        octaves = rng.uniform(0.4, 1.2) * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time_s)
    elif kind < 0.7:
        phase = (rng.uniform(2, 5) * time_s + rng.random()) % 1
        octaves = rng.uniform(0.4, 1.2) * np.abs(2 * phase - 1)
    else:
        turns = np.sin(2 * np.pi * rng.uniform(0.4, 1) * time_s + rng.uniform(0, 6))
        octaves = rng.uniform(0.3, 0.5) * 0.5 * (1 + np.tanh(6 * turns))
    passing = along(samples, (0, rng.choice([-1, 1]) * rng.uniform(0.05, 0.15)))
    base_hz = log_uniform(rng, 400, 1_100)
    gains = rng.uniform(0.2, 1, 7) / np.arange(1, 8) ** rng.uniform(0.5, 1.5)
    tone = harmonic_tone(base_hz * 2 ** (octaves + passing), gains, rate_hz)
    return tone * along(samples, (rng.uniform(0.2, 1), rng.uniform(0.2, 1)))


def car_horn(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Two horns at once, 350 to 500 Hz, a whole row of strong partials each."""
    sound = np.zeros(samples)
    low_hz = rng.uniform(330, 430)
    order = np.arange(1, 15)
    gains = np.exp(-(((order * low_hz - rng.uniform(1_500, 2_800)) / 1_500) ** 2)) + 0.15
    place = int(rng.uniform(0, 1.5) * rate_hz)
    while place < samples:
        length = round(log_uniform(rng, 0.15, 1.5) * rate_hz)
        time_s = np.arange(length) / rate_hz
        swing = 1 - 0.02 * np.exp(-time_s / 0.03) + wander(rng, length, rate_hz, 5, 0.001)
        chord = harmonic_tone(low_hz * swing, gains, rate_hz)
        chord += harmonic_tone(low_hz * rng.uniform(1.18, 1.28) * swing, gains, rate_hz)
        lay(sound, place, chord * soft(length, rate_hz, 0.025, 0.06))
        place += length + round(log_uniform(rng, 0.1, 2.5) * rate_hz)
    return sound


def dial_tone(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A telephone's line: 425 Hz or 350 and 440 Hz, through the whole clip."""
    time_s = np.arange(samples) / rate_hz
    pitches_hz = [(425.0,), (350.0, 440.0), (440.0, 480.0)][int(rng.integers(3))]
    sound = sum((np.sin(2 * np.pi * hz * time_s) for hz in pitches_hz), start=np.zeros(samples))
    return sound + rng.uniform(0, 0.1) * band_noise(rng, samples, rate_hz, 300, 3_400)


def clicks(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Clocks, knocks, switches: resonances of a few milliseconds, often regular."""
    sound = np.zeros(samples)
    pause = log_uniform(rng, 0.06, 1.2)
    place_s = rng.uniform(0, pause)
    tones_hz = [log_uniform(rng, 400, 6_500) for _ in range(int(rng.integers(1, 5)))]
    decay_s = log_uniform(rng, 0.001, 0.012)
    steady = rng.random() < 0.5
    number = 0
    while place_s * rate_hz < samples - 1:
        length = min(samples - int(place_s * rate_hz), rate_hz // 10)
        time_s = np.arange(length) / rate_hz
        knock = np.exp(-time_s / decay_s) * rng.uniform(0.6, 1)
        tock = 0.9 if number % 2 else 1.0
        knock *= sum(np.sin(2 * np.pi * tock * hz * time_s) for hz in tones_hz)
        lay(sound, int(place_s * rate_hz), knock)
        place_s += pause if steady else pause * rng.uniform(0.2, 2)
        number += 1
    return sound


def drops(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Rain and a dripping tap: bubbles, each a falling or rising tone of some milliseconds."""
    sound = rng.uniform(0, 0.1) * band_noise(rng, samples, rate_hz, 1_000, 7_000)
    for place in rng.integers(0, samples, int(log_uniform(rng, 3, 400))):
        length = round(log_uniform(rng, 0.004, 0.04) * rate_hz)
        pitch_hz = log_uniform(rng, 700, 6_000) * 2 ** along(length, (0, rng.uniform(0.05, 0.6)))
        fade = np.exp(-np.linspace(0, 5, length))
        lay(
            sound, int(place), rng.uniform(0.1, 1) * harmonic_tone(pitch_hz, (1.0,), rate_hz) * fade
        )
    return sound


def applause(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """Hands, from one pair to a hall."""
    sound = np.zeros(samples)
    for _ in range(int(log_uniform(rng, 1, 25))):
        centre_hz, pause_s = rng.uniform(500, 2_800), rng.uniform(0.18, 0.35)
        length = round(0.03 * rate_hz)
        clap = band_noise(rng, length, rate_hz, 0.7 * centre_hz, 1.5 * centre_hz)
        clap *= np.exp(-np.linspace(0, 6, length))
        place_s = rng.uniform(0, pause_s)
        while place_s * rate_hz < samples:
            lay(sound, int(place_s * rate_hz), clap * rng.uniform(0.5, 1))
            place_s += pause_s * rng.uniform(0.9, 1.1)
    return sound


def engine(rng: Generator, samples: int, rate_hz: int) -> Wave:
    """A motor-cycle, a mower, an aeroplane: a drone of low partials, revved now and then."""
    base_hz = log_uniform(rng, 25, 220)
    course = 2 ** wander(rng, samples, rate_hz, rng.uniform(0.2, 1.5), rng.uniform(0.02, 0.4))
    count = int(min(40, 5_000 / base_hz))
    gains = rng.uniform(0.1, 1, count) / np.arange(1, count + 1) ** rng.uniform(0.2, 1)
    drone = harmonic_tone(base_hz * course, gains, rate_hz)
    drone *= 1 + vibrato(rng, samples, rate_hz, rng.uniform(4, 15), rng.uniform(0, 0.3))
    return drone + rng.uniform(0.1, 1) * band_noise(rng, samples, rate_hz, 60, 2_500)
