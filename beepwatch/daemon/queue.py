"""The bounded queue between recorder and classifier, kept by the supervisor.

A window is out of it only once the classifier says so; what was in flight when the classifier
died is handed out again.
"""

from collections import deque

from beepwatch.messages import Done, Quiet, Window

IN_FLIGHT_BYTES = 128 * 1024  # what an empty socket takes at once: handing out never waits


class WindowQueue:
    """First in, first out; when full, silence goes, else the oldest window, which is counted."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Window | Quiet] = deque()
        self._in_flight: deque[Window | Quiet] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the next push drops something."""
        return len(self._waiting) >= self._capacity

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._waiting and not self._in_flight

    def push(self, span: Window | Quiet) -> None:
        """Add at the end; if that is one too many, the oldest window goes."""
        self._waiting.append(span)
        if len(self._waiting) > self._capacity:
            self._drop_oldest()

    def hand_out(self) -> Window | Quiet | None:
        """The next to be classified, unless enough is in flight already."""
        if not self._waiting:
            return None
        size_bytes = _size_bytes(self._waiting[0])
        in_flight_bytes = sum(_size_bytes(span) for span in self._in_flight)
        if self._in_flight and in_flight_bytes + size_bytes > IN_FLIGHT_BYTES:
            return None
        span = self._waiting.popleft()
        self._in_flight.append(span)
        return span

    def done(self, done: Done) -> None:
        """The classifier has dealt with this one, and so with all that it was given before."""
        names = [(span.stream_id, span.sequence) for span in self._in_flight]
        if (done.stream_id, done.sequence) not in names:
            return
        for _ in range(names.index((done.stream_id, done.sequence)) + 1):
            self._in_flight.popleft()

    def take_back(self) -> int:
        """The classifier died: put what was in flight in front again; how many that were."""
        count = len(self._in_flight)
        self._waiting.extendleft(reversed(self._in_flight))
        self._in_flight.clear()
        return count

    def _drop_oldest(self) -> None:
        """Silence goes first: what follows tells by its place how long it was."""
        oldest = next(
            (index for index, span in enumerate(self._waiting) if isinstance(span, Quiet)), 0
        )
        self.dropped += isinstance(self._waiting[oldest], Window)
        del self._waiting[oldest]


def _size_bytes(span: Window | Quiet) -> int:
    return len(span.pcm) if isinstance(span, Window) else 512
