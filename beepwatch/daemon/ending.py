"""The orderly end: recorder, classifier and messenger finish in turn, each what it has begun."""

from collections.abc import Callable, Sequence

import msgspec

from beepwatch.daemon.child import Child
from beepwatch.messages import Finish

KILLED_AFTER_S = 1.0  # more than it was told to finish within


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One child's part of the end; without a time limit it may take as long as it lives."""

    child: Child
    within_s: float | None


class Ending:
    """Goes through the turns; a child that does not finish in time is killed."""

    def __init__(self, turns: Sequence[Turn], now_s: float) -> None:
        self._turns = list(turns)
        self._begun_s = now_s
        self._told = False

    @property
    def over(self) -> bool:
        """Whether everybody has finished."""
        return not self._turns

    @property
    def current(self) -> Child | None:
        """Whose turn it is."""
        return self._turns[0].child if self._turns else None

    def hurry(self, within_s: float, now_s: float) -> None:
        """Give everybody who is still to finish no more than this."""
        self._turns = [Turn(child=turn.child, within_s=within_s) for turn in self._turns]
        self._begun_s = now_s

    def leaving(self, child: Child) -> bool:
        """Whether this child has finished or was told to, so that its death is no accident."""
        if child is self.current:
            return self._told
        return all(turn.child is not child for turn in self._turns)

    def step(self, now_s: float, may_finish: Callable[[Child], bool]) -> None:
        """Tell the child whose turn it is to finish, once it may; pass on when it has ended."""
        if not self._turns:
            return
        turn = self._turns[0]
        child = turn.child
        if not self._told and may_finish(child):
            child.send(Finish(within_s=turn.within_s or 0.0))
            self._told = True
        late = turn.within_s is not None and now_s - self._begun_s > turn.within_s + KILLED_AFTER_S
        gone = self._told and not child.alive and not child.speaks  # its last words are heard first
        if late or child.retired or gone:
            child.kill()
            self._turns.pop(0)
            self._begun_s, self._told = now_s, False
