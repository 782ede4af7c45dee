"""One example becomes many: as it would sound in other rooms, nearer, farther, over other noise.

numpy and soxr only: it runs where beepwatch runs.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

from beepwatch.classify.engines import Answers, Engine
from beepwatch.classify.heads import matches
from beepwatch.train import augment
from beepwatch.train.synthesis import at_peak
from beepwatch.train.teaching.examples import Example, runs

Sound = NDArray[np.float32]

LENGTH_S = 4.0  # of a disguise, at most
BEFORE_S = 1.0  # of it before the example begins: the network looks back
DRIFT = 0.005  # relative: how far a buzzer's pitch moves with heat, battery and age
RT60_S = (0.15, 0.9)
RINGING_S = 0.16  # after a pulse: neither beep nor silence


class Disguise(msgspec.Struct, frozen=True, kw_only=True):
    """An example heard otherwise, and which of its frames are the sound's."""

    answers: Answers
    sounding: NDArray[np.bool_]  # [frames]
    unsure: NDArray[np.bool_]  # [frames], where a room may ring on
    snr_db: float


def disguised(
    rng: Generator,
    example: Example,
    engine: Engine,
    *,
    tones_hz: tuple[float, ...],
    rooms_noise: Sequence[Sound],
    snr_db: float,
) -> Disguise:
    """An example in a room that never was, `snr_db` over what else sounds there.

    Both as they are in the third of an octave around the loudest tone.
    """
    rate_hz = engine.rate_hz
    frame = round(engine.frame_s * rate_hz)
    first, last = _part(rng, example, engine.frame_s)
    sound = at_peak(example.pcm[first * frame : last * frame].astype(np.float32))
    flags = example.sounding[first:last]
    factor = 1 + rng.uniform(-DRIFT, DRIFT)
    sound = np.asarray(soxr.resample(sound, 1.0, 1.0 / factor), dtype=np.float32)
    if rng.random() < 0.85:
        sound = in_room(sound, augment.drawn_room(rng, rng.uniform(*RT60_S), rate_hz))
    lead = round(BEFORE_S / engine.frame_s) // 2 * 2
    # Of a length that fast Fourier transforms are fast at.
    length = -(-(lead * frame + len(sound)) // 4_000) * 4_000
    pitch_hz = _loudest(example, tones_hz, flags, first)
    own = np.repeat(flags, frame)[: len(sound)]
    loud = max(augment.band_rms(sound[: len(own)][own], pitch_hz, rate_hz), 1e-9)
    mixed = _background(rng, rooms_noise, length)
    noise = max(augment.band_rms(mixed, pitch_hz, rate_hz), augment.FAINTEST_RMS)
    gain = np.float32(noise / loud * 10 ** (snr_db / 20))
    mixed[lead * frame : lead * frame + len(sound)] += gain * sound
    if rng.random() < 0.7:
        mixed = augment.coloured(rng, mixed, rate_hz)
    peak = 10 ** (rng.uniform(-30, -1) / 20)
    answers = engine.answers(augment.to_int16(at_peak(mixed) * peak))
    sounding = np.zeros(len(answers.pitch_hz), dtype=bool)
    unsure = np.zeros(len(sounding), dtype=bool)
    ringing = round(RINGING_S / engine.frame_s)
    for start, end in runs(flags):
        a, b = lead + round(start / factor), lead + round(end / factor)
        sounding[a:b] = True
        unsure[max(a - 1, 0) : b + ringing] = True
    return Disguise(answers=answers, sounding=sounding, unsure=unsure & ~sounding, snr_db=snr_db)


def hiss(rng: Generator, samples: int) -> Sound:
    """Noise between white and pink. Browner, its lows would leave int16 no room for a beep."""
    spectrum = np.fft.rfft(rng.normal(0, 1, samples))
    spectrum *= np.arange(1, len(spectrum) + 1) ** -rng.uniform(0, 0.5)
    return at_peak(np.fft.irfft(spectrum, samples).astype(np.float32))


def in_room(sound: Sound, room: Sound) -> Sound:
    """The sound as the room gives it back, same length, no delay."""
    size = 1 << (len(sound) + len(room) - 1).bit_length()
    product = np.fft.rfft(sound, size) * np.fft.rfft(room, size)
    return np.fft.irfft(product, size)[: len(sound)].astype(np.float32)


def _part(rng: Generator, example: Example, frame_s: float) -> tuple[int, int]:
    """First and last frame of some of the example that holds a pulse or more."""
    longest = round((LENGTH_S - BEFORE_S) / frame_s)
    pulses = runs(example.sounding)
    if len(example.sounding) <= longest:
        return 0, len(example.sounding)
    lengths = np.minimum([end - start for start, end in pulses], 25)
    start, _ = pulses[int(rng.choice(len(pulses), p=lengths / lengths.sum()))]
    first = max(start - round(0.1 / frame_s), 0)
    return first, min(first + longest, len(example.sounding))


def _loudest(
    example: Example, tones_hz: tuple[float, ...], flags: NDArray[np.bool_], first: int
) -> float:
    """The tone that sounds in most of the chosen frames."""
    if not flags.any():
        return tones_hz[0]
    pitch_hz = example.answers.pitch_hz[first : first + len(flags)][flags]
    return tones_hz[int(matches(pitch_hz, tones_hz, 0.01).max(axis=1).sum(axis=0).argmax())]


def _background(rng: Generator, rooms_noise: Sequence[Sound], samples: int) -> Sound:
    """This room's own background, or noise of a colour that is drawn."""
    if not rooms_noise or rng.random() < 0.5:
        return hiss(rng, samples)
    whole = rooms_noise[int(rng.integers(len(rooms_noise)))]
    if len(whole) < samples:
        whole = np.tile(whole, samples // max(len(whole), 1) + 1)
    start = int(rng.integers(0, len(whole) - samples + 1))
    return np.asarray(at_peak(whole[start : start + samples]).copy(), dtype=np.float32)
