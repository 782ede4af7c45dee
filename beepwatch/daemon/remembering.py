"""What a classifier's new life takes over from the store: cooldowns, open events, an absence."""

from datetime import datetime, timedelta

import msgspec

from beepwatch.clock import Clock
from beepwatch.daemon.pipeline import told_keys
from beepwatch.daemon.resuming import Earlier
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.messages import AlertKind, Watch
from beepwatch.store.memory import Memory
from beepwatch.store.wishes import Wishes


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """As `Pipeline` takes it; all times monotonic."""

    since_s: float  # when the dead man's switch began to wait
    missed: bool  # whether it has told of this absence
    last_told_s: dict[int, float]  # of each rule, by its number
    earlier: Earlier
    watch: Watch | None  # somebody waits for a sound


def remember(
    memory: Memory, wishes: Wishes, settings: ClassifierSettings, clock: Clock
) -> Remembered:
    """Of a live source everything; of a recording, whose time is its own, what this run wrote."""
    past = _Past(settings, clock)
    told_s = {}
    for number, key in enumerate(told_keys(settings.rules)):
        at_s = past.mono_s(memory.last_told(key))
        if at_s is not None:
            told_s[number] = at_s
    since_s, missed = _waiting(memory, settings, past)
    return Remembered(
        since_s=since_s,
        missed=missed,
        last_told_s=told_s,
        earlier=Earlier(memory.recent_events(), memory.open_events()),
        watch=_watch(wishes, settings, past),
    )


def _waiting(memory: Memory, settings: ClassifierSettings, past: "_Past") -> tuple[float, bool]:
    labels = {rule.label for rule in settings.rules}
    heard = [event.offset for event in memory.last_events() if event.label in labels]
    last_heard = max(heard, default=None)
    missed_at = memory.last_told(f"{AlertKind.MISSED}:")
    since, missed = last_heard, False
    if missed_at is not None and past.mono_s(missed_at) is not None:
        missed = last_heard is None or missed_at > last_heard
        since = last_heard or missed_at - timedelta(seconds=settings.missing_after_s)
    since_s = past.mono_s(since)
    if since_s is None:
        return settings.since_s, missed
    return since_s if missed else max(settings.since_s, since_s), missed


def _watch(wishes: Wishes, settings: ClassifierSettings, past: "_Past") -> Watch | None:
    """What was wished and has neither been heard nor told of as absent."""
    watching = wishes.watching()
    if watching is None:
        return None
    since_s = past.mono_s(watching.since)
    labels = frozenset(rule.label for rule in settings.rules)
    if since_s is None or wishes.heard_since(watching.since, labels):
        return None
    return Watch(number=watching.number, since_mono_s=since_s, for_s=watching.for_s)


class _Past:
    """Turns moments of the store into monotonic time."""

    def __init__(self, settings: ClassifierSettings, clock: Clock) -> None:
        self._settings = settings
        self._now = clock.utc()
        self._now_s = clock.mono_s()

    def mono_s(self, at: datetime | None) -> float | None:
        """None for a moment that has no place in the time of this source."""
        if at is None:
            return None
        ago_s = (self._now - at).total_seconds()
        if self._settings.live:
            return self._now_s - max(0.0, ago_s)  # what lies in the future: the clock was set back
        at_s = self._now_s - ago_s
        return at_s if at_s >= self._settings.since_s else None
