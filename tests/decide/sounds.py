"""Rows of tones in noise and in rooms, and the episodes that a network tells of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from beepwatch.decide.episodes import Episode
from beepwatch.decide.pulses import Pulse

RATE_HZ = 16_000
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PITCH_HZ = 3_100.0
SECONDS = 12.0

Span = tuple[float, float]
Sound = NDArray[np.float64]


def row(count: int, length_s: float, pause_s: float, first_s: float = 3.0) -> list[Span]:
    """So many equal pulses."""
    period_s = length_s + pause_s
    return [(first_s + i * period_s, first_s + i * period_s + length_s) for i in range(count)]


def tones(spans: Sequence[Span], pitches_hz: Sequence[float] = (PITCH_HZ,)) -> Sound:
    """Sines of amplitude 1 with edges of 2 ms, the pitches in turn."""
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    sound = np.zeros(len(time_s))
    for number, (onset_s, offset_s) in enumerate(spans):
        pitch_hz = pitches_hz[number % len(pitches_hz)]
        edge = np.minimum(time_s - onset_s, offset_s - time_s) / 0.002
        sound += np.clip(edge, 0, 1) * np.sin(2 * np.pi * pitch_hz * time_s)
    return sound


def in_noise(sound: Sound, snr_db: float, seed: int = 1) -> NDArray[np.int16]:
    """White noise beneath; the ratio is that within a third of an octave around the pitch."""
    band_share = PITCH_HZ * (2 ** (1 / 6) - 2 ** (-1 / 6)) / (RATE_HZ / 2)
    noise = np.random.default_rng(seed).normal(0, 1, len(sound))
    noise *= np.sqrt(0.5 / band_share) * 10 ** (-snr_db / 20)
    mixed = sound + noise
    return np.asarray(12_000 * mixed / np.abs(mixed).max(), dtype=np.int16)


def in_a_room(sound: Sound, rt60_s: float) -> Sound:
    """Direct sound, and a tail of as much energy."""
    time_s = np.arange(round(rt60_s * RATE_HZ)) / RATE_HZ
    tail = np.random.default_rng(5).normal(0, 1, len(time_s)) * 10 ** (-3 * time_s / rt60_s)
    tail /= np.sqrt((tail**2).sum())
    tail[0] = 1
    wet = np.fft.irfft(
        np.fft.rfft(sound, 2 * len(sound)) * np.fft.rfft(tail, 2 * len(sound)), 2 * len(sound)
    )
    return np.asarray(wet[: len(sound)])


def told(
    spans: Sequence[Span], pitches_hz: Sequence[float] = (PITCH_HZ,), score: float = 0.95
) -> Episode:
    """An episode as a network that was sure of these pulses would tell it, pitches in turn."""
    return Episode(
        label="beep",
        pulses=tuple(
            Pulse(
                onset=START + timedelta(seconds=onset_s),
                onset_s=onset_s,
                duration_s=offset_s - onset_s,
                peak_score=score,
                pitches_hz=(pitches_hz[number % len(pitches_hz)],) if pitches_hz else (),
            )
            for number, (onset_s, offset_s) in enumerate(spans)
        ),
        closed=True,
    )
