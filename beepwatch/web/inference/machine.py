"""What is said of a recording of a learned machine, in the words and keys of `teach --judge`."""

import msgspec

from beepwatch.classify.condition import Difference
from beepwatch.classify.faults import Named
from beepwatch.web.inference.answers import (
    ModelShown,
    Probability,
    Seconds,
    Verdict,
    rounded,
    verdict_of,
)

STRANGE = "strange"  # the label of a machine whose faults were not learned


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What `/v1/classify` answers; what `teach --judge --json` tells too has its name."""

    model: ModelShown
    duration_s: Seconds
    anomaly: bool
    windows: int
    off: int
    drowned: int
    strangeness: float | None
    unusual_at_s: tuple[Seconds, ...]
    difference: Difference | None
    fault: Named | None
    faults: dict[str, Probability] | None
    problem: str | None


class Judged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's answer."""

    duration_s: float
    anomaly: bool
    message: str
    windows: int  # of 3 s, a second apart
    off: int
    drowned: int
    strangeness: float | None
    unusual_at_s: tuple[float, ...]
    difference: Difference | None
    fault: Named | None
    faults: dict[str, Probability] | None
    problem: str | None

    def verdict(self) -> Verdict:
        """Anomalous is what would be told, or is stranger than normal, not for the room's sounds.

        Probabilities are those of the faults, or how strange it is; none where nothing of the
        machine was heard.
        """
        return verdict_of(self.message, self.problem, self._probabilities(), anomaly=self.anomaly)

    def in_full(self, model: ModelShown) -> Examination:
        """All that is known of a recording."""
        known = {name: getattr(self, name) for name in self.__struct_fields__ if name != "message"}
        return Examination(model=model, **known)

    def _probabilities(self) -> list[float]:
        if self.faults is not None:
            return [rounded(share) for share in self.faults.values()]
        return [] if self.strangeness is None else [share_of(self.strangeness)]


def share_of(strangeness: float) -> float:
    """Strangeness from 0 to 1: a half is that of normal sound's strangest hundredth."""
    above = max(strangeness, 0.0)
    return rounded(above / (1 + above))
