"""From strangeness, window by window, to what a person is told: evidence builds over minutes.

A cumulative sum (Page, Biometrika 41, 1954) of how far a window is beyond what normal sound now and
then is, each window counting for no more than its own length: a slammed door is a few seconds of
evidence, a worn bearing is minutes. What comes slowly is drift: it is followed, or told by itself.
"""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ENOUGH_S = 60.0  # of entirely strange sound
STRANGE = 1.0  # the strangest hundredth of normal sound: no evidence either way
# So much more counts for its whole length, so much less as much against. What is hardly strange is
# mostly the room's, and of a fault it would not be evidence enough within two minutes anyway.
ENTIRELY = 0.1
LONGEST_STEP_S = 5.0  # that one window speaks for
DRIFT_TIME_S = 24 * 3_600.0
DRIFTED = 0.5  # of strangeness, as a mean over such a time
NO_LONGER = 0.5  # of what was told of: as near to normal again it may be told anew
FOLLOWED = 0.5  # of strangeness at most: what is further off is a fault, however slowly it came

Drift = Literal["follow", "report"]


class Unusual(msgspec.Struct, frozen=True, kw_only=True):
    """The machine has sounded strange for long enough to say so."""

    for_s: float


class UsualAgain(msgspec.Struct, frozen=True, kw_only=True):
    """As much evidence of normal sound has come since."""

    after_s: float


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """Never strange enough to be told, it has slowly become another than was learned."""

    by: float  # of strangeness


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch knows, for the one that takes its place."""

    evidence_s: Annotated[float, Meta(ge=0, le=1e6)]
    drift: Annotated[float, Meta(ge=-10, le=10)]
    unusual: bool
    drifted: bool
    since_ago_s: Annotated[float, Meta(ge=0, le=1e10)]  # there has been evidence, or it was told


class MachineWatch:
    """What has been heard of one machine. Times are monotonic; no I/O."""

    def __init__(self, drift: Drift = "report", *, enough_s: float = ENOUGH_S) -> None:
        self.evidence_s = 0.0
        self.drift = 0.0  # mean strangeness of late
        self.unusual = False  # told, and not yet told that it is over
        self._drifted = False
        self._how = drift
        self._enough_s = enough_s
        self._last_s: float | None = None
        self._since_s = 0.0  # there has been evidence; where it was told, since then

    def memory(self, now_s: float) -> Memory:
        """All of it, at `now_s`."""
        return Memory(
            evidence_s=self.evidence_s,
            drift=self.drift,
            unusual=self.unusual,
            drifted=self._drifted,
            since_ago_s=max(now_s - self._since_s, 0.0),
        )

    def recall(self, memory: Memory, now_s: float) -> None:
        """Go on from what another watch knew at `now_s`."""
        self.evidence_s = min(memory.evidence_s, self._enough_s)
        self.drift, self.unusual = memory.drift, memory.unusual
        self._drifted = memory.drifted
        self._since_s = now_s - memory.since_ago_s

    def step(
        self, strangeness: float | None, now_s: float, *, drowned: bool = False
    ) -> Unusual | UsualAgain | Drifted | None:
        """A window that ended at `now_s`; None is one of a machine that is switched off.

        What is drowned in other sound may speak for the machine, never against it.
        """
        passed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s if self._last_s is None else max(now_s, self._last_s)
        length_s = min(max(passed_s, 0.0), LONGEST_STEP_S)
        if strangeness is None or not math.isfinite(strangeness):
            return None
        allowed = min(max(self.drift, 0.0), FOLLOWED) if self._how == "follow" else 0.0
        most = 0.0 if drowned else 1.0
        says = min(max((strangeness - allowed - STRANGE) / ENTIRELY, -1.0), most)
        if self.evidence_s == 0 and not self.unusual:
            self._since_s = now_s - length_s
        told = self._weigh(says * length_s, now_s)
        if told is None and not drowned and not self.unusual:
            return self._drift(strangeness, length_s)
        return told

    def _weigh(self, evidence_s: float, now_s: float) -> Unusual | UsualAgain | None:
        self.evidence_s = min(max(self.evidence_s + evidence_s, 0.0), self._enough_s)
        since_s = now_s - self._since_s
        if not self.unusual and self.evidence_s >= self._enough_s:
            self.unusual, self._since_s = True, now_s
            return Unusual(for_s=since_s)
        if self.unusual and self.evidence_s == 0:
            self.unusual = False
            return UsualAgain(after_s=since_s)
        return None

    def _drift(self, strangeness: float, length_s: float) -> Drifted | None:
        """The mean over a day of what is within reason; one wild window does not move it."""
        bounded = min(max(strangeness, -STRANGE), 2 * STRANGE)
        self.drift += (bounded - self.drift) * -math.expm1(-length_s / DRIFT_TIME_S)
        if self.drift < DRIFTED * NO_LONGER:
            self._drifted = False
        if self._how == "report" and self.drift >= DRIFTED and not self._drifted:
            self._drifted = True
            return Drifted(by=self.drift)
        return None
