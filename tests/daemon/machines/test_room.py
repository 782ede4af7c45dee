"""Machines come, change and go while somebody listens; a damaged one is one fault."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.messages import (
    AlertKind,
    FaultKind,
)
from beepwatch.sections import Machines as Section
from beepwatch.train.machines.learning import spectra_of
from beepwatch.train.machines.naming import learn_faults
from tests.daemon.fans import hums, normal_fan, well, whining
from tests.daemon.loud import START
from tests.daemon.machines.flats import Flat, kinds

pytestmark = pytest.mark.slow


def test_without_machines_nothing_is_judged_and_nothing_written(flat: Flat, tmp_path: Path) -> None:
    assert flat.hears(hums(whining(90))) == []
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_is_taught_is_heard_from_the_next_look_on_and_one_taken_away_no_more(
    flat: Flat,
) -> None:
    assert flat.hears(hums(whining(90))) == []
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    (note,) = flat.hears(hums(whining(90)))
    assert note.event is not None
    assert note.event.label == "fan"
    assert len(note.event.model_id) == 12
    assert note.clip == flat.clip(30.0)
    assert note.picture is not None
    assert note.picture.startswith(b"\x89PNG")
    flat.shelf.remove("fan")
    flat.pass_(1.0)
    assert flat.hears(hums(well(150))) == []


def test_a_fault_that_was_learned_meanwhile_is_named(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    spectra = [spectra_of([sound]) for sound in (well(9), whining(9))]
    labels = ["normal"] * len(spectra[0]) + ["bearing"] * len(spectra[1])
    flat.shelf.put_faults(learn_faults("fan", np.concatenate(spectra), labels))
    (note,) = flat.hears(hums(whining(90)))
    assert note.alert is not None
    assert "; most like: bearing (" in note.alert.text
    assert "whine that was not there" in note.alert.text


def test_damaged_faults_leave_a_machine_without_names(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    (flat.shelf.directory / "fan" / "faults.json").write_text("{")
    (note,) = flat.hears(hums(whining(90)))
    assert note.alert is not None
    assert "whine that was not there" in note.alert.text
    assert flat.faults == []


def test_what_is_learned_anew_is_judged_by_what_was_learned_last(flat: Flat) -> None:
    """The fan with a whine is well, says who has taught it so."""
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert flat.hears(hums(whining(45))) == []
    flat.shelf.put(normal_fan(whine=True), START)
    flat.pass_(1.0)
    assert flat.hears(hums(whining(150))) == []
    assert kinds(flat.hears(hums(well(90)))) == [AlertKind.UNUSUAL]


def test_a_damaged_machine_is_one_fault_and_the_others_are_heard(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.shelf.put(msgspec.structs.replace(normal_fan(), name="pump"), START)
    damaged = flat.shelf.directory / "pump" / "normal.json"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:1_000])
    flat.enter()
    (fault,) = flat.faults
    assert fault.kind is FaultKind.MODEL
    assert not fault.cleared
    assert str(damaged) in fault.text
    assert [note.event and note.event.label for note in flat.hears(hums(whining(90)))] == ["fan"]
    flat.shelf.put(msgspec.structs.replace(normal_fan(), name="third"), START)
    flat.pass_(1.0)
    assert len(flat.faults) == 1
    flat.shelf.put(msgspec.structs.replace(normal_fan(), name="pump"), START)
    flat.pass_(1.0)
    assert [(one.text, one.cleared) for one in flat.faults[1:]] == [
        ("the learned machine pump can be used again", True)
    ]


def test_a_damaged_machine_that_is_taken_away_is_no_fault_any_more(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    (flat.shelf.directory / "fan" / "normal.json").write_text("{")
    flat.enter()
    flat.shelf.remove("fan")
    flat.pass_(1.0)
    assert [one.cleared for one in flat.faults] == [False, True]
    assert flat.hears(hums(whining(90))) == []


def test_a_model_that_hears_at_another_rate_hears_no_machine_and_says_so(tmp_path: Path) -> None:
    flat = Flat(tmp_path, rate_hz=8_000)
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    (fault,) = flat.faults
    assert fault.text == (
        "machines are heard at 16000 Hz, and model.bundle at 8000 Hz. Take the shipped model."
    )


def test_how_much_is_enough_is_configured(flat: Flat) -> None:
    flat.section = Section(enough_s=15)
    flat.shelf.put(normal_fan(), START)
    flat.enter()
    assert kinds(flat.hears(hums(whining(21)))) == [AlertKind.UNUSUAL]


# How they stand


@pytest.mark.parametrize(
    ("quiet_hours", "held"), [("", False), ("00:00-00:01", False), ("01:00-00:59", True)]
)
def test_quiet_hours_hold_back_what_is_told_of_a_machine(
    flat: Flat, quiet_hours: str, held: bool
) -> None:
    flat.section = Section(quiet_hours=quiet_hours)
    flat.shelf.put(normal_fan(), START)
    flat.enter()
    for note in flat.hears(hums(whining(90), well(150))):
        assert note.alert is not None
        over = note.alert.due_at
        if held:
            assert (over.hour, over.minute) == (0, 59)
            assert over > note.alert.created_at
        else:
            assert over == note.alert.created_at
