"""A window in which a beep is over comes early as well, and nothing else is different."""

import threading
from datetime import UTC, datetime

import numpy as np
import pytest

from beepwatch.capture.blocks import EndOfSound
from beepwatch.capture.listening import Listener
from beepwatch.clock import ManualClock
from beepwatch.messages import Quiet, Window
from beepwatch.sections import Capture
from tests.capture.sounds import RATE_HZ, Script, block, noise, sine

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def spans_of(
    pcm: np.ndarray[tuple[int], np.dtype[np.int16]], *, early: bool, live: bool = True
) -> tuple[list[Window | Quiet], Listener]:
    """What comes of it in blocks of a tenth of a second."""
    tenths = [block(part) for part in np.split(pcm, range(1_600, pcm.size, 1_600))]
    source = Script([*tenths, EndOfSound()])
    source.live = live
    listener = Listener(
        Capture(),
        rate_hz=RATE_HZ,
        clock=ManualClock(NOON),
        stop=threading.Event(),
        source=source,
        early=early,
    )
    return [one for one in listener if isinstance(one, Window | Quiet)], listener


def early_ones(spans: list[Window | Quiet]) -> list[Window | Quiet]:
    """Those that are shorter than a window."""
    return [one for one in spans if one.samples < 3 * RATE_HZ]


def ends_s(spans: list[Window | Quiet]) -> list[float]:
    """Of each, from the first sample of the stream."""
    return [(one.first_sample + one.samples) / RATE_HZ for one in spans]


@pytest.fixture(scope="module")
def two_beeps() -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """12 s of a quiet room with beeps of 0.3 s from 5.1 s and from 8.7 s on."""
    sound = noise(12, 30, seed=2)
    for at_s in (5.1, 8.7):
        start = round(at_s * RATE_HZ)
        sound[start : start + 4_800] += sine(2_000, 0.3, peak=0.02)
    return np.rint(sound).astype(np.int16)


def test_what_has_come_of_a_window_is_passed_on_as_soon_as_a_beep_in_it_can_be_told(
    two_beeps: np.ndarray[tuple[int], np.dtype[np.int16]],
) -> None:
    """0.4 and 0.66 s after their ends at 5.4 and 9.0 s, and half way while that may be a pause."""
    spans, listener = spans_of(two_beeps, early=True)

    early = early_ones(spans)
    assert ends_s(early) == [pytest.approx(at_s, abs=0.11) for at_s in (5.5, 5.9, 6.1, 9.5, 9.7)]
    assert listener.counts.early_windows == 5
    for one in early:
        whole = next(other for other in spans[spans.index(one) :] if other not in early)
        assert isinstance(one, Window)
        assert isinstance(whole, Window)
        assert (one.sequence, one.first_sample) == (whole.sequence, whole.first_sample)
        assert whole.pcm.startswith(one.pcm)
        assert one.started_mono_s == whole.started_mono_s


def test_a_fast_row_is_looked_at_half_way_while_it_is_new_and_when_it_is_over() -> None:
    """Beeps of 0.1 s with pauses of 0.1 s from 5.1 to 7.4 s."""
    sound = noise(12, 30, seed=3)
    for number in range(12):
        start = round((5.1 + 0.2 * number) * RATE_HZ)
        sound[start : start + 1_600] += sine(2_000, 0.1, peak=0.02)

    spans, _ = spans_of(np.rint(sound).astype(np.int16), early=True)

    assert ends_s(early_ones(spans)) == [pytest.approx(at_s, abs=0.11) for at_s in (5.5, 7.8, 8.1)]


def test_what_comes_early_is_all_that_is_different(
    two_beeps: np.ndarray[tuple[int], np.dtype[np.int16]],
) -> None:
    def values(spans: list[Window | Quiet]) -> list[tuple[object, ...]]:
        return [
            (one.sequence, one.first_sample, one.samples, isinstance(one, Quiet), one.started_at)
            for one in spans
            if one.samples == 3 * RATE_HZ
        ]

    with_early, _ = spans_of(two_beeps, early=True)
    without, _ = spans_of(two_beeps, early=False)

    assert len(without) == len(with_early) - 5 == len(values(without))
    assert values(with_early) == values(without)


def test_nobody_is_in_a_hurry_with_a_recording(
    two_beeps: np.ndarray[tuple[int], np.dtype[np.int16]],
) -> None:
    _, listener = spans_of(two_beeps, early=True, live=False)

    assert listener.counts.early_windows == 0
