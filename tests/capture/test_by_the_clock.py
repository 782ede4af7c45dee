"""When a live source is looked for again, when its windows come, and when it heard them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.capture.listening import Heard, Listener
from beepwatch.clock import ManualClock
from beepwatch.errors import SourceError
from beepwatch.messages import Window
from beepwatch.sections import Capture
from tests.capture.sounds import RATE_HZ, Script, block, noise
from tests.capture.waits import Waits

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = np.rint(noise(1, 30, seed=1)).astype(np.int16)
BLOCK_S = 0.1
NO_DEVICE = SourceError("no device")
UNPLUGGED = SourceError("unplugged")

Opening = Sequence[Block | SourceError | EndOfSound | None]
LOST: Opening = [block(SECOND), UNPLUGGED]
ENDS: Opening = [block(SECOND), EndOfSound()]


class Looked(Script):
    """Each opening is noted; one second of sound takes as long as it is told to."""

    def __init__(self, *openings: Opening, second_s: float) -> None:
        super().__init__(*openings)
        self.clock = ManualClock(NOON)
        self.at_s: list[float] = []
        self._second_s = second_s

    def open(self) -> Script:
        self.at_s.append(self.clock.mono_s())
        return super().open()

    def read(self, within_s: float) -> Block | EndOfSound | None:
        read = super().read(within_s)
        self.clock.advance(self._second_s)
        return read


class Card(Script):
    """A sound card, as of noon: a block every tenth of a second, those together that have come."""

    def __init__(self, length_s: float) -> None:
        super().__init__([None])
        self.clock = ManualClock(NOON, 100.0)
        self._blocks = round(length_s / BLOCK_S)
        self._given = 0

    def read(self, within_s: float) -> Block | EndOfSound | None:
        if self._given == self._blocks:
            return EndOfSound()
        next_s = 100.0 + (self._given + 1) * BLOCK_S
        if next_s > self.clock.mono_s():
            self.clock.advance(min(within_s, next_s - self.clock.mono_s()) + 1e-9)
        come = min(self._blocks, int((self.clock.mono_s() - 100.0) / BLOCK_S)) - self._given
        self._given += come
        if not come:
            return None
        return Block(
            data=np.resize(SECOND, round(come * BLOCK_S * RATE_HZ)).tobytes(),
            sample_format="int16",
            channels=1,
            rate_hz=RATE_HZ,
            captured_mono_s=100.0 + self._given * BLOCK_S,
            is_latest=True,
        )


def listened(source: Looked | Card) -> list[tuple[float, Heard | None]]:
    """What comes, and when."""
    listener = Listener(
        Capture(gate=False),
        rate_hz=RATE_HZ,
        clock=source.clock,
        stop=Waits(source.clock),
        source=source,
    )
    return [(source.clock.mono_s(), item) for item in listener]


def looked_for_after_s(source: Looked) -> list[float]:
    """The times between one opening and the next."""
    listened(source)
    return [float(time_s) for time_s in np.diff(source.at_s)]


def test_what_is_away_is_looked_for_less_and_less_often_down_to_every_fifteen_seconds() -> None:
    source = Looked(*[[NO_DEVICE]] * 6, ENDS, second_s=0)
    assert looked_for_after_s(source) == pytest.approx([1, 2, 4, 8, 15, 15])


def test_what_was_there_for_a_while_is_looked_for_at_once_when_it_is_lost() -> None:
    """Of each second that a microphone is away what sounds is lost."""
    source = Looked(*[[NO_DEVICE]] * 5, LOST, ENDS, second_s=20)
    assert looked_for_after_s(source)[-1] == pytest.approx(20 + 1)


def test_what_is_lost_again_and_again_is_not_opened_without_a_pause() -> None:
    source = Looked(*[LOST] * 3, ENDS, second_s=0)
    assert looked_for_after_s(source) == pytest.approx([1, 2, 4])


def test_signs_of_life_come_while_it_is_away() -> None:
    """A recorder that gives none for a quarter of a minute is taken for hung, and killed."""
    heard = listened(Looked(*[[NO_DEVICE]] * 6, ENDS, second_s=0))
    assert np.diff([at_s for at_s, _ in heard]).max() <= 0.61


def test_a_window_comes_as_soon_as_its_last_block_has_and_something_all_the_time() -> None:
    """Whoever waits for the phone to buzz, and whoever waits for a sign of life."""
    heard = listened(Card(12.0))
    windows = [(at_s, item) for at_s, item in heard if isinstance(item, Window)]
    assert len(windows) == 10
    late_s = [at_s - (window.started_mono_s + 3.0) for at_s, window in windows]
    assert max(late_s) <= BLOCK_S
    assert np.diff([at_s for at_s, _ in heard]).max() <= 0.7 + BLOCK_S


def test_both_times_of_a_window_are_those_at_which_its_first_sample_was_heard() -> None:
    windows = [item for _, item in listened(Card(5.0)) if isinstance(item, Window)]
    assert [window.started_mono_s for window in windows] == pytest.approx([100, 101, 102])
    for second, window in enumerate(windows):
        assert abs(window.started_at - NOON - timedelta(seconds=second)) < timedelta(seconds=0.001)
