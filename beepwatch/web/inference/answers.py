"""What a worker makes of an upload, and the two forms in which it leaves the server."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

Probability = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A sound that was heard: pulses that belong together, as `scan` and the daemon count them."""

    label: str
    onset_s: Seconds
    offset_s: Seconds
    pulses: Annotated[int, Meta(ge=1)]
    score: Probability


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the sound and the highest probability of each label within it."""

    start_s: Seconds
    end_s: Seconds
    probabilities: list[Probability]  # in the order of the labels


class Heard(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's answer to sound."""

    duration_s: float
    probabilities: list[Probability]  # the highest of each label
    events: list[Episode]
    windows: list[Stretch]
    problem: str | None  # why there is no more of it, where it breaks off


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's answer to what is no sound that it can hear."""

    status: int
    reason: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's first word: what it listens for."""

    name: str
    model_id: str
    labels: list[str]
    thresholds: dict[str, float]
    problems: list[str]  # of taught sounds that are left out


class Unable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's last word: what it did not expect."""

    reason: str


Answer = Heard | Refused | Ready | Unable


class Details(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Of a verdict; one probability for each label of the model, in its order."""

    message: str
    probabilities: list[Probability]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What `/inference` answers, the form that clients of such servers expect."""

    anomaly: bool
    details: Details


class ModelShown(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answers."""

    id: str
    name: str
    labels: list[str]
    thresholds: dict[str, Probability]


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the sound: the highest probability of each label within it."""

    start_s: Seconds
    end_s: Seconds
    probabilities: dict[str, Probability]


class Classification(msgspec.Struct, frozen=True, kw_only=True):
    """What `/v1/classify` answers."""

    model: ModelShown
    duration_s: Seconds
    probabilities: dict[str, Probability]
    events: list[Episode]
    windows: list[Window]
    problem: str | None


def verdict(heard: Heard) -> Verdict:
    """Anomalous is a recording in which the model has heard one of its sounds."""
    return Verdict(
        anomaly=bool(heard.events),
        details=Details(message=_message(heard), probabilities=heard.probabilities),
    )


def classification(heard: Heard, model: ModelShown) -> Classification:
    """All that is known of a recording."""

    def by_label(probabilities: Sequence[float]) -> dict[str, float]:
        return dict(zip(model.labels, probabilities, strict=True))

    return Classification(
        model=model,
        duration_s=heard.duration_s,
        probabilities=by_label(heard.probabilities),
        events=heard.events,
        windows=[
            Window(
                start_s=one.start_s,
                end_s=one.end_s,
                probabilities=by_label(one.probabilities),
            )
            for one in heard.windows
        ],
        problem=heard.problem,
    )


def _message(heard: Heard) -> str:
    firsts: Mapping[str, Episode] = {one.label: one for one in reversed(heard.events)}
    words = [
        f"{label} heard {_times(sum(one.label == label for one in heard.events))}, "
        f"first at {first.onset_s:.1f} s"
        for label, first in sorted(firsts.items(), key=lambda item: item[1].onset_s)
    ]
    said = "; ".join(words) or f"nothing heard in {heard.duration_s:.1f} s"
    return f"{said}. {heard.problem}" if heard.problem else said


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
