"""What lies between a source and a recording: room, other sounds, microphone, gain, clipping.

And what no room does, but makes more of few recordings: another pace, another pitch.
"""

import math

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray

Sound = NDArray[np.float32]

# Below this a recording's band counts as silent; a third of an octave of a good 16-bit input.
FAINTEST_RMS = 10 ** (-80 / 20)

_VOCODER_S = 0.05  # a window of about so much: two tones 40 Hz apart stay two
_OVERLAP = 4  # windows over every sample
_LONGEST_ROOM_S = 0.8  # of a response; what comes later is faint
_BAND_OCTAVES = 1 / 3  # in which a tone's level is measured


def ready_room(response: Sound, rate_hz: int) -> Sound:
    """A room response that begins with its direct sound and has unit energy in its first 5 ms."""
    start = max(int(np.abs(response).argmax()) - rate_hz // 1_000, 0)
    cut = response[start : start + round(_LONGEST_ROOM_S * rate_hz)].astype(np.float32)
    fade = min(len(cut), rate_hz // 50)
    cut[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    direct = math.sqrt(float((cut[: rate_hz // 200] ** 2).sum()))
    return np.asarray(cut / max(direct, 1e-9), dtype=np.float32)


def drawn_room(rng: Generator, rt60_s: float, rate_hz: int) -> Sound:
    """A room response that never was: direct sound, a few echoes, noise that decays.

    It falls by 60 dB in `rt60_s`. The energy of what follows the direct sound is drawn from 12 dB
    below it to 6 dB above.
    """
    samples = round(rt60_s * rate_hz)
    time_s = np.arange(samples) / rate_hz
    tail = rng.normal(0, 1, samples) * 10 ** (-3 * time_s / rt60_s)
    tail[: round(rng.uniform(0.001, 0.006) * rate_hz)] = 0
    for _ in range(int(rng.integers(2, 7))):
        echo_s = rng.uniform(0.001, 0.03)
        tail[round(echo_s * rate_hz)] += rng.normal(0, 6) * 10 ** (-3 * echo_s / rt60_s)
    tail *= 10 ** (rng.uniform(-12, 6) / 20) / max(math.sqrt(float((tail**2).sum())), 1e-9)
    tail[0] = 1.0
    return tail.astype(np.float32)


def in_room(sound: Sound, room: Sound) -> Sound:
    """The sound as the room gives it back, same length, no delay."""
    from scipy.signal import fftconvolve  # here: what else is here is used without scipy

    return np.asarray(fftconvolve(sound, room)[: len(sound)], dtype=np.float32)


def band_rms(sound: Sound, pitch_hz: float, rate_hz: int) -> float:
    """RMS of what lies within a third of an octave around `pitch_hz`; by Parseval's theorem."""
    if len(sound) == 0:
        return 0.0
    spectrum = np.fft.rfft(sound)
    low = pitch_hz * 2 ** (-_BAND_OCTAVES / 2) * len(sound) / rate_hz
    high = pitch_hz * 2 ** (_BAND_OCTAVES / 2) * len(sound) / rate_hz
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


def rms(sound: Sound) -> float:
    """Root of the mean square; 0 of nothing."""
    return math.sqrt(float(np.square(sound, dtype=np.float64).mean())) if len(sound) else 0.0


def over(sound: Sound, other: Sound, snr_db: float) -> Sound:
    """The sound with another of the same length, scaled to lie `snr_db` below it; by their RMS.

    Where one of them is silent there is no such scale: then the sound stays alone.
    """
    signal, noise_rms = rms(sound), rms(other)
    if signal == 0 or noise_rms == 0:
        return sound
    gain = np.float32(signal / noise_rms * 10 ** (-snr_db / 20))
    return np.asarray(sound + gain * other, dtype=np.float32)


def stretched(sound: Sound, factor: float, rate_hz: int) -> Sound:
    """The sound `factor` times as long, every pitch where it was.

    A phase vocoder with identity phase locking (Laroche and Dolson 1999, section 3.2). A peak's
    phase goes on by what it does in the recording from a hop before to there, so no phase has to
    be unwrapped.
    """
    window_samples = 2 ** round(math.log2(_VOCODER_S * rate_hz))
    hop = window_samples // _OVERLAP
    length = max(round(len(sound) * factor), 1)
    frames = length // hop + _OVERLAP
    window = np.hanning(window_samples + 1)[:-1]
    padded = np.pad(sound, (window_samples, window_samples + hop))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window_samples)
    # Where each window of the result begins in the padded sound.
    starts = np.rint(np.arange(frames) * hop / factor).astype(np.int64) + window_samples // 2
    starts = np.minimum(starts, len(windows) - 1)
    result = np.zeros((frames + _OVERLAP) * hop, dtype=np.float32)
    weight = np.zeros(len(result), dtype=np.float32)
    phase = np.angle(np.fft.rfft(windows[starts[0] - hop] * window))
    for number, start in enumerate(starts.tolist()):
        spectrum = np.fft.rfft(windows[start] * window)
        own = np.angle(spectrum)
        going_on = phase + own - np.angle(np.fft.rfft(windows[start - hop] * window))
        peak = _nearest_peaks(np.abs(spectrum))
        phase = own + np.remainder(going_on[peak] - own[peak], 2 * np.pi)
        piece = np.fft.irfft(np.abs(spectrum) * np.exp(1j * phase), window_samples)
        result[number * hop : number * hop + window_samples] += piece * window
        weight[number * hop : number * hop + window_samples] += window**2
    result /= np.maximum(weight, 0.1, out=weight)
    return result[window_samples // 2 :][:length]


def _nearest_peaks(magnitude: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each bin the bin of the peak that it belongs to."""
    rising = magnitude[1:] > magnitude[:-1]
    peaks = np.flatnonzero(np.append(True, rising) & np.append(~rising, True))
    between = (peaks[1:] + peaks[:-1]) / 2
    return peaks[np.searchsorted(between, np.arange(len(magnitude)))]


def pitched(sound: Sound, semitones: float, rate_hz: int) -> Sound:
    """The sound with every pitch so many semitones higher, as long as it was."""
    ratio = 2 ** (semitones / 12)
    longer = stretched(sound, ratio, rate_hz)
    same = np.asarray(soxr.resample(longer, ratio, 1.0), dtype=np.float32)[: len(sound)]
    return np.pad(same, (0, len(sound) - len(same)))


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
