"""The dead man's switch: says so, once, when a sound that should come does not."""

import msgspec


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was heard for longer than allowed."""

    for_s: float


class HeardAgain(msgspec.Struct, frozen=True, kw_only=True):
    """The first sound after a `Missed`."""

    after_s: float


class DeadMansSwitch:
    """Waits for sounds; `missing_after_s` of 0 never fires. All times monotonic.

    `since_s` is when waiting began: the daemon's start, or the last sound heard. `missed` says
    that an earlier life has told of this absence.
    """

    def __init__(self, missing_after_s: float, *, since_s: float, missed: bool = False) -> None:
        self._missing_after_s = missing_after_s
        self._since_s = since_s
        self._missed = missed

    def heard(self, at_s: float) -> HeardAgain | None:
        """A sound came at `at_s`; an answer only if it had been missed."""
        after_s = at_s - self._since_s
        self._since_s = max(self._since_s, at_s)
        if not self._missed:
            return None
        self._missed = False
        return HeardAgain(after_s=after_s)

    def tick(self, now_s: float) -> Missed | None:
        """Time has come to `now_s` without a sound; an answer once per absence."""
        for_s = now_s - self._since_s
        if self._missed or self._missing_after_s == 0 or for_s < self._missing_after_s:
            return None
        self._missed = True
        return Missed(for_s=for_s)


class Watch:
    """The dead man's switch for one time: armed by a person, over with the first sound or alarm.

    All times monotonic.
    """

    def __init__(self, since_s: float, for_s: float) -> None:
        self.over = False
        self._since_s = since_s
        self._for_s = for_s

    def heard(self, at_s: float) -> None:
        """A sound came at `at_s`; one from before the watch does not count."""
        self.over = self.over or at_s >= self._since_s

    def tick(self, now_s: float) -> Missed | None:
        """Time has come to `now_s`; an answer once, if nothing was heard."""
        if self.over or now_s - self._since_s < self._for_s:
            return None
        self.over = True
        return Missed(for_s=self._for_s)
