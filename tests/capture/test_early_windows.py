"""A window in which something begins comes early as well, and nothing else is different."""

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


@pytest.fixture(scope="module")
def two_beeps() -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """12 s of a quiet room with beeps of 0.3 s from 5.1 s and from 8.7 s on."""
    sound = noise(12, 30, seed=2)
    for at_s in (5.1, 8.7):
        start = round(at_s * RATE_HZ)
        sound[start : start + 4_800] += sine(2_000, 0.3, peak=0.02)
    return np.rint(sound).astype(np.int16)


def test_a_window_in_which_something_begins_comes_half_a_hop_early_as_well(
    two_beeps: np.ndarray[tuple[int], np.dtype[np.int16]],
) -> None:
    """Each beep half a second before the window in which it would come whole, and what follows it,
    without which nothing is told, half a second before the window after that. The beginning of
    8.7 s comes with a whole window, since half a second before it there was none.
    """
    spans, listener = spans_of(two_beeps, early=True)

    early = [one for one in spans if one.samples < 3 * RATE_HZ]
    assert [(one.first_sample + one.samples) / RATE_HZ for one in early] == [
        pytest.approx(at_s, abs=0.11) for at_s in (5.5, 6.5, 9.5)
    ]
    assert listener.counts.early_windows == 3
    for one in early:
        whole = spans[spans.index(one) + 1]
        assert isinstance(one, Window)
        assert isinstance(whole, Window)
        assert (one.sequence, one.first_sample) == (whole.sequence, whole.first_sample)
        assert whole.pcm.startswith(one.pcm)
        assert one.started_mono_s == whole.started_mono_s


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

    assert len(without) == len(with_early) - 3 == len(values(without))
    assert values(with_early) == values(without)


def test_nobody_is_in_a_hurry_with_a_recording(
    two_beeps: np.ndarray[tuple[int], np.dtype[np.int16]],
) -> None:
    _, listener = spans_of(two_beeps, early=True, live=False)

    assert listener.counts.early_windows == 0
