"""How long to wait before the next try, and when to stop trying."""

import random
from datetime import datetime, timedelta

import msgspec
from tenacity import RetryCallState
from tenacity.wait import wait_base

from beepwatch.messages import Delivery
from beepwatch.notify.channels import RetryAfter, Shut

_LONGEST_PAUSE_S = 86_400.0  # that a server can ask for: a slip of its own is no reason to be mute


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Every wait of the messenger; tests make them short."""

    first_s: float = 1.0  # after the first failure, then twice as long each time …
    largest_s: float = 60.0  # … up to this: nobody waits longer for what the network held up
    shut_s: float = 300.0  # to a channel that somebody has to mend
    jitter_share: float = 0.25  # of the wait, added at random: many boxes, one server
    late_after_s: float = 1_800.0  # since it was to be told; many such alerts go as one message
    few_late: int = 3  # so many are no crowd yet: each goes in full
    keep_trying_s: float = 30 * 86_400.0  # since the alert was written; clips are kept as long
    least_attempts: int = 2_000  # before giving up: a day and a half of trying, or a week if shut
    longest_idle_s: float = 30.0  # between looks at the outbox, should a poke get lost
    beat_s: float = 1.0
    locked_s: float = 0.5  # before asking a locked database again
    mark_within_s: float = 10.0  # then what was told is marked later, and the next is told
    encode_within_s: float = 10.0  # then the clip goes as WAV


class Backoff(wait_base):
    """Exponential with jitter, going on from the attempts before a restart; the server's own
    request to wait is honoured to the second. A channel that is shut is asked at a pace of its own.
    """

    def __init__(self, waits: Waits, earlier_attempts: int = 0) -> None:
        self._waits = waits
        self._earlier_attempts = earlier_attempts

    def __call__(self, retry_state: RetryCallState) -> float:
        """Seconds from now."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        return self.after_s(self._earlier_attempts + retry_state.attempt_number, error)

    def after_s(self, attempts: int, error: BaseException | None) -> float:
        """Seconds to wait after so many attempts, the last of which ended in `error`."""
        if isinstance(error, RetryAfter):
            return min(error.after_s, _LONGEST_PAUSE_S)
        # 2^30 is beyond any largest wait; a larger power would be an overflow after a week.
        doubled_s = self._waits.first_s * 2.0 ** min(attempts - 1, 30)
        wait_s = min(doubled_s, self._waits.largest_s)
        if isinstance(error, Shut):
            wait_s = self._waits.shut_s
        jitter_s = random.uniform(0, self._waits.jitter_share * wait_s)  # noqa: S311 - no secret
        return wait_s + jitter_s


def is_given_up(delivery: Delivery, attempts: int, now: datetime, waits: Waits) -> bool:
    """Whether an alert was tried for long enough, by its age and by the number of attempts.

    Either alone is wrong: a box that was off for a month has not tried, and a clock that starts
    in 1970 makes every alert old.
    """
    age = now - delivery.alert.created_at
    return age > timedelta(seconds=waits.keep_trying_s) and attempts >= waits.least_attempts
