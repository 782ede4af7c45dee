"""Windows from the queue to the classifier, over its successive lives."""

import signal
from datetime import datetime

from beepwatch.daemon.child import Child
from beepwatch.daemon.poison import Poison
from beepwatch.daemon.queue import CRASHED, KILLED, WindowQueue
from beepwatch.messages import Fault

_NO_CRASH = (0, -signal.SIGKILL, -signal.SIGTERM)  # an end in order, or somebody's doing


class Feeder:
    """Hands out what waits while there is a classifier that has loaded its model and is to stay."""

    def __init__(self, queue: WindowQueue, classifier: Child, poison: Poison) -> None:
        self._queue = queue
        self._classifier = classifier
        self._poison = poison
        self._loaded = False  # in this life

    @property
    def ready(self) -> bool:
        """Whether the classifier takes windows."""
        return self._loaded and not self._classifier.dismissed

    @property
    def idle(self) -> bool:
        """Whether everything was taken and dealt with."""
        return self._queue.idle and self.ready

    def has_loaded(self) -> None:
        """The classifier says that it has."""
        self._loaded = True

    def hand_out(self) -> None:
        """As much as may be in flight."""
        while self._classifier.connection is not None and self.ready:
            span = self._queue.hand_out()
            if span is None:
                return
            self._classifier.send(span)

    def take_back(self, exit_code: int, now: datetime) -> Fault | None:
        """The classifier has died. Its next life hears again what was open, but for a window that
        has killed it too often: that is put aside, which may be a fault to tell.
        """
        self._loaded = False
        dead = self._classifier
        hung = dead.hung and not dead.left  # what holds the other is no window
        blame = CRASHED if hung or exit_code not in _NO_CRASH else KILLED
        aside = self._queue.take_back(blame=0 if dead.dismissed else blame)
        return None if aside is None else self._poison.put_aside(aside, now)
