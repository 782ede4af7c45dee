"""Faults of the input: each told once, cleared once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats
from numpy.typing import NDArray

from beepwatch.capture.health import FaultLedger, InputHealth
from beepwatch.messages import Fault, FaultKind

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZEROS = np.zeros(1_600, dtype=np.float32)
HISS = np.full(1_600, 1e-4, dtype=np.float32)
CLIPPED = np.concatenate([np.ones(32, dtype=np.float32), HISS[32:]])  # 2 %


class Input:
    """Feeds blocks of 0.1 s and notes what is told, with the second of it."""

    def __init__(self) -> None:
        self.health = InputHealth(FaultLedger("microphone"), "microphone")
        self.now_s = 0.0
        self.told: list[tuple[int, FaultKind, bool]] = []
        self.faults: list[Fault] = []

    def hear(self, mono: NDArray[np.float32], seconds: float, overflows: int = 0) -> None:
        for _ in range(round(seconds * 10)):
            utc = NOON + timedelta(seconds=self.now_s)
            for fault in self.health.step(mono, overflows, self.now_s, utc):
                self.told.append((round(self.now_s), fault.kind, fault.cleared))
                self.faults.append(fault)
            self.now_s += 0.1


def test_half_a_minute_of_zeros_is_told_once_and_cleared_after_two_seconds_of_sound() -> None:
    given = Input()
    given.hear(ZEROS, 90)
    given.hear(HISS, 10)

    assert given.told == [(30, FaultKind.ALL_ZERO, False), (92, FaultKind.ALL_ZERO, True)]
    assert "muted" in given.faults[0].text


def test_zeros_between_sounds_are_no_fault() -> None:
    given = Input()
    for _ in range(10):
        given.hear(ZEROS, 25)
        given.hear(HISS, 0.2)

    assert given.told == []


def test_a_crackle_does_not_clear_the_zeros() -> None:
    given = Input()
    given.hear(ZEROS, 31)
    for _ in range(20):
        given.hear(HISS, 0.2)
        given.hear(ZEROS, 2)

    assert given.told == [(30, FaultKind.ALL_ZERO, False)]


def test_clipping_is_told_once_and_cleared_when_it_has_left_the_last_ten_seconds() -> None:
    given = Input()
    given.hear(HISS, 10)
    given.hear(CLIPPED, 20)
    given.hear(HISS, 20)

    begun, over = given.told
    assert begun == (15, FaultKind.CLIPPING, False)  # 2 % for half of ten seconds is 1 %
    assert over[1:] == (FaultKind.CLIPPING, True)
    assert 38 <= over[0] <= 41


def test_a_share_between_the_thresholds_changes_nothing() -> None:
    given = Input()
    half = np.concatenate([np.ones(8, dtype=np.float32), HISS[8:]])  # 0.5 %
    given.hear(half, 60)
    given.hear(CLIPPED, 20)
    given.hear(half, 60)

    assert [cleared for _, _, cleared in given.told] == [False]


def test_overflows_are_told_once_with_their_number_and_cleared_after_a_minute_without() -> None:
    given = Input()
    given.hear(HISS, 1, overflows=1)
    given.hear(HISS, 30)
    given.hear(HISS, 0.1, overflows=5)
    given.hear(HISS, 70)

    assert given.told == [(0, FaultKind.OVERFLOW, False), (91, FaultKind.OVERFLOW, True)]
    assert given.faults[1].count == 15


def test_an_empty_block_says_nothing() -> None:
    given = Input()

    given.hear(ZEROS[:0], 60)

    assert given.told == []


def test_a_fault_that_is_not_open_cannot_end() -> None:
    assert FaultLedger("microphone").end(FaultKind.STALLED, now_s=0.0) == []


def test_the_ledger_knows_what_is_open() -> None:
    ledger = FaultLedger("microphone")
    ledger.begin(FaultKind.STALLED, "stalled", NOON)

    assert FaultKind.STALLED in ledger
    assert FaultKind.CLIPPING not in ledger


def told_in_a_day(away_s: float, there_s: float) -> int:
    """Alerts about a device that keeps going away for so long and coming back for so long."""
    ledger = FaultLedger("microphone")
    told = 0
    now_s = 0.0
    while now_s < 86_400:
        told += len(ledger.begin(FaultKind.NO_DEVICE, "gone", NOON))
        now_s += away_s
        told += len(ledger.end(FaultKind.NO_DEVICE, now_s=now_s))
        now_s += there_s
        told += len(ledger.over(now_s))
    return told


@settings(max_examples=50)
@given(away_s=floats(5, 600), there_s=floats(1, 1_790))
def test_a_device_that_comes_and_goes_all_day_is_no_storm_of_alerts(
    away_s: float, there_s: float
) -> None:
    """Four ends in six hours, after which none is told that has not lasted for half an hour."""
    assert told_in_a_day(away_s, there_s) <= 2 * 4 * 4 + 2


def test_a_loose_plug_is_one_long_fault() -> None:
    """Gone, back, gone; each return lasts less than ten seconds, and one in six hours is told."""
    assert told_in_a_day(away_s=3, there_s=9) == 1 + 2 * 4


def test_the_end_of_coming_and_going_is_told_when_it_has_lasted() -> None:
    ledger = FaultLedger("microphone")
    told: list[tuple[float, bool]] = []
    for gone_s in range(0, 60, 6):
        faults = ledger.begin(FaultKind.STALLED, "gone", NOON)
        faults += ledger.end(FaultKind.STALLED, now_s=gone_s + 3.0)
        told += [(gone_s, fault.cleared) for fault in faults]
    for second in range(60, 90):
        told += [(second, fault.cleared) for fault in ledger.over(float(second))]

    assert told == [(0, False), (0, True), (6, False), (67, True)]  # ten seconds after 57


def test_what_an_earlier_life_told_is_not_told_again_but_its_end_is() -> None:
    known = Fault(kind=FaultKind.ALL_ZERO, text="zeros", since=NOON)
    ledger = FaultLedger("microphone", [known])

    assert ledger.begin(FaultKind.ALL_ZERO, "zeros", NOON) == []
    (over,) = ledger.end(FaultKind.ALL_ZERO, now_s=5.0)
    assert (over.cleared, over.count, over.since) == (True, 2, NOON)
    assert over.text == "microphone gives sound again"


def test_zeros_before_an_opening_do_not_count_for_it() -> None:
    given_input = Input()
    given_input.hear(ZEROS, 20)
    given_input.health.begin_anew()
    given_input.hear(ZEROS, 20)
    assert given_input.told == []
    given_input.hear(ZEROS, 11)

    assert given_input.told == [(50, FaultKind.ALL_ZERO, False)]


@pytest.mark.parametrize("level", [-1.0, 1.0])
def test_both_rails_count_as_clipping(level: float) -> None:
    given = Input()
    given.hear(np.full(1_600, level, dtype=np.float32), 1)

    assert given.told == [(0, FaultKind.CLIPPING, False)]
