"""Children that die again and again: told once, and once more when they live."""

from collections import defaultdict, deque
from datetime import datetime

from beepwatch.daemon.child import Child
from beepwatch.daemon.proof import Proof
from beepwatch.messages import Fault, FaultKind

DEATHS, WITHIN_S = 5, 600.0  # one that hangs while it starts dies once a minute
LIVES_S = (60.0, 600.0, 1_800.0, 3_600.0)  # before it is told that it does, see `Proof`


class Storms:
    """Since when each child keeps dying."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}
        self._deaths_s: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))
        self._proofs: defaultdict[str, Proof] = defaultdict(lambda: Proof(LIVES_S))

    def died(self, name: str, how: str, now_s: float, now: datetime) -> Fault | None:
        """One more death; a fault if it is one too many and was not told yet."""
        self._proofs[name].fails()
        deaths_s = self._deaths_s[name]
        deaths_s.append(now_s)
        if name in self._since or len(deaths_s) < DEATHS or now_s - deaths_s[0] > WITHIN_S:
            return None
        self._since[name] = now
        text = f"the {name} keeps dying ({how}); its log says why"
        return Fault(kind=FaultKind.PROCESS, text=text, since=now)

    def watch(self, child: Child, now_s: float) -> Fault | None:
        """The end of a fault, if the child has lived for long enough."""
        if child.name not in self._since:
            return None
        if not child.fresh(now_s) or not child.heard_of:  # who is only just started may die again
            return None
        return self.lives(child.name, now_s)

    def lives(self, name: str, now_s: float) -> Fault | None:
        """It shows signs of life."""
        if name not in self._since or not self._proofs[name].holds(now_s):
            return None
        self._deaths_s[name].clear()
        since = self._since.pop(name)
        text = f"the {name} lives again"
        return Fault(kind=FaultKind.PROCESS, text=text, since=since, cleared=True)
