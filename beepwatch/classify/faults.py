"""Which known fault a machine has: linear rules over its typical spectrum.

Learned by `train/machines/naming.py`. What tells faults apart in a quiet room is another thing than
in a loud one, so there is a rule for each loudness of the room, and one that tells how loud it is;
they count by how likely that is.
"""

import re

import msgspec
import numpy as np

from beepwatch.classify.condition import unpacked
from beepwatch.classify.heads import name_problem
from beepwatch.classify.spectra import BANDS, Floats
from beepwatch.errors import ModelError
from beepwatch.validation import shortened

FORMAT = 2  # the first had one rule, over steady spectra
MOST_LABELS = 200
NORMAL = "normal"  # the label of recordings in which the machine is well
LIKELY = 0.5  # more than all other labels together
MOST_ROOMS = 8
_LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,80}")
MOST_BYTES = 4_000_000
_LARGEST = 1e6


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tells kinds of spectra apart. Arrays are float32, little-endian."""

    weights: bytes  # [kinds, BANDS]
    biases: bytes  # [kinds]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tells the classes of one machine apart."""

    format: int = FORMAT
    name: str
    labels: tuple[str, ...]
    rules: tuple[Rule, ...]  # for the labels, one for each loudness of the room
    room: Rule  # for these
    learned_s: float


class _Format(msgspec.Struct, frozen=True):
    format: int


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The fault that a machine most likely has, of those that were learned."""

    label: str
    probability: float


class Diagnostician:
    """Learned faults, unpacked."""

    def __init__(self, faults: Faults) -> None:
        self.labels = faults.labels
        self._rules = [_Unpacked(rule) for rule in faults.rules]
        self._room = _Unpacked(faults.room)

    def probabilities(self, spectra: Floats) -> Floats:
        """Of each label, of typical spectra [windows, BANDS]: [windows, labels]."""
        rooms = self._room.probabilities(spectra)
        labels = np.stack([rule.probabilities(spectra) for rule in self._rules], axis=1)
        return np.asarray((rooms[:, :, None] * labels).sum(axis=1))

    def likeliest(self, spectra: Floats) -> Named:
        """The label of typical spectra [windows, BANDS], one at least, as a whole."""
        together = self.probabilities(spectra).mean(axis=0)
        place = int(together.argmax())
        return Named(label=self.labels[place], probability=float(together[place]))

    def fault(self, spectra: Floats) -> Named | None:
        """The same of a machine that sounds strange; None if it is like no fault in particular."""
        found = self.likeliest(spectra)
        return found if found.label != NORMAL and found.probability > LIKELY else None


class _Unpacked:
    def __init__(self, rule: Rule) -> None:
        self._weights = unpacked(rule.weights).reshape(-1, BANDS)
        self._biases = unpacked(rule.biases)

    def probabilities(self, spectra: Floats) -> Floats:
        """Of each kind, [windows, kinds]."""
        logits = spectra @ self._weights.T + self._biases
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


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
        found = msgspec.json.decode(content, type=_Format).format
        if found != FORMAT:
            upgrade = "Upgrade beepwatch, or learn" if found > FORMAT else "Learn"
            raise ModelError(
                f"the learned faults have format {found}, this beepwatch reads {FORMAT}. "
                f"{upgrade} them again."
            )
        faults = msgspec.json.decode(content, type=Faults)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(shortened(str(error))) from error
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
    rooms = len(faults.rules)
    if not 1 <= rooms <= MOST_ROOMS:
        return f"they have {rooms} rules, not 1 to {MOST_ROOMS}"
    of_labels = (_rule_problem(rule, count) for rule in faults.rules)
    return next(filter(None, of_labels), None) or _rule_problem(faults.room, rooms)


def _rule_problem(rule: Rule, kinds: int) -> str | None:
    for name, content, length in (
        ("weights", rule.weights, kinds * BANDS),
        ("biases", rule.biases, kinds),
    ):
        if len(content) != 4 * length:
            return f"{name} have {len(content)} bytes, expected {4 * length}"
        if not (np.abs(unpacked(content)) <= _LARGEST).all():
            return f"{name} hold what they cannot"
    return None


def _unusable(reason: str) -> ModelError:
    return ModelError(f"these are no learned faults: {reason}. Learn them again.")
