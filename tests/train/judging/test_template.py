"""A template finds its own example and not noise."""

import numpy as np
import pytest

from beepwatch.train.judging.template import FRAME_S, MatchEvidence, learn, log_spectrogram, match
from tests.train.conftest import RATE_HZ, beeps


def example() -> np.ndarray:
    """A clean recording of two pulses of 300 ms at 2 kHz."""
    return beeps(2_000, [(0.2, 0.5), (0.9, 1.2)], 1.5).astype(np.float32)


def stream(pitch_hz: float, spans_s: list[tuple[float, float]], seed: int = 0) -> np.ndarray:
    """Pulses in hiss 30 dB below them."""
    noise = np.random.default_rng(seed).normal(0, 0.005, 12 * RATE_HZ)
    return np.asarray(beeps(pitch_hz, spans_s, 12.0) + noise)


def test_its_own_example_is_alike_by_one_wherever_it_lies() -> None:
    template = learn(example(), (0.2, 0.5), RATE_HZ)
    shift = 40 * round(FRAME_S * RATE_HZ)
    heard = match(template, log_spectrogram(np.pad(example(), (shift, 8_000)), RATE_HZ))
    assert heard.correlation.max() == pytest.approx(1.0, abs=0.1)
    (first,) = heard.at(0.8)
    assert first.onset_s == pytest.approx(0.2 + 40 * FRAME_S, abs=FRAME_S)
    assert len(first.pulses) == 2


def test_its_sound_is_found_in_noise_and_at_any_level() -> None:
    template = learn(example(), (0.2, 0.5), RATE_HZ)
    spans_s = [(3.0, 3.3), (3.8, 4.1), (9.0, 9.3)]
    for gain in (1.0, 0.1):
        spectrogram = log_spectrogram(gain * stream(2_000, spans_s), RATE_HZ)
        first, second = match(template, spectrogram).at(0.5)
        assert first.onset_s == pytest.approx(3.0, abs=0.05)
        assert len(first.pulses) == 2
        assert second.onset_s == pytest.approx(9.0, abs=0.05)


def test_noise_and_other_tones_are_not_alike() -> None:
    template = learn(example(), (0.2, 0.5), RATE_HZ)
    noise = log_spectrogram(stream(2_000, []), RATE_HZ)
    assert match(template, noise).correlation.max() < 0.4
    other = log_spectrogram(stream(3_000, [(3.0, 3.3)]), RATE_HZ)
    assert match(template, other).at(0.5) == []


def test_a_stream_shorter_than_the_example_holds_none() -> None:
    template = learn(example(), (0.2, 0.5), RATE_HZ)
    assert match(template, log_spectrogram(np.zeros(3_000), RATE_HZ)).at(0.1) == []


def test_nothing_over_the_threshold_is_no_detection() -> None:
    quiet = MatchEvidence(correlation=np.zeros(100, dtype=np.float32), before_s=0.08, pulse_s=0.3)
    assert quiet.at(0.5) == []
