"""What lies between a source and a recording: room, other sounds, microphone, gain, clipping."""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Sound = NDArray[np.float32]

# Below this a recording's band counts as silent; a third of an octave of a good 16-bit input.
FAINTEST_RMS = 10 ** (-80 / 20)


def ready_room(response: Sound, rate_hz: int, longest_s: float = 0.8) -> Sound:
    """A room response that begins with its direct sound and has unit energy in its first 5 ms."""
    start = max(int(np.abs(response).argmax()) - rate_hz // 1_000, 0)
    cut = response[start : start + round(longest_s * rate_hz)].astype(np.float32)
    fade = min(len(cut), rate_hz // 50)
    cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    direct = math.sqrt(float((cut[: rate_hz // 200] ** 2).sum()))
    return np.asarray(cut / max(direct, 1e-9), dtype=np.float32)


def in_room(sound: Sound, room: Sound) -> Sound:
    """The sound as the room gives it back, same length, no delay."""
    from scipy.signal import fftconvolve  # here: what else is here is used without scipy

    return np.asarray(fftconvolve(sound, room)[: len(sound)], dtype=np.float32)


def band_rms(sound: Sound, pitch_hz: float, rate_hz: int, width_octaves: float = 1 / 3) -> float:
    """RMS of what lies within a band around `pitch_hz`; by Parseval's theorem."""
    if len(sound) == 0:
        return 0.0
    spectrum = np.fft.rfft(sound)
    low = pitch_hz * 2 ** (-width_octaves / 2) * len(sound) / rate_hz
    high = pitch_hz * 2 ** (width_octaves / 2) * len(sound) / rate_hz
    inside = spectrum[math.floor(low) : math.ceil(high) + 1]
    return float(np.sqrt(2 * (np.abs(inside) ** 2).sum()) / len(sound))


def coloured(rng: Generator, sound: Sound, rate_hz: int) -> Sound:
    """Through a microphone: a bumpy response, its lows and perhaps its highs cut off."""
    spectrum = np.fft.rfft(sound)
    frequency_hz = np.fft.rfftfreq(len(sound), 1 / rate_hz)
    knots_hz = np.geomspace(80, rate_hz / 2, 9)
    gain_db = np.interp(
        np.log(np.maximum(frequency_hz, 20)), np.log(knots_hz), rng.normal(0, 4, len(knots_hz))
    )
    low_cut_hz = rng.uniform(20, 300)
    gain_db -= 10 * np.log10(1 + (low_cut_hz / np.maximum(frequency_hz, 1)) ** 4)
    if rng.random() < 0.2:
        gain_db -= 10 * np.log10(1 + (frequency_hz / rng.uniform(3_500, 8_000)) ** 8)
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(sound)).astype(np.float32)


def noise(rng: Generator, samples: int) -> Sound:
    """Hiss between white and brown, RMS 1."""
    spectrum = np.fft.rfft(rng.normal(0, 1, samples))
    spectrum *= np.arange(1, len(spectrum) + 1) ** -rng.uniform(0, 1)
    sound = np.fft.irfft(spectrum, samples)
    return (sound / max(float(np.sqrt((sound**2).mean())), 1e-9)).astype(np.float32)


def levelled(rng: Generator, sound: Sound, rate_hz: int) -> Sound:
    """As a microphone with automatic gain gives it: what was loud pulls down what follows."""
    step = rate_hz // 100
    count = -(-len(sound) // step)
    padded = np.pad(sound, (0, count * step - len(sound))).reshape(count, step)
    loud = np.sqrt((padded**2).mean(axis=1)) + 1e-9
    rise, fall = rng.uniform(0.2, 0.9), rng.uniform(0.005, 0.1)
    envelope = np.empty(count)
    level = float(loud.mean())
    for index, now in enumerate(loud.tolist()):
        level += (rise if now > level else fall) * (now - level)
        envelope[index] = level
    gain = (envelope / envelope.mean()) ** -rng.uniform(0.2, 0.8)
    places = (np.arange(count) + 0.5) * step
    return np.asarray(sound * np.interp(np.arange(len(sound)), places, gain), dtype=np.float32)


def digitised(rng: Generator, sound: Sound) -> NDArray[np.int16]:
    """As a sound card would: any gain, its own hiss, sometimes clipped."""
    peak = max(float(np.abs(sound).max(initial=0.0)), 1e-9)
    # One in ten is driven up to 12 dB into clipping.
    peak_dbfs = rng.uniform(0, 12) if rng.random() < 0.1 else rng.uniform(-45, -1)
    scaled = sound * (10 ** (peak_dbfs / 20) / peak)
    scaled = scaled + rng.normal(0, 10 ** (rng.uniform(-96, -66) / 20), len(sound))
    return to_int16(scaled)


def to_int16(sound: NDArray[np.floating]) -> NDArray[np.int16]:
    """Full scale 1 to full scale 32767, clipped, as every sound card does it."""
    return np.clip(np.round(sound * 32_767), -32_768, 32_767).astype(np.int16)
