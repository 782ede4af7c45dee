"""Nothing is lost but what is dropped and counted, and the order stays."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beepwatch.daemon.queue import IN_FLIGHT_BYTES, WindowQueue
from beepwatch.messages import Done, Quiet, Window

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


def done(of: Window | Quiet) -> Done:
    return Done(stream_id=of.stream_id, sequence=of.sequence)


class AnyOrderOfThings(RuleBasedStateMachine):
    """The queue against two plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WindowQueue(CAPACITY)
        self.waiting: list[Window | Quiet] = []
        self.in_flight: list[Window | Quiet] = []
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
        if one is None:
            assert self.in_flight or not self.waiting, "an idle classifier is given the next one"
            return
        assert one == self.waiting.pop(0)
        self.in_flight.append(one)
        sizes = [len(sent.pcm) for sent in self.in_flight if isinstance(sent, Window)]
        assert len(self.in_flight) == 1 or sum(sizes) <= IN_FLIGHT_BYTES

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def dealt_with(self, data: st.DataObject) -> None:
        """The classifier answers in order; one answer may tell of several."""
        index = data.draw(st.integers(0, len(self.in_flight) - 1))
        self.queue.done(done(self.in_flight[index]))
        del self.in_flight[: index + 1]

    @rule()
    def an_answer_that_nobody_waits_for(self) -> None:
        self.queue.done(Done(stream_id="of another life", sequence=0))

    @rule()
    def the_classifier_dies(self) -> None:
        assert self.queue.take_back() == len(self.in_flight)
        self.waiting = self.in_flight + self.waiting
        self.in_flight = []

    @invariant()
    def the_counts_are_true(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.dropped == self.dropped
        assert self.queue.full is (len(self.waiting) >= CAPACITY)
        assert self.queue.idle is (not self.waiting and not self.in_flight)


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
