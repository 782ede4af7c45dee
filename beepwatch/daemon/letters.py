"""What the supervisor has to tell: kept until the messenger has it in the outbox."""

from collections import deque

import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.child import Child
from beepwatch.messages import Alert, AlertKind, Noted

KEPT = 1_000  # while the messenger is away, or has no store; hours of beeps; the oldest go

_log = structlog.get_logger()


class Letters:
    """Alerts on their way to the messenger, in order; whose answer is missing goes out again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unsent: deque[Alert] = deque()
        self._unanswered: dict[str, Alert] = {}  # by dedupe_key

    @property
    def all_sent(self) -> bool:
        """Whether the messenger has been given everything."""
        return not self._unsent

    def write(self, kind: AlertKind, text: str) -> None:
        """An alert of now."""
        now = self._clock.utc()
        key = f"{kind}:{now.isoformat()}:{text}"
        self.pass_on(Alert(kind=kind, text=text, created_at=now, due_at=now, dedupe_key=key))

    def pass_on(self, alert: Alert) -> None:
        """An alert that the classifier could not write."""
        self._unsent.append(alert)
        self._drop_oldest()

    def post(self, messenger: Child) -> None:
        """Send what waits, as far as somebody takes it at once: hundreds of letters fill a socket
        while the messenger that is to read them is only starting.
        """
        while self._unsent and messenger.has_room and messenger.send(self._unsent[0]):
            alert = self._unsent.popleft()
            self._unanswered[alert.dedupe_key] = alert
            self._drop_oldest()

    def noted(self, noted: Noted) -> None:
        """One is in the outbox."""
        self._unanswered.pop(noted.dedupe_key, None)

    def take_back(self) -> None:
        """The messenger died: what it has not answered may be lost, and is sent again."""
        self._unsent.extendleft(reversed(self._unanswered.values()))
        self._unanswered.clear()
        self._drop_oldest()

    def left_over(self) -> tuple[Alert, ...]:
        """What no messenger has written or told, when there is none any more."""
        self.take_back()
        return tuple(self._unsent)

    def _drop_oldest(self) -> None:
        """An unanswered one is in the messenger's hands, and lost only with that."""
        while len(self._unsent) > KEPT:
            _log.error("letter_dropped", text=self._unsent.popleft().text)
        while len(self._unanswered) > KEPT:
            text = self._unanswered.pop(next(iter(self._unanswered))).text
            _log.error("letter_forgotten", text=text)
