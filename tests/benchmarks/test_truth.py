"""Pulses found by the beat of what repeats itself."""

import numpy as np
import pytest

from benchmarks.truth import RATE_HZ, level, pulses

PERIOD_S, LENGTH_S, FIRST_S = 0.237, 0.15, 0.4


def ringing_row(count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Pulses at 3 kHz that waver in level and ring on, in noise; the fourth is nearly drowned."""
    chance = np.random.default_rng(1)
    at_s = np.arange(round((FIRST_S + count * PERIOD_S) * RATE_HZ)) / RATE_HZ
    within_s = (at_s - FIRST_S) % PERIOD_S
    number = ((at_s - FIRST_S) // PERIOD_S).astype(int)
    ring = np.exp(-np.maximum(0, within_s - LENGTH_S) / 0.02)
    gain = np.where(number == 3, 0.25, 1.0) * (1 + 0.5 * np.sin(2 * np.pi * 11 * at_s))
    sound = np.where(at_s >= FIRST_S, gain * ring, 0) * np.sin(2 * np.pi * 3_000 * at_s)
    return (sound + chance.normal(0, 0.02, len(at_s))).astype(np.float32)


def test_all_pulses_are_found_where_a_room_rings_and_a_level_wavers() -> None:
    found = pulses(level(ringing_row(12), 3_000), 0.24)

    assert [onset_s for onset_s, _ in found] == [
        pytest.approx(FIRST_S + number * PERIOD_S, abs=0.02) for number in range(12)
    ]
    assert [offset_s - onset_s for onset_s, offset_s in found] == [
        pytest.approx(LENGTH_S, abs=0.04)
    ] * 12


def test_what_is_cut_off_counts_if_a_pulse_is_there() -> None:
    """It begins in the middle of one, and ends 30 ms after the beginning of another."""
    first = round((FIRST_S + LENGTH_S / 2) * RATE_HZ)
    last = round((FIRST_S + 10 * PERIOD_S + 0.03) * RATE_HZ)

    found = pulses(level(ringing_row(12)[first:last], 3_000), 0.24)

    assert len(found) == 10
    assert found[0][0] == 0.0
