"""A stream that is no live sound: a file on a server, or what a server has kept until one connects.

A moment is a second of sound here, and the clock stands still but for what is waited.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.capture.listening import Heard, Listener
from beepwatch.clock import ManualClock
from beepwatch.errors import SourceError
from beepwatch.messages import Ended, Window
from beepwatch.sections import Capture
from tests.capture.sounds import RATE_HZ, Script, block, noise
from tests.capture.waits import Waits

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = block(np.rint(noise(1, 300, seed=2)).astype(np.int16))
ENDED = SourceError("the server has no more")
LEAST_AHEAD_S, MOST_AHEAD_S = 8.0, 12.0


class Server(Script):
    """All that it has is there at once."""

    paced = True

    def __init__(self, clock: ManualClock, *lengths_s: int) -> None:
        """One opening for each length; the last ends, and the others are lost."""
        openings: list[list[Block | SourceError | EndOfSound | None]]
        openings = [[*[SECOND] * length_s, ENDED] for length_s in lengths_s]
        openings[-1][-1] = EndOfSound()
        super().__init__(*openings)
        self._clock = clock
        self.reads = 0

    def read(self, within_s: float) -> Block | EndOfSound | None:
        """As ffmpeg gives it: captured when it was taken."""
        self.reads += 1
        item = super().read(within_s)
        if not isinstance(item, Block):
            return item
        return Block(
            data=item.data,
            sample_format="int16",
            channels=1,
            rate_hz=RATE_HZ,
            captured_mono_s=self._clock.mono_s(),
        )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON, 100.0)


def listener_on(source: Server, clock: ManualClock) -> Listener:
    return Listener(
        Capture(gate=False), rate_hz=RATE_HZ, clock=clock, stop=Waits(clock), source=source
    )


def windows_of(heard: Iterator[Heard | None]) -> Iterator[Window]:
    return (one for one in heard if isinstance(one, Window))


def test_what_a_server_has_kept_is_heard_at_once(clock: ManualClock) -> None:
    list(listener_on(Server(clock, 8), clock))

    assert clock.mono_s() == 100.0


def test_a_file_on_a_server_is_heard_at_the_clocks_pace(clock: ManualClock) -> None:
    """A minute takes most of one, and no time is further ahead than what a server may keep."""
    ahead_s = [
        window.started_mono_s + 3.0 - clock.mono_s()
        for window in windows_of(iter(listener_on(Server(clock, 60), clock)))
    ]

    assert len(ahead_s) == 58
    assert LEAST_AHEAD_S < max(ahead_s) < MOST_AHEAD_S
    assert 60 - MOST_AHEAD_S < clock.mono_s() - 100.0 < 60 - LEAST_AHEAD_S


def test_what_comes_after_the_next_opening_is_later_than_what_came_before(
    clock: ManualClock,
) -> None:
    """The eight seconds that were heard at once are eight on the clock, too."""
    windows = list(windows_of(iter(listener_on(Server(clock, 8, 8), clock))))

    first, second = dict.fromkeys(window.stream_id for window in windows)
    ends = {
        stream_id: [window for window in windows if window.stream_id == stream_id]
        for stream_id in (first, second)
    }
    began, went_on = ends[first][0], ends[second][0]
    assert went_on.started_mono_s - began.started_mono_s == pytest.approx(8.0, abs=0.01)
    assert (went_on.started_at - began.started_at).total_seconds() == pytest.approx(8.0, abs=0.01)


def test_who_hands_over_does_not_hear_a_whole_file_first(clock: ManualClock) -> None:
    source = Server(clock, 10_000)
    listener = listener_on(source, clock)
    heard = []
    for one in listener:
        heard.append(one)
        if isinstance(one, Window) and one.sequence == 2:
            listener.hand_over()

    assert source.reads < 20
    assert not [one for one in heard if isinstance(one, Ended)]
