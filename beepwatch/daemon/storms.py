"""Children that die again and again: told once, and once more when they live."""

from datetime import datetime

from beepwatch.daemon.child import Child
from beepwatch.messages import Fault, FaultKind


class Storms:
    """Since when each child keeps dying."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def died(self, child: Child, exit_code: int, now_s: float, now: datetime) -> Fault | None:
        """One more death; a fault if it is one too many and was not told yet."""
        if child.name in self._since or not child.storming(now_s):
            return None
        self._since[child.name] = now
        text = f"the {child.name} keeps dying (exit code {exit_code}); its log says why"
        return Fault(kind=FaultKind.PROCESS, text=text, since=now)

    def watch(self, child: Child, now_s: float) -> Fault | None:
        """The end of a fault, if the child has lived for long enough."""
        if child.name not in self._since or child.storming(now_s):
            return None
        if not child.fresh(now_s) or not child.heard_of:  # who is only just started may die again
            return None
        since = self._since.pop(child.name)
        text = f"the {child.name} lives again"
        return Fault(kind=FaultKind.PROCESS, text=text, since=since, cleared=True)
