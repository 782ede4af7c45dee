"""A listener that makes room for another: all that has come was heard, and nothing is told."""

import threading

import numpy as np
import pytest

from beepwatch.capture.listening import Heard, Listener
from beepwatch.clock import SystemClock
from beepwatch.errors import SourceError
from beepwatch.messages import Ended, Quiet, Window
from beepwatch.sections import Capture
from tests.capture.sounds import RATE_HZ, Script, block, noise

SOUND = np.rint(noise(7.3, 300, seed=4)).astype(np.int16)
BLOCKS = [block(piece) for piece in np.array_split(SOUND, 73)]


def heard_until(source: Script, sequence: int) -> tuple[list[Heard | None], Listener]:
    """Everything that comes if it is told to hand over at this window, or at once if at -1."""
    listener = Listener(
        Capture(gate=False),
        rate_hz=RATE_HZ,
        clock=SystemClock(),
        stop=threading.Event(),
        source=source,
    )
    if sequence < 0:
        listener.hand_over()
    heard = []
    for one in listener:
        heard.append(one)
        if isinstance(one, Window | Quiet) and one.sequence == sequence:
            listener.hand_over()
    return heard, listener


def test_what_has_come_and_no_window_held_is_one_more_window_without_zeros() -> None:
    """Four whole windows in 7.3 s, told at the third; the rest, down to the last sample."""
    source = Script([*BLOCKS, None, *BLOCKS])

    heard, _ = heard_until(source, 2)

    windows = [one for one in heard if isinstance(one, Window)]
    assert [one.first_sample for one in windows] == [n * RATE_HZ for n in range(6)]
    assert [one.samples for one in windows[:5]] == [3 * RATE_HZ] * 5
    assert windows[-1].pcm == SOUND[5 * RATE_HZ :].astype("<i2").tobytes()
    assert not [one for one in heard if isinstance(one, Ended)]
    assert source.closed == 1


@pytest.mark.parametrize("sequence", [-1, 2])
def test_a_source_that_is_lost_meanwhile_is_not_opened_again(sequence: int) -> None:
    source = Script([*BLOCKS, SourceError("it is gone")], BLOCKS)

    heard_until(source, sequence)

    assert source.opened == (sequence >= 0)
    assert source.closed == source.opened


def test_a_beginning_too_short_for_a_window_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second after the opening there is nothing that could be judged."""
    source = Script([*BLOCKS[:5], None])
    listener = Listener(
        Capture(gate=False),
        rate_hz=RATE_HZ,
        clock=SystemClock(),
        stop=threading.Event(),
        source=source,
    )
    monkeypatch.setattr(source, "read", _handing_over_at(source, listener, 3))
    assert not [one for one in listener if isinstance(one, Window | Quiet)]
    assert source.closed == 1


def _handing_over_at(source: Script, listener: Listener, number: int) -> object:
    read, count = source.read, iter(range(100))

    def reading(within_s: float) -> object:
        if next(count) == number:
            listener.hand_over()
        return read(within_s)

    return reading
