"""The supervisor's part in answering the bot: it knows some, and carries the rest."""

from collections import deque

from beepwatch.clock import Clock
from beepwatch.daemon.child import Child
from beepwatch.daemon.queue import WindowQueue
from beepwatch.messages import (
    AnyMessage,
    Condition,
    Inquiry,
    Listen,
    MachineStanding,
    MachineStandings,
    Piece,
    Quiet,
    Taken,
    Watch,
    Window,
)

PIECES = 64  # kept for the messenger; twice what it may ask for


class Switchboard:
    """Questions go to who knows, sound comes back a piece at a time; nobody waits for anybody."""

    def __init__(
        self,
        *,
        recorder: Child,
        classifier: Child,
        messenger: Child,
        queue: WindowQueue,
        clock: Clock,
    ) -> None:
        self.model = ""
        self._machines: tuple[MachineStanding, ...] = ()
        self._recorder = recorder
        self._classifier = classifier
        self._messenger = messenger
        self._queue = queue
        self._clock = clock
        self._begun_s = clock.mono_s()
        self._source = ""
        self._level_dbfs = float("-inf")
        self._level_at_s: float | None = None
        self._wanted: int | None = None  # the number of what the messenger waits for
        self._pieces: deque[Piece] = deque(maxlen=PIECES)
        self._untaken = False  # the messenger has not said that it has the last piece

    def heard(self, span: Window | Quiet) -> None:
        """The newest window."""
        self._source = span.source
        self._level_dbfs = span.level_dbfs
        self._level_at_s = span.started_mono_s

    def handle(self, message: AnyMessage) -> None:
        """What the children have to say to one another; anything else is not for us."""
        match message:
            case Inquiry():
                self._messenger.send(self._condition(message.number))
            case Listen():
                self._pieces.clear()
                self._wanted = message.number
                self._recorder.send(message)
            case Piece() if message.number == self._wanted:
                self._pieces.append(message)
            case Taken():
                self._untaken = False
            case MachineStandings():
                self._machines = message.machines
            case Watch():
                self._classifier.send(message)  # a dead one's next life finds it in the store

    def post(self) -> None:
        """Give the messenger the next piece, once it has the one before."""
        if self._pieces and not self._untaken:
            self._untaken = self._messenger.send(self._pieces.popleft())

    def messenger_died(self) -> None:
        """Nobody waits for the rest any more."""
        self._wanted = None
        self._pieces.clear()
        self._untaken = False

    def _condition(self, number: int) -> Condition:
        now_s = self._clock.mono_s()
        age_s = None if self._level_at_s is None else max(0.0, now_s - self._level_at_s)
        return Condition(
            number=number,
            up_s=now_s - self._begun_s,
            source=self._source,
            level_dbfs=self._level_dbfs,
            level_age_s=age_s,
            waiting_windows=len(self._queue),
            lag_s=self._queue.lag_s,
            dropped_windows=self._queue.dropped,
            model=self.model,
            machines=self._machines,
        )
