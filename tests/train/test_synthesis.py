"""Synthesised sound is what its truth says it is."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from beepwatch.train.synthesis import (
    Timbre,
    at_peak,
    beep,
    pulse_sound,
)

RATE_HZ = 16_000
PURE = Timbre(
    harmonics=(1.0,), attack_s=0.002, release_s=0.002, decay_s=np.inf, flutter_hz=0.0, bend=0.0
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_beep_sounds_within_its_pulses_and_nowhere_else(seed: int) -> None:
    signal = beep(np.random.default_rng(seed), 4.0, RATE_HZ)
    time_s = np.arange(len(signal.sound)) / RATE_HZ
    inside = np.zeros(len(signal.sound), dtype=bool)
    for pulse in signal.pulses:
        inside |= (time_s >= pulse.onset_s - 1e-4) & (time_s < pulse.offset_s + 1e-4)
    assert signal.pulses
    assert not signal.sound[~inside].any()
    for pulse in signal.pulses:
        span = signal.sound[round(pulse.onset_s * RATE_HZ) : round(pulse.offset_s * RATE_HZ)]
        assert np.abs(span).max() > 1e-4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_pulses_are_as_long_and_as_high_as_appliances_make_them(seed: int) -> None:
    signal = beep(np.random.default_rng(seed), 4.0, RATE_HZ)
    for pulse in signal.pulses[:-1]:
        assert 0.059 <= pulse.offset_s - pulse.onset_s <= 3.0
    for pulse in signal.pulses:
        assert 390 <= pulse.pitch_hz <= 6_000
    for before, after in zip(signal.pulses, signal.pulses[1:], strict=False):
        assert after.onset_s >= before.offset_s - 1e-6


def test_a_pulse_has_its_pitch_and_its_length() -> None:
    sound = pulse_sound(np.random.default_rng(0), 1_000, 0.5, PURE, RATE_HZ)
    assert len(sound) == 8_000
    spectrum = np.abs(np.fft.rfft(sound))
    assert np.argmax(spectrum) * 2 == 1_000  # 8,000 samples: bins of 2 Hz


def test_no_harmonic_is_folded_back() -> None:
    timbre = Timbre(
        harmonics=(1.0,) * 12, attack_s=0.01, release_s=0.01, decay_s=np.inf, flutter_hz=0.0,
        bend=0.0,
    )  # fmt: skip
    sound = pulse_sound(np.random.default_rng(0), 3_100, 0.5, timbre, RATE_HZ)
    spectrum = np.abs(np.fft.rfft(sound))
    strong_hz = np.flatnonzero(spectrum > 0.2 * spectrum.max()) * 2
    distance_hz = np.minimum(np.abs(strong_hz - 3_100), np.abs(strong_hz - 6_200))
    assert distance_hz.max() <= 10


def test_the_same_seed_gives_the_same_sound() -> None:
    first, again = (beep(np.random.default_rng(9), 4.0, RATE_HZ) for _ in range(2))
    assert first.pulses == again.pulses
    assert np.array_equal(first.sound, again.sound)
    assert not np.array_equal(first.sound, beep(np.random.default_rng(8), 4.0, RATE_HZ).sound)


def test_silence_stays_silent() -> None:
    assert not at_peak(np.zeros(10, dtype=np.float32)).any()
