"""A data set of labelled recordings in; what tells its labels apart, and how well, out."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from beepwatch.errors import ConfigurationError
from beepwatch.train.machines import diagnosing
from beepwatch.train.machines.diagnosing import Case, Tried, collect, learn, report, try_out
from beepwatch.train.machines.learning import spectra_of
from tests.capture.sounds import write_wav
from tests.train.machines.fan import fan, household

RATE_HZ = 16_000
WHINES_HZ = {"bearing": 3_100.0, "coil": 6_050.0, "normal": None}


def case(label: str, number: int, group: str = "") -> Case:
    path = f"{label}/{number}.wav"
    spectra = spectra_of([fan(number, 6, whine_hz=WHINES_HZ[label])])
    return Case(path=path, label=label, group=group or path, spectra=spectra)


def recorded(data: Path) -> Path:
    """Two recordings of each, and one more of each kind that cannot be used."""
    for label, hz in WHINES_HZ.items():
        (data / label).mkdir(parents=True)
        for number in (1, 2):
            write_wav(data / label / f"{number}.wav", fan(number, 5, whine_hz=hz), RATE_HZ)
    write_wav(data / "coil" / "short.wav", fan(3, 2), RATE_HZ)
    write_wav(data / "coil" / "still.wav", np.zeros(4 * RATE_HZ, np.int16), RATE_HZ)
    (data / "coil" / "text.wav").write_text("a shopping list\n" * 20)
    return data


def test_a_folder_is_a_label_and_what_cannot_be_used_is_a_line(tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    found = list(collect(recorded(tmp_path), lambda done, of: counts.append((done, of))))
    cases = [one for one in found if isinstance(one, Case)]
    assert Counter(one.label for one in cases) == {"bearing": 2, "coil": 2, "normal": 2}
    assert {one.spectra.shape for one in cases} == {(3, 512)}
    lines = [one for one in found if isinstance(one, str)]
    assert [line.removeprefix(f"{tmp_path}/coil/").split(".wav ")[0] for line in lines] == [
        "short",
        "still",
        "text",
    ]
    assert counts[-1] == (9, 9)


def test_a_table_says_labels_sessions_and_what_is_for_the_test(tmp_path: Path) -> None:
    recorded(tmp_path)
    (tmp_path / "dataset.csv").write_text(
        "path,label,session,split\n"
        "bearing/1.wav,worn,monday,train\n"
        "bearing/2.wav,worn,monday,\n"
        "normal/1.wav,normal,,dev\n"
        "normal/2.wav,normal,,test\n"
        "coil/1.wav,,,train\n"
    )
    cases = list(collect(tmp_path, lambda _done, _of: None))
    assert [(one.path, one.label, one.group) for one in cases if isinstance(one, Case)] == [
        ("bearing/1.wav", "worn", "bearing/1.wav"),
        ("bearing/2.wav", "worn", "bearing/1.wav"),
        ("normal/1.wav", "normal", "normal/1.wav"),
    ]


def test_each_is_named_by_what_others_taught() -> None:
    """A mislabelled recording teaches its own fold nothing, and is counted as wrong."""
    cases = [case(label, number) for label in WHINES_HZ for number in range(3)]
    strange = case("coil", 9)
    mislabelled = Case(path="bearing/9", label="bearing", group="9", spectra=strange.spectra)
    tried = try_out("fan", [*cases, mislabelled], household())
    assert tried.recordings["bearing", "coil"] == 1
    assert (tried.right, tried.recordings.total(), tried.never) == (9, 10, 0)


def test_a_session_is_not_judged_by_itself() -> None:
    """All of one label is one session: without it nothing has that label."""
    cases = [
        *(case("bearing", number, "monday") for number in range(2)),
        *(case(label, number) for label in ("coil", "normal") for number in range(3)),
    ]
    tried = try_out("fan", cases, household())
    assert tried.never == 2
    assert tried.right == tried.recordings.total() == 6


def test_a_label_has_no_more_windows_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagnosing, "MOST_WINDOWS", 2)
    learned: list[list[str]] = []

    def noted(name: str, spectra: np.ndarray, labels: list[str], *_: object) -> object:
        learned.append([name, *labels, str(len(spectra))])
        raise InterruptedError

    monkeypatch.setattr(diagnosing, "learn_faults", noted)
    with pytest.raises(InterruptedError):
        learn("fan", Path("data"), [case("bearing", 1), case("normal", 1)])
    assert learned == [["fan", "bearing", "bearing", "normal", "normal", "4"]]


@pytest.mark.parametrize(
    ("labels", "said"),
    [((), "no labels (none)"), (("bearing", "bearing"), "1 label (bearing)")],
)
def test_one_label_tells_nothing_apart(labels: tuple[str, ...], said: str) -> None:
    cases = [case(label, number) for number, label in enumerate(labels)]
    with pytest.raises(ConfigurationError) as raised:
        learn("fan", Path("data"), cases)
    assert f"the recordings in data have {said}; to tell" in str(raised.value)


def test_what_was_learned_is_told_with_what_it_is_worth() -> None:
    cases = [case(label, number) for label in ("bearing", "coil") for number in range(2)]
    faults = learn("fan", Path("data"), cases, household())
    tried = Tried(
        recordings=Counter({("bearing", "bearing"): 1, ("coil", "bearing"): 2}),
        never=1,
    )
    assert report(faults, cases, tried) == [
        "fan: learned to tell apart, from 4 recordings (16 s): bearing (2), coil (2).",
        "Of 3 recordings that were held back, 1 was given the right name.",
        "  coil taken for bearing: 2",
        "1 recording could not be tried: no other session has their label. "
        "Record them more than once.",
        "None has the label normal: whatever sounds strange is given a name.",
        "To have recordings named: beepwatch teach fan --judge FILES.",
    ]
