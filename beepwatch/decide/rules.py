"""Pulses become alerts: so many pulses within so long, a cooldown, quiet hours."""

from collections import deque
from datetime import UTC, datetime, time, timedelta, tzinfo

import msgspec

from beepwatch.decide.episodes import Counted
from beepwatch.decide.pulses import Pulse
from beepwatch.sections import Rule

ROUNDING_S = 1e-3  # a time that an earlier life has stored comes back this near


class Tell(msgspec.Struct, frozen=True, kw_only=True):
    """The rule is satisfied: tell it, at `due_at` at the earliest."""

    label: str
    at: datetime  # UTC onset of the pulse that satisfied the rule
    due_at: datetime  # UTC
    first: Pulse  # of the pulses that satisfied it


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The rule is satisfied, but was told a moment ago."""

    reason: str
    for_s: float


class RuleMachine:
    """One rule's state. Time is the pulses' own, so that it cannot matter when they are handled.

    `last_told_s` is the monotonic time of the last alert of an earlier life, if any.
    """

    def __init__(self, rule: Rule, *, zone: tzinfo, last_told_s: float | None = None) -> None:
        self.label = rule.label
        self._rule = rule
        self._quiet = rule.quiet_from_to()
        self._zone = zone
        self._last_told_s = last_told_s
        self._recent: deque[Pulse] = deque(maxlen=rule.pulses)

    def step(self, counted: Counted) -> Tell | Hold | None:
        """The answer to one further pulse: tell, hold back, or nothing yet."""
        pulse = counted.episode.pulses[-1]
        self._recent.append(pulse)
        first = self._recent[0]
        if len(self._recent) < self._rule.pulses:
            return None
        if pulse.onset_s - first.onset_s > self._rule.within_s:
            return None
        if self._last_told_s is not None:
            left_s = self._last_told_s + self._rule.cooldown_s - pulse.onset_s
            if left_s > ROUNDING_S:
                return Hold(reason="cooldown", for_s=left_s)
        self._last_told_s = pulse.onset_s
        self._recent.clear()
        return Tell(label=self.label, at=pulse.onset, due_at=self._due_at(pulse.onset), first=first)

    def waits(self, now_s: float) -> bool:
        """Whether a pulse that was heard may yet count together with one to come."""
        if not self._recent or self._rule.pulses == 1:
            return False
        return now_s - self._recent[-1].onset_s <= self._rule.within_s

    def _due_at(self, at: datetime) -> datetime:
        if self._quiet is None:
            return at
        return end_of_quiet(at.astimezone(self._zone), *self._quiet)


def end_of_quiet(local: datetime, start: time, end: time) -> datetime:
    """When the quiet hours that `local` lies in are over, in UTC; `local` itself outside them.

    `start` later than `end` runs over midnight; equal times are quiet hours of a whole day's
    length that never come.
    """
    clock = local.time()
    day = local.date()
    if start <= end:
        quiet = start <= clock < end
    else:
        quiet = clock >= start or clock < end
        if clock >= start:
            day += timedelta(days=1)
    if not quiet:
        return local.astimezone(UTC)
    over = datetime.combine(day, end, tzinfo=local.tzinfo)
    if over.astimezone(UTC) < local.astimezone(UTC):
        over = over.replace(fold=1)  # the end lies in the hour that comes twice, and was not yet it
    return over.astimezone(UTC)
