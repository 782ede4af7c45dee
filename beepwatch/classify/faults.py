"""Which known fault a machine has: a linear rule over its steady spectrum.

Learned by `train/machines/naming.py`. Measured beside a net it is as good on what is here, and is
one product of a matrix and a vector.
"""

import re

import msgspec
import numpy as np

from beepwatch.classify.condition import unpacked
from beepwatch.classify.heads import name_problem
from beepwatch.classify.spectra import BANDS, Floats
from beepwatch.errors import ModelError
from beepwatch.validation import shortened

FORMAT = 1
MOST_LABELS = 200
NORMAL = "normal"  # the label of recordings in which the machine is well
LIKELY = 0.5  # more than all other labels together
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,80}")
MOST_BYTES = 4_000_000
_LARGEST = 1e6


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tells the classes of one machine apart. Arrays are float32, little-endian."""

    format: int = FORMAT
    name: str
    labels: tuple[str, ...]
    weights: bytes  # [labels, BANDS]
    biases: bytes  # [labels]
    learned_s: float


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The fault that a machine most likely has, of those that were learned."""

    label: str
    probability: float


class Diagnostician:
    """Learned faults, unpacked."""

    def __init__(self, faults: Faults) -> None:
        self.labels = faults.labels
        self._weights = unpacked(faults.weights).reshape(len(faults.labels), BANDS)
        self._biases = unpacked(faults.biases)

    def probabilities(self, spectra: Floats) -> Floats:
        """Of each label, of steady spectra [windows, BANDS]: [windows, labels]."""
        logits = spectra @ self._weights.T + self._biases
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)

    def likeliest(self, spectra: Floats) -> Named:
        """The label of steady spectra [windows, BANDS], one at least, as a whole."""
        together = self.probabilities(spectra).mean(axis=0)
        place = int(together.argmax())
        return Named(label=self.labels[place], probability=float(together[place]))

    def fault(self, spectra: Floats) -> Named | None:
        """The same of a machine that sounds strange; None if it is like no fault in particular."""
        found = self.likeliest(spectra)
        return found if found.label != NORMAL and found.probability > LIKELY else None


def fault_text(fault: Named | None, difference: str) -> str:
    """Such as "bearing (97 %): 3.1 kHz whine that was not there"; without a name, the rest."""
    if fault is None:
        return difference
    return f"{fault.label} ({100 * fault.probability:.0f} %): {difference}"


def encode(faults: Faults) -> bytes:
    """As `decode` reads it: JSON, arrays in base64."""
    return msgspec.json.format(msgspec.json.encode(faults), indent=1) + b"\n"


def decode(content: bytes) -> Faults:
    """Faults whose every number is one that it may have; ModelError says which is not."""
    if len(content) > MOST_BYTES:
        raise _unusable(f"they have {len(content)} bytes, more than {MOST_BYTES}")
    try:
        faults = msgspec.json.decode(content, type=Faults)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(shortened(str(error))) from error
    if faults.format != FORMAT:
        raise ModelError(
            f"the learned faults have format {faults.format}, this beepwatch reads {FORMAT}. "
            "Upgrade beepwatch, or learn them again."
        )
    problem = name_problem(faults.name) or _problem(faults)
    if problem:
        raise _unusable(problem)
    return faults


def _problem(faults: Faults) -> str | None:
    count = len(faults.labels)
    if not 2 <= count <= MOST_LABELS or len(set(faults.labels)) != count:
        return f"they have {count} labels, not 2 to {MOST_LABELS} different ones"
    if not all(_LABEL.fullmatch(label) for label in faults.labels):
        return "a label is not 1 to 80 characters that can be printed"
    if not 0 < faults.learned_s < 1e9:
        return f"learned_s is {faults.learned_s}"
    for name, content, length in (
        ("weights", faults.weights, count * BANDS),
        ("biases", faults.biases, count),
    ):
        if len(content) != 4 * length:
            return f"{name} have {len(content)} bytes, expected {4 * length}"
        if not (np.abs(unpacked(content)) <= _LARGEST).all():
            return f"{name} hold what they cannot"
    return None


def _unusable(reason: str) -> ModelError:
    return ModelError(f"these are no learned faults: {reason}. Learn them again.")
