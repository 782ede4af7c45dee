"""A microphone's sound is worked on when there is something to do, and all of it in its order."""

import threading
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.capture.gathering import Gathering, SignsOfLife
from beepwatch.capture.listening import Heard, Listener
from beepwatch.clock import ManualClock, SystemClock
from beepwatch.errors import SourceError
from beepwatch.messages import Fault, Quiet, Window
from beepwatch.sections import Capture
from tests.capture.sounds import RATE_HZ, Script, noise
from tests.capture.waits import Waits

PIECE = 2_400  # 0.15 s
PIECE_S = PIECE / RATE_HZ
LENGTH_S = 12
PIECES = LENGTH_S * RATE_HZ // PIECE
SOUND = np.rint(noise(LENGTH_S, 30, seed=5)).astype(np.int16)


class Microphone(Script):
    """Gives `SOUND` by the clock in pieces, each some time after its end; all that has come."""

    def __init__(self, *, late_s: float, lost_before: int = 0, lost_after: int = PIECES) -> None:
        """Two pieces are missing before the one of that number; after another it is unplugged."""
        super().__init__([None])
        self.clock = ManualClock(datetime(2026, 1, 1, 12, tzinfo=UTC))
        self.reads = 0
        self._late_s = late_s
        self._lost_before = lost_before
        self._lost_after = lost_after
        self._given = 0

    def read(self, within_s: float) -> Block | EndOfSound | None:
        self.reads += 1
        if self._given == self._lost_after:
            if self._given < PIECES:
                raise SourceError("unplugged")
            return EndOfSound()
        self.clock.advance(max(0.0, min(within_s, self._comes_s() - self.clock.mono_s())))
        first = self._given
        while self._comes_s() <= self.clock.mono_s() and self._given < self._lost_after:
            if self._given == self._lost_before > first:
                break
            self._given += 1
        if self._given == first:
            return None
        return Block(
            data=SOUND[first * PIECE : self._given * PIECE].tobytes(),
            sample_format="int16",
            channels=1,
            rate_hz=RATE_HZ,
            lost_frames=2 * PIECE if first and first == self._lost_before else 0,
            captured_mono_s=(self._given + self._missing(self._given)) * PIECE_S,
            is_latest=self._comes_s() > self.clock.mono_s(),
            piece_s=PIECE_S,
        )

    def _comes_s(self) -> float:
        """When the next piece is there."""
        number = self._given + 1
        return (number + self._missing(number)) * PIECE_S + self._late_s

    def _missing(self, pieces: int) -> int:
        return 2 if 0 < self._lost_before < pieces else 0


def heard_from(source: Microphone) -> list[Heard | None]:
    """All that comes until it is lost or at its end."""
    listener = Listener(
        Capture(),
        rate_hz=RATE_HZ,
        clock=source.clock,
        stop=(stop := Waits(source.clock)),
        source=source,
        early=True,
    )
    heard: list[Heard | None] = []
    for item in listener:
        heard.append(item)
        if isinstance(item, Fault):
            stop.set()
    return heard


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The length of each stretch of sound that was worked on, in seconds."""
    lengths_s: list[float] = []
    mix = Block.mono

    def mixed(block: Block) -> object:
        lengths_s.append(block.frames / block.rate_hz)
        return mix(block)

    monkeypatch.setattr(Block, "mono", mixed)
    return lengths_s


@pytest.mark.parametrize("late_s", [0.0, 0.02, 0.1, 0.2])
def test_sound_is_worked_on_for_each_window_and_half_way_to_the_next_only(
    rounds: list[float], late_s: float
) -> None:
    """However late it comes. Before the first window are signs of life only."""
    heard = heard_from(Microphone(late_s=late_s))

    assert len([item for item in heard if isinstance(item, Window | Quiet)]) == LENGTH_S - 2
    assert sum(rounds) == pytest.approx(LENGTH_S)
    assert len(rounds) <= 2 * LENGTH_S + 1


def test_who_is_punctual_is_asked_once_each_time() -> None:
    source = Microphone(late_s=0.0)
    heard_from(source)
    assert source.reads <= 2 * LENGTH_S + 4


@pytest.mark.parametrize("lost_before", [27, 28, 29, 30, 31])
def test_what_is_missing_stays_where_it_is(lost_before: int) -> None:
    """Two pieces of nothing, wherever they fall between two looks."""
    heard = heard_from(Microphone(late_s=0.02, lost_before=lost_before))

    spans = [item for item in heard if isinstance(item, Window | Quiet)]
    assert sum(span.lost_samples for span in spans) == 2 * PIECE
    (first,) = [span for span in spans if span.lost_samples]
    assert first.first_sample + 3 * RATE_HZ >= lost_before * PIECE
    assert first.first_sample + 2 * RATE_HZ < (lost_before + 2) * PIECE


@pytest.mark.parametrize("lost_after", [27, 28, 29, 30, 31])
def test_what_had_come_is_heard_before_the_loss(rounds: list[float], lost_after: int) -> None:
    heard = heard_from(Microphone(late_s=0.02, lost_after=lost_after))

    assert isinstance(heard[-1], Fault)
    assert sum(rounds) == pytest.approx(lost_after * PIECE_S)
    last = [item for item in heard if isinstance(item, Window | Quiet)][-1]
    assert last.first_sample + last.samples >= lost_after * PIECE


@pytest.mark.parametrize("is_latest", [True, False])
def test_a_microphone_is_left_to_gather_while_no_window_can_be_whole(
    is_latest: bool,
) -> None:
    """Whoever asks gets 10 ms of sound, for 1.5 s: a sign of life takes every 0.4 s of it.

    A backlog is worked off at once.
    """
    begun_s = time.monotonic()
    reads = 0

    class Punctual(Script):
        def read(self, within_s: float) -> Block | EndOfSound | None:
            nonlocal reads
            reads += 1
            now_s = time.monotonic()
            if now_s - begun_s > 1.5:
                return EndOfSound()
            return Block(
                data=SOUND[:160].tobytes(),
                sample_format="int16",
                channels=1,
                rate_hz=RATE_HZ,
                captured_mono_s=now_s,
                is_latest=is_latest,
            )

    list(
        Listener(
            Capture(),
            rate_hz=RATE_HZ,
            clock=SystemClock(),
            speed="max",
            stop=threading.Event(),
            source=Punctual([None]),
        )
    )

    assert reads <= 8 if is_latest else reads > 100


def block(*, more: bool) -> Block:
    """A piece at noon, alone or with others behind it."""
    return Block(
        data=SOUND[:PIECE].tobytes(),
        sample_format="int16",
        channels=1,
        rate_hz=RATE_HZ,
        overflows=1,
        captured_mono_s=PIECE_S * (2 if more else 1),
        is_latest=not more,
        piece_s=PIECE_S,
    )


def gathered(source: Microphone, *, missing_s: float, reads: int | None = None) -> list[int]:
    """Pieces of sound in each stretch that is passed on, after so many reads or at the end."""
    signs = SignsOfLife(source.clock)
    blocks = Gathering(
        source.open(),
        patience_s=source.patience_s,
        missing_s=lambda: missing_s,
        read_within_s=lambda: None if source.reads == reads else 0.2,
        signs=signs,
        clock=source.clock,
        stop=Waits(source.clock),
    )
    passed_on: list[int] = []
    for block in blocks:
        assert block is not None
        passed_on.append(block.frames // PIECE)
        signs.give()
    return passed_on


def test_sound_is_passed_on_as_soon_as_so_much_has_come_as_is_missing() -> None:
    """0.45 s are three pieces."""
    assert gathered(Microphone(late_s=0.0), missing_s=0.45) == [3] * 26 + [2]


def test_sound_is_not_gathered_for_longer_than_a_sign_of_life_may_take() -> None:
    """Of three seconds that are missing, 0.7 s: between four and five pieces."""
    assert set(gathered(Microphone(late_s=0.0), missing_s=3.0)[:-1]) == {4, 5}


def test_sound_with_which_something_can_be_done_at_once_is_passed_on_as_it_comes() -> None:
    assert gathered(Microphone(late_s=0.0), missing_s=0.0) == [1] * PIECES


def test_what_was_gathered_when_there_is_to_be_no_more_is_passed_on() -> None:
    assert gathered(Microphone(late_s=0.0), missing_s=3.0, reads=1) == [1]


def test_two_blocks_are_one_with_the_losses_of_both() -> None:
    both = block(more=True).with_next(block(more=False))
    assert both.frames == 2 * PIECE
    assert both.overflows == 2
    assert both.captured_mono_s == PIECE_S
    assert both.is_latest


@pytest.mark.parametrize(
    ("more_s", "pieces"), [(0.01, 1), (PIECE_S, 1), (0.16, 2), (0.75, 5), (0.75 + 5e-5, 5)]
)
def test_more_comes_in_whole_pieces(more_s: float, pieces: int) -> None:
    assert block(more=False).comes_in_s(more_s) == pytest.approx(pieces * PIECE_S, abs=0.005)


def test_what_is_there_already_is_not_waited_for() -> None:
    assert block(more=False).comes_in_s(0.0) == 0
