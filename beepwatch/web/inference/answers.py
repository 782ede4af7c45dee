"""What a worker and the server say to one another, and the form in which verdicts leave the server.

What is said of sound itself depends on what a server hears with: `sounds.py`, `machine.py` and
`recordings.py`.
"""

from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class ModelShown(msgspec.Struct, frozen=True, kw_only=True):
    """What answers."""

    kind: Literal["sounds", "machine", "recordings"]
    id: str
    name: str
    labels: list[str]
    thresholds: dict[str, Probability] = {}  # of labels that are heard from there on
    normal: list[str] = []  # labels of what is well


class Details(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Of a verdict; one probability for each label, in their order."""

    message: str
    probabilities: list[Probability]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What `/inference` answers, the form that clients of such servers expect."""

    anomaly: bool
    details: Details


class Said(Protocol):
    """A worker's answer to sound."""

    @property
    def duration_s(self) -> float:
        """Of the sound."""
        ...

    def verdict(self) -> Verdict:
        """For `/inference`."""
        ...

    def in_full(self, model: ModelShown) -> msgspec.Struct:
        """For `/v1/classify`."""
        ...


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's answer to what is no sound that it can hear."""

    status: int
    reason: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's first word: what it hears with."""

    model: ModelShown
    problems: list[str]  # of taught sounds that are left out


class Unable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's last word: what it did not expect."""

    reason: str


def verdict_of(
    message: str, problem: str | None, probabilities: list[float], *, anomaly: bool
) -> Verdict:
    """With why there is no more of the sound, where it breaks off."""
    whole = f"{message}. {problem}" if problem else message
    return Verdict(anomaly=anomaly, details=Details(message=whole, probabilities=probabilities))


def rounded(probability: float) -> float:
    """As it leaves the server."""
    return round(probability, 4)
