"""Nothing is lost but what is dropped and counted, and the order stays."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import beepwatch.daemon.queue
from beepwatch.daemon.queue import CRASHED, IN_FLIGHT_BYTES, KILLED, WindowQueue
from beepwatch.messages import Done, Hum, Quiet, Window

CAPACITY = 5


def span(sequence: int, *, size_bytes: int = 96_000) -> Window | Quiet:
    """A window of so many bytes; of none, a known gap."""
    place = {
        "stream_id": "a",
        "sequence": sequence,
        "first_sample": sequence * 16_000,
        "rate_hz": 16_000,
        "started_at": datetime(2026, 3, 1, tzinfo=UTC),
        "started_mono_s": float(sequence),
        "level_dbfs": -30.0,
        "lost_samples": 0,
        "source": "test",
    }
    if size_bytes == 0:
        return Quiet(samples=48_000, **place)  # type: ignore[arg-type]
    return Window(pcm=bytes(size_bytes), **place)  # type: ignore[arg-type]


def done(of: Window | Quiet, *, at_rest: bool = True) -> Done:
    return Done(stream_id=of.stream_id, sequence=of.sequence, at_rest=at_rest)


class AnyOrderOfThings(RuleBasedStateMachine):
    """The queue against plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WindowQueue(CAPACITY)
        self.waiting: list[Window | Quiet] = []
        self.again: list[Window | Quiet] = []
        self.in_flight: list[Window | Quiet] = []
        self.heard: list[Window | Quiet] = []  # all that a next life needs
        self.dropped = 0
        self.sequence = 0

    @rule(size_bytes=st.sampled_from([0, 0, 2, 60_000, 96_000, 300_000]))
    def push(self, size_bytes: int) -> None:
        one = span(self.sequence, size_bytes=size_bytes)
        self.sequence += 1
        self.queue.push(one)
        self.waiting.append(one)
        if len(self.waiting) > CAPACITY:
            gaps = [waiting for waiting in self.waiting if isinstance(waiting, Quiet)]
            gone = gaps[0] if gaps else self.waiting[0]
            self.waiting.remove(gone)
            self.dropped += not gaps

    @rule()
    def hand_out(self) -> None:
        one = self.queue.hand_out()
        source = self.again or self.waiting
        if one is None:
            assert self.in_flight or not source, "an idle classifier is given the next one"
            return
        assert one == source.pop(0)
        self.in_flight.append(one)
        sizes = [len(sent.pcm) for sent in self.in_flight if isinstance(sent, Window)]
        assert len(self.in_flight) == 1 or sum(sizes) <= IN_FLIGHT_BYTES

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), at_rest=st.booleans())
    def dealt_with(self, data: st.DataObject, at_rest: bool) -> None:
        """The classifier answers in order; one answer may tell of several."""
        index = data.draw(st.integers(0, len(self.in_flight) - 1))
        self.queue.done(done(self.in_flight[index], at_rest=at_rest))
        self.heard += self.in_flight[: index + 1]
        del self.in_flight[: index + 1]
        if at_rest:
            del self.heard[:-1]

    @rule()
    def an_answer_that_nobody_waits_for(self) -> None:
        self.queue.done(Done(stream_id="of another life", sequence=0))

    @rule()
    def the_classifier_dies(self) -> None:
        assert self.queue.take_back() is None
        self.again = self.heard + self.in_flight + self.again
        self.in_flight, self.heard = [], []

    @invariant()
    def the_counts_are_true(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.dropped == self.dropped
        assert self.queue.full is (len(self.waiting) >= CAPACITY)
        assert self.queue.idle is (not self.waiting and not self.again and not self.in_flight)


TestAnyOrderOfThings = AnyOrderOfThings.TestCase


@given(st.lists(st.sampled_from([0, 96_000]), max_size=40))
def test_the_newest_windows_stay_and_every_other_one_is_counted(sizes: list[int]) -> None:
    queue = WindowQueue(CAPACITY)
    spans = [span(sequence, size_bytes=size) for sequence, size in enumerate(sizes)]
    for one in spans:
        queue.push(one)
    left = []
    while (handed := queue.hand_out()) is not None:
        left.append(handed)
        queue.done(done(handed))
    windows = [one for one in spans if isinstance(one, Window)]
    assert [one for one in left if isinstance(one, Window)] == windows[-CAPACITY:]
    assert queue.dropped == max(0, len(windows) - CAPACITY)


def test_a_night_of_silence_does_not_push_out_the_beep_at_its_end() -> None:
    queue = WindowQueue(CAPACITY)
    for sequence in range(CAPACITY):
        queue.push(span(sequence, size_bytes=0))
    queue.push(span(CAPACITY))
    assert queue.dropped == 0


def test_what_is_handed_out_at_once_fits_an_empty_socket() -> None:
    queue = WindowQueue(9)
    for sequence in range(9):
        queue.push(span(sequence, size_bytes=60_000))
    handed = [queue.hand_out() for _ in range(4)]
    assert [one.sequence if one else None for one in handed] == [0, 1, None, None]


def heard_by(queue: WindowQueue, *, at_rest: bool) -> list[int]:
    """The sequences of all that is handed out, each answered at once."""
    sequences = []
    while (handed := queue.hand_out()) is not None:
        sequences.append(handed.sequence)
        queue.done(done(handed, at_rest=at_rest))
    return sequences


def test_a_next_life_hears_again_what_was_open_and_first_the_window_before() -> None:
    queue = WindowQueue(9)
    for sequence in range(3):
        queue.push(span(sequence))
    assert heard_by(queue, at_rest=True) == [0, 1, 2]
    for sequence in range(3, 6):
        queue.push(span(sequence))
    assert heard_by(queue, at_rest=False) == [3, 4, 5]
    queue.push(span(6))
    assert queue.take_back() is None
    assert heard_by(queue, at_rest=True) == [2, 3, 4, 5, 6]
    queue.take_back()
    assert heard_by(queue, at_rest=True) == [6]


def test_what_is_kept_for_a_next_life_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes, the oldest going first; it takes no room from what waits."""
    monkeypatch.setattr(beepwatch.daemon.queue, "HEARD_BYTES", 300_000)
    queue = WindowQueue(2)
    for sequence in range(50):
        queue.push(span(sequence))
        heard_by(queue, at_rest=False)
    queue.take_back()
    queue.push(span(50))
    queue.push(span(51))
    assert heard_by(queue, at_rest=False) == [47, 48, 49, 50, 51]
    assert queue.dropped == 0


def test_a_window_of_which_the_classifier_died_twice_is_taken_out() -> None:
    queue = WindowQueue(9)
    for sequence in range(4):
        queue.push(span(sequence))
    asides = []
    for _ in range(3):
        while (handed := queue.hand_out()) is not None and handed.sequence != 2:
            queue.done(done(handed))
        if handed is not None:
            asides.append(queue.take_back(blame=CRASHED))
    assert [aside and aside.sequence for aside in asides] == [None, 2]
    assert queue.take_back(blame=CRASHED) is None, "nothing is in flight that it could have died of"
    assert heard_by(queue, at_rest=True) == [3]


def test_deaths_from_outside_tell_little_against_a_window_and_a_replacement_nothing() -> None:
    """Ten kills at the same window are no accident: it may take all the memory there is."""
    queue = WindowQueue(9)
    queue.push(span(0))
    asides = []
    for blame in [0] * 20 + [KILLED] * 10:
        assert queue.hand_out() == span(0)
        asides.append(queue.take_back(blame=blame))
    assert asides == [None] * 29 + [span(0)]


def test_what_was_dealt_with_after_all_is_blamed_no_more() -> None:
    queue = WindowQueue(9)
    queue.push(span(0))
    queue.hand_out()
    assert queue.take_back(blame=CRASHED) is None
    assert heard_by(queue, at_rest=True) == [0]
    assert queue.take_back() is None
    queue.hand_out()
    assert queue.take_back(blame=CRASHED) is None


def test_the_beginning_of_a_window_and_the_whole_are_done_one_by_one() -> None:
    """They have one name; the beginning, handed out first, is what is done first."""
    queue = WindowQueue(CAPACITY)
    queue.push(span(0, size_bytes=40_000))
    queue.push(span(0, size_bytes=48_000))
    beginning, whole = queue.hand_out(), queue.hand_out()
    assert beginning is not None
    assert whole is not None

    queue.done(done(beginning, at_rest=False))
    assert not queue.idle
    queue.take_back()
    assert [queue.hand_out(), queue.hand_out()] == [beginning, whole]
    queue.done(done(beginning))
    queue.done(done(whole))
    assert queue.idle


def test_how_far_the_classifier_is_behind() -> None:
    queue = WindowQueue(9)
    assert queue.lag_s == 0.0
    for sequence in range(5):
        queue.push(span(sequence))
    assert queue.lag_s == 4.0
    first = queue.hand_out()
    assert first is not None
    assert queue.lag_s == 4.0
    queue.done(done(first))
    assert queue.lag_s == 3.0
    heard_by(queue, at_rest=True)
    assert queue.lag_s == 0.0


def test_a_dropped_window_with_its_sound_weighs_like_one_and_goes_before_one() -> None:
    """Two of them are more than an empty socket takes; of a full queue they go first, uncounted."""
    queue = WindowQueue(CAPACITY)
    whole = span(0)
    assert isinstance(whole, Window)
    fields = {name: getattr(whole, name) for name in whole.__struct_fields__}
    hums = [Hum(**{**fields, "sequence": number, "samples": 48_000}) for number in (1, 2, 3)]
    for hum in hums[:2]:
        queue.push(hum)
    assert queue.hand_out() == hums[0]
    assert queue.hand_out() is None
    queue.push(span(2))
    for number in range(4, 4 + CAPACITY):
        queue.push(span(number))
    assert queue.dropped == 1
    queue.done(done(hums[0]))
    assert queue.hand_out() == span(4)
