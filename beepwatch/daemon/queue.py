"""The bounded queue between recorder and classifier, kept by the supervisor.

A window is out of it only once the classifier says so and has nothing open that began in it. What
was in flight when the classifier died is handed out again, after what its next life has to hear
once more.
"""

from collections import deque

from beepwatch.messages import Done, Hum, Quiet, Window

IN_FLIGHT_BYTES = 128 * 1024  # what an empty socket takes at once: handing out never waits
HEARD_BYTES = 8 * 1024 * 1024  # kept for another life; 80 s of what a microphone hears
# How much a death tells against the window that the classifier was at, and when it is too much:
# two crashes, or ten kills (a person's may hit any window; the kernel's, for memory, always this).
CRASHED, KILLED, TOO_MUCH = 5, 1, 10

_Name = tuple[str, int]


class WindowQueue:
    """First in, first out; when full, silence goes, else the oldest window, which is counted."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.dropped = 0
        self._waiting: deque[Window | Quiet] = deque()
        self._again: deque[Window | Quiet] = deque()  # before what waits
        self._in_flight: deque[Window | Quiet] = deque()
        self._heard: deque[Window | Quiet] = deque()
        self._heard_bytes = 0
        self._blame: dict[_Name, int] = {}
        self._newest_s = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the next push drops something."""
        return len(self._waiting) >= self.capacity

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._waiting and not self._again and not self._in_flight

    @property
    def lag_s(self) -> float:
        """How far the classifier is behind the newest window that has come."""
        for spans in (self._in_flight, self._again, self._waiting):
            if spans:
                return max(0.0, self._newest_s - spans[0].started_mono_s)
        return 0.0

    def push(self, span: Window | Quiet) -> None:
        """Add at the end; if that is one too many, the oldest window goes."""
        self._waiting.append(span)
        self._newest_s = span.started_mono_s
        while len(self._waiting) > self.capacity:
            self._drop_oldest()

    def hand_out(self) -> Window | Quiet | None:
        """The next to be classified, unless enough is in flight already."""
        source = self._again or self._waiting
        if not source:
            return None
        size_bytes = _size_bytes(source[0])
        in_flight_bytes = sum(_size_bytes(span) for span in self._in_flight)
        if self._in_flight and in_flight_bytes + size_bytes > IN_FLIGHT_BYTES:
            return None
        span = source.popleft()
        self._in_flight.append(span)
        return span

    def done(self, done: Done) -> None:
        """The classifier has dealt with this one, and so with all that it was given before."""
        names = [_name(span) for span in self._in_flight]
        if (done.stream_id, done.sequence) not in names:
            return
        for _ in range(names.index((done.stream_id, done.sequence)) + 1):
            span = self._in_flight.popleft()
            self._blame.pop(_name(span), None)
            self._heard.append(span)
            self._heard_bytes += _size_bytes(span)
        # The last one stays: its end is judged once more, together with what follows it.
        while len(self._heard) > 1 and (done.at_rest or self._heard_bytes > HEARD_BYTES):
            self._heard_bytes -= _size_bytes(self._heard.popleft())

    def take_back(self, *, blame: int = 0) -> Window | Quiet | None:
        """The classifier died: what the next life needs is handed out again, in order.

        `blame` (`CRASHED`, `KILLED`) falls on the window that it was at; one that has `TOO_MUCH`
        of it is taken out and returned.
        """
        aside = None
        if blame and self._in_flight:
            name = _name(self._in_flight[0])
            self._blame[name] = self._blame.get(name, 0) + blame
            if self._blame[name] >= TOO_MUCH:
                del self._blame[name]
                aside = self._in_flight.popleft()
        self._again.extendleft(reversed([*self._heard, *self._in_flight]))
        self._in_flight.clear()
        self._heard.clear()
        self._heard_bytes = 0
        return aside

    def _drop_oldest(self) -> None:
        """Silence goes first: what follows tells by its place how long it was."""
        oldest = next(
            (index for index, span in enumerate(self._waiting) if isinstance(span, Quiet)), 0
        )
        self.dropped += isinstance(self._waiting[oldest], Window)
        del self._waiting[oldest]


def _name(span: Window | Quiet) -> _Name:
    return span.stream_id, span.sequence


def _size_bytes(span: Window | Quiet) -> int:
    return len(span.pcm) if isinstance(span, Window | Hum) else 512
