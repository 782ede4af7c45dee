"""How far the classifier is behind: in the log while it is, told when sound is lost by it."""

from datetime import datetime

import structlog

from beepwatch.daemon.proof import Proof
from beepwatch.daemon.queue import WindowQueue
from beepwatch.messages import Fault, FaultKind
from beepwatch.wording import counted

LAG_LOGGED_S = 10.0
LOGGED_EVERY_S = 60.0
# Without a loss, before it is told that all is caught up with, see `Proof`: a machine that is slow
# whenever something else is at work is slow many times a day.
IN_TIME_S = (0.0, 60.0, 360.0, 1_800.0)

_log = structlog.get_logger()


class Backlog:
    """Watches the queue of a source that does not wait."""

    def __init__(self, queue: WindowQueue) -> None:
        self._queue = queue
        self._full_since: datetime | None = None
        self._dropped_told = 0
        self._dropped_seen = 0
        self._proof = Proof(IN_TIME_S)
        self._lagging = False
        self._logged_s = float("-inf")

    def watch(self, now_s: float, now: datetime) -> Fault | None:
        """A fault once sound is being dropped, and its end once all of it is caught up with."""
        self._log_lag(now_s)
        if self._queue.dropped != self._dropped_seen:
            self._dropped_seen = self._queue.dropped
            self._proof.fails()
        dropped = self._queue.dropped - self._dropped_told
        if dropped and self._full_since is None:
            self._full_since = now
            text = (
                f"the classifier is too slow, {self._queue.lag_s:.0f} s behind: "
                "the oldest sound is being dropped"
            )
            return Fault(kind=FaultKind.QUEUE_FULL, text=text, since=now)
        if self._full_since is None or not self._queue.idle or not self._proof.holds(now_s):
            return None
        since, self._full_since = self._full_since, None
        self._dropped_told = self._queue.dropped
        were = "was" if dropped == 1 else "were"
        text = f"the classifier has caught up; {counted(dropped, 'window')} {were} dropped"
        return Fault(kind=FaultKind.QUEUE_FULL, text=text, since=since, count=dropped, cleared=True)

    def _log_lag(self, now_s: float) -> None:
        lag_s = self._queue.lag_s
        if lag_s >= LAG_LOGGED_S and now_s - self._logged_s >= LOGGED_EVERY_S:
            self._lagging, self._logged_s = True, now_s
            dropped = self._queue.dropped
            _log.warning(
                "classifier_lags", lag_s=round(lag_s), waiting=len(self._queue), dropped=dropped
            )
        elif self._lagging and self._queue.idle:
            self._lagging = False
            _log.info("classifier_caught_up", dropped=self._queue.dropped)
