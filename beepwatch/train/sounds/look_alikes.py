"""Sounds that only resemble a beep, each of a random kind: what no net may take for one.

None of them holds a steady pitch from an abrupt start to an abrupt end. Everything is drawn from a
random generator that the caller seeds; sound is float32, peak 1.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
from numpy.random import Generator

from beepwatch.train.sounds import creatures, instruments, machinery
from beepwatch.train.sounds.tones import Wave, soft
from beepwatch.train.synthesis import Signal, at_peak


class LookAlike(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of sound: how it is drawn, and how often."""

    draw: Callable[[Generator, int, int], Wave]  # generator, samples, rate_hz
    weight: float = 1.0
    steady: bool = False  # lasts: never interrupted, which would make pulses of it


LOOK_ALIKES: dict[str, LookAlike] = {
    "birdsong": LookAlike(draw=creatures.birdsong, weight=4),
    "bird trill": LookAlike(draw=creatures.bird_trill, weight=3),
    "bird whistle": LookAlike(draw=creatures.bird_whistle, weight=4),
    "rough calls": LookAlike(draw=creatures.rough_calls, weight=2),
    "crickets": LookAlike(draw=creatures.crickets),
    "crying": LookAlike(draw=creatures.crying, weight=3),
    "shouting": LookAlike(draw=creatures.shouting, weight=3),
    "laughter": LookAlike(draw=creatures.laughter, weight=1),
    "speech": LookAlike(draw=creatures.speech),
    "whistling": LookAlike(draw=creatures.whistling, weight=3),
    "singing": LookAlike(draw=creatures.singing, weight=2),
    "flute": LookAlike(draw=instruments.flute, weight=4),
    "violin": LookAlike(draw=instruments.violin, weight=2),
    "accordion": LookAlike(draw=instruments.accordion),
    "piano": LookAlike(draw=instruments.piano, weight=2),
    "ringtone": LookAlike(draw=instruments.ringtone, weight=2),
    "electronic music": LookAlike(draw=instruments.electronic_music),
    "whine": LookAlike(draw=machinery.whine, weight=3, steady=True),
    "spinning drum": LookAlike(draw=machinery.spinning_drum, weight=3, steady=True),
    "vacuum cleaner": LookAlike(draw=machinery.vacuum_cleaner, steady=True),
    "squeaks": LookAlike(draw=machinery.squeaks, weight=3),
    "siren": LookAlike(draw=machinery.siren, weight=2, steady=True),
    "car horn": LookAlike(draw=machinery.car_horn, weight=2),
    "dial tone": LookAlike(draw=machinery.dial_tone, weight=0.5, steady=True),
    "clicks": LookAlike(draw=machinery.clicks, weight=2),
    "drops": LookAlike(draw=machinery.drops),
    "applause": LookAlike(draw=machinery.applause, weight=0.5),
    "engine": LookAlike(draw=machinery.engine, steady=True),
} | {
    kind: LookAlike(draw=partial(instruments.struck, bar=instruments.STRUCK[kind]), weight=weight)
    for kind, weight in {
        "church bell": 1.0,
        "small bell": 2.0,
        "glass": 2.0,
        "cutlery": 2.0,
        "wind chime": 2.0,
        "glockenspiel": 1.0,
        "music box": 1.0,
        "marimba": 0.5,
    }.items()
}


def draw_kind(rng: Generator) -> LookAlike:
    """One kind, those that fool detectors more often than others."""
    kinds = list(LOOK_ALIKES.values())
    weights = np.array([kind.weight for kind in kinds])
    return kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]


def one(rng: Generator, kind: LookAlike, samples: int, rate_hz: int) -> Wave:
    """A look-alike of one kind, peak 1, sometimes only through part of the time."""
    sound = kind.draw(rng, samples, rate_hz)
    if not kind.steady and rng.random() < 0.25:
        heard = int(rng.integers(samples // 5, samples))
        start = int(rng.integers(0, samples - heard + 1))
        # Ends as softly as what is carried out of a room.
        sound[start : start + heard] *= soft(heard, rate_hz, 0.2, 0.2)
        sound[:start] = 0
        sound[start + heard :] = 0
    return sound / max(float(np.abs(sound).max(initial=0.0)), 1e-9)


def look_alike(rng: Generator, length_s: float, rate_hz: int) -> Signal:
    """A sound that must not be taken for a beep: one kind, often two at once."""
    samples = round(length_s * rate_hz)
    sound = one(rng, draw_kind(rng), samples, rate_hz)
    if rng.random() < 0.3:
        sound = sound + rng.uniform(0.15, 1) * one(rng, draw_kind(rng), samples, rate_hz)
    return Signal(sound=at_peak(sound.astype(np.float32)), pulses=())
