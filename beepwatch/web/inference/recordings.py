"""What is said of a recording that a network names as a whole."""

import msgspec

from beepwatch.web.inference.answers import (
    ModelShown,
    Probability,
    Seconds,
    Verdict,
    verdict_of,
)
from beepwatch.web.inference.sounds import Stretch, Window, by_label


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """What `/v1/classify` answers."""

    model: ModelShown
    duration_s: Seconds
    anomaly: bool
    label: str  # the likeliest, of those that are normal if it is no anomaly, else of the others
    probabilities: dict[str, Probability]
    windows: list[Window]
    problem: str | None


class Labelled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A worker's answer."""

    duration_s: float
    anomaly: bool
    label: str
    score: Probability  # of the label
    probabilities: list[Probability]
    windows: list[Stretch]
    problem: str | None

    def verdict(self) -> Verdict:
        """Anomalous is what has more likely the name of a fault than one of what is well."""
        message = f"{self.label} ({100 * self.score:.0f} %)"
        return verdict_of(message, self.problem, self.probabilities, anomaly=self.anomaly)

    def in_full(self, model: ModelShown) -> Naming:
        """All that is known of a recording."""
        return Naming(
            model=model,
            duration_s=self.duration_s,
            anomaly=self.anomaly,
            label=self.label,
            probabilities=by_label(model.labels, self.probabilities),
            windows=[one.shown(model.labels) for one in self.windows],
            problem=self.problem,
        )
