"""Is the input sound at all? Time and samples come in, faults come out; nothing waits or reads.

Each fault is told once when it begins and once, `cleared`, when it is over; between the two
thresholds nothing changes, so that an input at the edge does not chatter.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from beepwatch.messages import Fault, FaultKind

ALL_ZERO_AFTER_S = 30.0  # a real microphone hisses: exact zeros mean muted or unplugged
SOUND_FOR_S = 2.0  # so much without a zero stretch ends the fault
_ZERO_GAP_S = 0.5
CLIPPING_WITHIN_S = 10.0
CLIPPING_SHARE = 0.01
_CLIPPING_OVER_SHARE = 0.001
_FULL_SCALE = 0.999  # some converters stop one or two steps short of the last one
OVERFLOW_OVER_AFTER_S = 60.0
# How long an end has to last to be told, by how many of its kind were told lately.
PROOF_S = (0.0, 10.0, 60.0, 360.0, 1800.0)
LATELY_S = 6 * 3600.0
_OVER = {
    FaultKind.NO_DEVICE: "is heard again",
    FaultKind.STALLED: "is heard again",
    FaultKind.ALL_ZERO: "gives sound again",
    FaultKind.CLIPPING: "does not clip any more",
    FaultKind.OVERFLOW: "is read in time again",
}


class FaultLedger:
    """What is wrong at the moment; each kind is open at most once.

    An input that comes and goes is told as one long fault: after each end that was told lately, the
    next one has to last longer before it is told too.
    """

    def __init__(self, source: str, known: Iterable[Fault] = ()) -> None:
        """`known` was told by an earlier life, and not its end."""
        self._source = source
        self._open = {fault.kind: fault for fault in known}
        self._seems_over_s: dict[FaultKind, float] = {}  # since when; still open
        self._told_over_s: defaultdict[FaultKind, deque[float]] = defaultdict(deque)

    def __contains__(self, kind: FaultKind) -> bool:
        return kind in self._open

    def begin(self, kind: FaultKind, text: str, since: datetime, count: int = 1) -> list[Fault]:
        """The fault, or nothing but a higher count if it is known already."""
        self._seems_over_s.pop(kind, None)
        if known := self._open.get(kind):
            self._open[kind] = msgspec.structs.replace(known, count=known.count + count)
            return []
        fault = Fault(kind=kind, text=text, since=since, count=count)
        self._open[kind] = fault
        return [fault]

    def end(self, *kinds: FaultKind, now_s: float) -> list[Fault]:
        """Those of `kinds` that were open and need not prove themselves, as `over` tells them."""
        for kind in kinds:
            if kind in self._open:
                self._seems_over_s.setdefault(kind, now_s)
        return self.over(now_s)

    def over(self, now_s: float) -> list[Fault]:
        """Those whose end has lasted for long enough: cleared, with their final count."""
        told = [
            kind
            for kind, since_s in self._seems_over_s.items()
            if now_s - since_s >= self._proof_s(kind, now_s)
        ]
        for kind in told:
            del self._seems_over_s[kind]
            self._told_over_s[kind].append(now_s)
        return [self._cleared(self._open.pop(kind)) for kind in told]

    def _cleared(self, fault: Fault) -> Fault:
        text = f"{self._source} {_OVER[fault.kind]}"
        return msgspec.structs.replace(fault, text=text, cleared=True)

    def _proof_s(self, kind: FaultKind, now_s: float) -> float:
        lately = self._told_over_s[kind]
        while lately and lately[0] < now_s - LATELY_S:
            lately.popleft()
        return PROOF_S[min(len(lately), len(PROOF_S) - 1)]


class InputHealth:
    """Tells all-zero, clipping and overflowing input from the samples themselves."""

    def __init__(self, ledger: FaultLedger, source: str) -> None:
        self._ledger = ledger
        self._source = source
        self._zero_since_s: float | None = None
        self._sound_since_s: float | None = None
        self._seconds: deque[tuple[float, int, int]] = deque()  # start_s, samples, clipped
        self._overflowed_at_s: float | None = None

    def begin_anew(self) -> None:
        """Another opening: zeros and sound before it did not last until now."""
        self._zero_since_s = self._sound_since_s = None

    def step(
        self, mono: NDArray[np.float32], overflows: int, now_s: float, utc: datetime
    ) -> list[Fault]:
        """What has begun and what is over with this block; `mono` is full scale ± 1.

        `now_s` is any monotonic time, `utc` the same moment's.
        """
        if mono.size == 0:
            return []
        peak = float(np.abs(mono).max())
        return [
            *self._zeros(peak == 0, now_s, utc),
            *self._clipping(mono, peak, now_s, utc),
            *self._overflow(overflows, now_s, utc),
        ]

    def _zeros(self, silent: bool, now_s: float, utc: datetime) -> list[Fault]:
        if silent:
            self._zero_since_s = now_s if self._zero_since_s is None else self._zero_since_s
            if now_s - self._zero_since_s >= _ZERO_GAP_S:
                self._sound_since_s = None
            if now_s - self._zero_since_s < ALL_ZERO_AFTER_S:
                return []
            return self._ledger.begin(
                FaultKind.ALL_ZERO,
                f"{self._source} has given nothing but zeros for {ALL_ZERO_AFTER_S:.0f} s. "
                "Is it muted? Run `beepwatch doctor`.",
                utc,
            )
        self._zero_since_s = None
        self._sound_since_s = now_s if self._sound_since_s is None else self._sound_since_s
        if now_s - self._sound_since_s < SOUND_FOR_S:
            return []
        return self._ledger.end(FaultKind.ALL_ZERO, now_s=now_s)

    def _clipping(
        self, mono: NDArray[np.float32], peak: float, now_s: float, utc: datetime
    ) -> list[Fault]:
        clipped = int(np.count_nonzero(np.abs(mono) >= _FULL_SCALE)) if peak >= _FULL_SCALE else 0
        self._count(now_s, mono.size, clipped)
        samples = sum(samples for _, samples, _ in self._seconds)
        share = sum(clipped for _, _, clipped in self._seconds) / samples
        if share > CLIPPING_SHARE:
            return self._ledger.begin(
                FaultKind.CLIPPING,
                f"{share:.0%} of the samples from {self._source} are at full scale. "
                "Turn the input's level down or move it away.",
                utc,
            )
        over = share < _CLIPPING_OVER_SHARE
        return self._ledger.end(FaultKind.CLIPPING, now_s=now_s) if over else []

    def _count(self, now_s: float, samples: int, clipped: int) -> None:
        while self._seconds and self._seconds[0][0] <= now_s - CLIPPING_WITHIN_S:
            self._seconds.popleft()
        if self._seconds and now_s - self._seconds[-1][0] < 1:
            start_s, so_far, clipped_so_far = self._seconds.pop()
            self._seconds.append((start_s, so_far + samples, clipped_so_far + clipped))
        else:
            self._seconds.append((now_s, samples, clipped))

    def _overflow(self, overflows: int, now_s: float, utc: datetime) -> list[Fault]:
        if overflows:
            self._overflowed_at_s = now_s
            return self._ledger.begin(
                FaultKind.OVERFLOW,
                f"samples from {self._source} came faster than they were read and were lost. "
                "Is the machine overloaded?",
                utc,
                overflows,
            )
        if self._overflowed_at_s is None:
            return []
        if now_s - self._overflowed_at_s < OVERFLOW_OVER_AFTER_S:
            return []
        self._overflowed_at_s = None
        return self._ledger.end(FaultKind.OVERFLOW, now_s=now_s)
