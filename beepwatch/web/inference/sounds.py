"""What is said of a recording in which sounds are listened for: beeps, and what was taught."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from beepwatch.web.inference.answers import (
    ModelShown,
    Probability,
    Seconds,
    Verdict,
    verdict_of,
)


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """A sound that was heard: pulses that belong together, as `scan` and the daemon count them."""

    label: str
    onset_s: Seconds
    offset_s: Seconds
    pulses: Annotated[int, Meta(ge=1)]
    score: Probability


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the sound and a probability of each label within it."""

    start_s: Seconds
    end_s: Seconds
    probabilities: list[Probability]  # in the order of the labels

    def shown(self, labels: Sequence[str]) -> "Window":
        """With the labels' names."""
        return Window(
            start_s=self.start_s,
            end_s=self.end_s,
            probabilities=by_label(labels, self.probabilities),
        )


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window of the sound and a probability of each label within it: for a sound the highest."""

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


class Heard(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's answer."""

    duration_s: float
    probabilities: list[Probability]  # the highest of each label
    events: list[Episode]
    windows: list[Stretch]
    problem: str | None  # why there is no more of it, where it breaks off

    def verdict(self) -> Verdict:
        """Anomalous is a recording in which the model has heard one of its sounds."""
        return verdict_of(
            self._message(), self.problem, self.probabilities, anomaly=bool(self.events)
        )

    def in_full(self, model: ModelShown) -> Classification:
        """All that is known of a recording."""
        return Classification(
            model=model,
            duration_s=self.duration_s,
            probabilities=by_label(model.labels, self.probabilities),
            events=self.events,
            windows=[one.shown(model.labels) for one in self.windows],
            problem=self.problem,
        )

    def _message(self) -> str:
        firsts: Mapping[str, Episode] = {one.label: one for one in reversed(self.events)}
        words = [
            f"{label} heard {_times(sum(one.label == label for one in self.events))}, "
            f"first at {first.onset_s:.1f} s"
            for label, first in sorted(firsts.items(), key=lambda item: item[1].onset_s)
        ]
        return "; ".join(words) or f"nothing heard in {self.duration_s:.1f} s"


def by_label(labels: Sequence[str], probabilities: Sequence[float]) -> dict[str, float]:
    """One for each, in their order."""
    return dict(zip(labels, probabilities, strict=True))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
