"""From a data set whose labels are faults to what tells them apart, and how well it does.

The body of `beepwatch teach NAME --faults DIR`. Nothing is judged by what it was learned from:
sessions are dealt into folds, and each is named by what the others taught.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from beepwatch.capture.files import decode
from beepwatch.classify.faults import MOST_LABELS, NORMAL, Diagnostician, Faults
from beepwatch.classify.spectra import RATE_HZ, WINDOW_S, Floats, typical
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.train.datasets.splitting import groups_of
from beepwatch.train.featuring.listing import Listed, list_recordings
from beepwatch.train.machines.collecting import Cutter
from beepwatch.train.machines.learning import HOP_S
from beepwatch.train.machines.lessons import length_text
from beepwatch.train.machines.naming import learn_faults
from beepwatch.validation import shortened
from beepwatch.wording import counted

MOST_WINDOWS = 2_400  # of a label that are learned from, evenly spread: as of a normal
FOLDS = 3
_KEPT_TOGETHER = ("session",)  # a device is one machine, and this is about one
_TEST = "test"
_SAID = 10  # confusions


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One recording of a known fault, or of none."""

    path: str
    label: str
    group: str  # what is learned from and judged as a whole
    spectra: Floats  # [windows, BANDS], typical ones


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What recordings were taken for by what was learned without them."""

    recordings: Counter[tuple[str, str]]  # by what each is and what it was taken for
    never: int  # recordings of labels that only one session has

    @property
    def right(self) -> int:
        """Of how many the name was right."""
        return sum(count for (label, told), count in self.recordings.items() if label == told)


def collect(data: Path, report: Callable[[int, int], None]) -> Iterator[Case | str]:
    """Each labelled recording outside the split test, or a line about what cannot be one.

    Raises CatalogueError, UnreadableAudio, ConfigurationError as listing does.
    """
    listing = list_recordings(data)
    yield from listing.problems
    wanted = [one for one in listing.recordings if one.label and one.split != _TEST]
    group_of = groups_of([_row(one) for one in wanted], _KEPT_TOGETHER)
    for number, one in enumerate(wanted, 1):
        yield _case(data, one, group_of[one.path])
        report(number, len(wanted))


def _row(one: Listed) -> Mapping[str, str]:
    return {"path": one.path, "session": one.session}


def _case(data: Path, one: Listed, group: str) -> Case | str:
    cutter, windows, spectra = Cutter(), 0, []
    try:
        for block in decode(data / one.path, RATE_HZ):
            for window in cutter.windows(block):
                windows += 1
                if window.any():
                    spectra.append(typical(window))
    except BeepwatchError as error:
        return str(error)
    if not spectra:
        what = "is digital silence" if windows else f"is shorter than {WINDOW_S:g} s"
        return f"{data / one.path} {what}. It is left out."
    return Case(path=one.path, label=one.label, group=group, spectra=np.stack(spectra))


def learn(name: str, data: Path, cases: Sequence[Case], household: Floats | None = None) -> Faults:
    """What tells the labels of the cases apart. Raises ConfigurationError where there are too few.

    `data` is where they are from.
    """
    labels = sorted({case.label for case in cases})
    if not 2 <= len(labels) <= MOST_LABELS:
        found = shortened(", ".join(labels)) or "none"
        raise ConfigurationError(
            f"the recordings in {data} have {counted(len(labels), 'label')} ({found}); to tell "
            f"faults apart give 2 to {MOST_LABELS}, such as the folders normal/ and bearing/."
        )
    spectra, told = _thinned(cases)
    faults = learn_faults(name, spectra, told, household)
    heard_s = sum(len(case.spectra) for case in cases) * HOP_S
    return msgspec.structs.replace(faults, learned_s=heard_s)


def _thinned(cases: Sequence[Case]) -> tuple[Floats, list[str]]:
    """All windows [windows, BANDS] with their labels; of a label no more than there is room for."""
    by_label: dict[str, list[Floats]] = defaultdict(list)
    for case in cases:
        by_label[case.label].append(case.spectra)
    rows, labels = [], []
    for label, found in sorted(by_label.items()):
        every = np.concatenate(found)
        some = np.linspace(0, len(every) - 1, min(len(every), MOST_WINDOWS)).astype(np.intp)
        rows.append(every[some])
        labels += [label] * len(some)
    return np.concatenate(rows), labels


def try_out(name: str, cases: Sequence[Case], household: Floats | None = None) -> Tried:
    """Name each recording by what others taught."""
    fold_of = _folds(cases)
    found: Counter[tuple[str, str]] = Counter()
    for fold in sorted(set(fold_of.values())):
        known = [case for case in cases if fold_of[case.group] != fold]
        labels = {case.label for case in known}
        if len(labels) < 2:
            continue
        doctor = Diagnostician(learn_faults(name, *_thinned(known), household))
        for case in cases:
            if fold_of[case.group] == fold and case.label in labels:
                found[case.label, doctor.likeliest(case.spectra).label] += 1
    return Tried(recordings=found, never=len(cases) - found.total())


def _folds(cases: Sequence[Case]) -> dict[str, int]:
    """For each group its fold: those of a label are dealt out in turn."""
    found: dict[str, int] = {}
    dealt: Counter[str] = Counter()
    for case in sorted(cases, key=lambda one: (one.label, one.path)):
        if case.group not in found:
            found[case.group] = dealt[case.label] % FOLDS
            dealt[case.label] += 1
    return found


def report(faults: Faults, cases: Sequence[Case], tried: Tried) -> list[str]:
    """What was learned, how well it names what it has not heard, and what to do, in plain words."""
    name = faults.name
    counts = Counter(case.label for case in cases)
    kinds = ", ".join(f"{label} ({counts[label]})" for label in faults.labels)
    lines = [
        f"{name}: learned to tell apart, from {counted(len(cases), 'recording')} "
        f"({length_text(faults.learned_s)}): {kinds}."
    ]
    judged = tried.recordings.total()
    if judged:
        lines.append(
            f"Of {counted(judged, 'recording')} that were held back, {tried.right} "
            f"{'was' if tried.right == 1 else 'were'} given the right name."
        )
        wrong = [(pair, count) for pair, count in tried.recordings.items() if pair[0] != pair[1]]
        wrong.sort(key=lambda one: (-one[1], one[0]))
        lines += [f"  {label} taken for {told}: {count}" for (label, told), count in wrong[:_SAID]]
    if tried.never:
        lines.append(
            f"{counted(tried.never, 'recording')} could not be tried: "
            "no other session has their label. Record them more than once."
        )
    if NORMAL not in faults.labels:
        lines.append(f"None has the label {NORMAL}: whatever sounds strange is given a name.")
    lines.append(f"To have recordings named: beepwatch teach {name} --judge FILES.")
    return lines
