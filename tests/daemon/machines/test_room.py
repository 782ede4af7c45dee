"""Machines come, change and go while somebody listens; a damaged one is one fault."""

from collections.abc import Iterable
from datetime import UTC, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.classify.machines import Machines
from beepwatch.clock import ManualClock
from beepwatch.daemon.machines.memory import FILE
from beepwatch.daemon.machines.room import KEPT_EVERY_S, MachineRoom
from beepwatch.daemon.pipeline import Note
from beepwatch.messages import (
    AlertKind,
    Clip,
    Fault,
    FaultKind,
    Hum,
    MachineStanding,
    MachineStandings,
)
from beepwatch.sections import Machines as Section
from beepwatch.train.machines.learning import spectra_of
from beepwatch.train.machines.naming import learn_faults
from tests.daemon.fans import hums, normal_fan, well, whining
from tests.daemon.loud import START

pytestmark = pytest.mark.slow


class Flat:
    """A room, its clock, and what it has reported and told."""

    def __init__(self, state: Path, *, live: bool = True, rate_hz: int = 16_000) -> None:
        self.state = state
        self.shelf = Machines(state)
        self.clock = ManualClock(START, 1_000.0)
        self.faults: list[Fault] = []
        self.stands: list[MachineStandings] = []
        self.live, self.rate_hz = live, rate_hz
        self.section = Section()
        self.room = self.enter()

    def enter(self) -> MachineRoom:
        """A new life."""
        self.room = MachineRoom(
            self.state,
            self.section,
            self.clock,
            zone=UTC,
            live=self.live,
            rate_hz=self.rate_hz,
            clip=self.clip,
            report=self.hears_of,
        )
        return self.room

    def hears_of(self, news: Fault | MachineStandings) -> None:
        if isinstance(news, Fault):
            self.faults.append(news)
        else:
            self.stands.append(news)

    @property
    def fan(self) -> MachineStanding:
        """As was said last."""
        (fan,) = self.stands[-1].machines
        return fan

    def clip(self, length_s: float) -> Clip:
        pcm = np.zeros(round(length_s * 16_000), np.int16)
        return Clip(pcm=pcm.tobytes(), rate_hz=16_000, started_at=START)

    def pass_(self, seconds: float) -> list[Note]:
        self.clock.advance(seconds)
        return self.room.look()

    def hears(self, heard: Iterable[Hum]) -> list[Note]:
        """In the clock's time."""
        notes = []
        for hum in heard:
            self.clock.advance(3.0)
            span = msgspec.structs.replace(
                hum,
                started_mono_s=self.clock.mono_s() - 3.0,
                started_at=self.clock.utc() - timedelta(seconds=3),
            )
            notes += self.room.hear(span)
            self.room.keep()
        return notes


def kinds(notes: list[Note]) -> list[AlertKind]:
    return [note.alert.kind for note in notes if note.alert is not None]


@pytest.fixture
def flat(tmp_path: Path) -> Flat:
    return Flat(tmp_path)


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


def test_what_was_told_is_not_told_again_by_the_next_life_but_its_end_is(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]
    flat.clock.advance(3_600.0)
    flat.enter()
    assert flat.hears(hums(whining(90))) == []
    (over,) = flat.hears(hums(well(150)))
    assert over.alert is not None
    assert over.alert.kind is AlertKind.RECOVERED
    assert over.alert.text == "the fan sounds as usual again, after 63 min"


def test_evidence_goes_on_in_the_next_life_if_it_was_written_down(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    flat.hears(hums(whining(45)))
    flat.room.keep(now=True)
    flat.enter()
    assert kinds(flat.hears(hums(whining(30)))) == [AlertKind.UNUSUAL]


def test_what_is_known_is_written_down_every_ten_minutes(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    file = flat.shelf.directory / "fan" / FILE
    flat.hears(hums(well(60)))
    assert not file.exists()
    flat.clock.advance(KEPT_EVERY_S)
    flat.hears(hums(well(3)))
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage", ["", "{}", '{"model_id": 3}', "[" * 9_000, "\udcff", '{"memory": NaN}']
)
def test_a_damaged_memory_is_a_watch_that_begins_anew(flat: Flat, damage: str) -> None:
    flat.shelf.put(normal_fan(), START)
    content = damage.encode(errors="surrogateescape")
    (flat.shelf.directory / "fan" / FILE).write_bytes(content)
    flat.enter()
    assert flat.faults == []
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]


def test_a_memory_that_cannot_even_be_looked_at_is_a_watch_that_begins_anew(flat: Flat) -> None:
    """Whose disk says EIO, say; ENAMETOOLONG here. The classifier hears everything else as well."""
    flat.shelf.put(normal_fan(), START)
    (flat.shelf.directory / "fan" / FILE).symlink_to("x" * 300)
    flat.enter()
    assert [note.ends for note in flat.pass_(1.0)] == ["fan"]  # what was open nobody knows
    assert flat.faults == []
    assert flat.fan.usable


def test_the_memory_of_what_was_learned_before_says_nothing_of_what_is_learned_now(
    flat: Flat,
) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]
    flat.shelf.put(normal_fan(2), START)
    flat.pass_(1.0)
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]


def test_a_machine_whose_folder_is_gone_is_no_accident(flat: Flat) -> None:
    """Taken away between two looks."""
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    flat.shelf.remove("fan")
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]
    assert not (flat.shelf.directory / "fan").exists()


def test_of_a_recording_nothing_is_remembered(tmp_path: Path) -> None:
    """Its time is its own."""
    flat = Flat(tmp_path, live=False)
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    flat.hears(hums(whining(90)))
    flat.room.keep(now=True)
    assert not (flat.shelf.directory / "fan" / FILE).exists()


def test_how_much_is_enough_is_configured(flat: Flat) -> None:
    flat.section = Section(enough_s=15)
    flat.shelf.put(normal_fan(), START)
    flat.enter()
    assert kinds(flat.hears(hums(whining(21)))) == [AlertKind.UNUSUAL]


# How they stand


def test_how_a_machine_stands_is_said_from_its_teaching_to_its_end(flat: Flat) -> None:
    assert flat.stands == []
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert flat.fan == MachineStanding(name="fan")
    flat.hears(hums(well(60)))
    usual = flat.fan
    assert (usual.heard_at, usual.off_since, usual.unusual_since) == (flat.clock.utc(), None, None)
    assert usual.strangeness == pytest.approx(0.0, abs=0.9)
    (note,) = flat.hears(hums(whining(90)))
    assert note.alert is not None
    unusual = flat.fan
    assert unusual.unusual_since == note.alert.created_at
    assert unusual.strangeness is not None
    assert unusual.strangeness > 1.2
    flat.hears(hums(well(150)))
    assert flat.fan.unusual_since is None
    last_heard = flat.fan.heard_at
    flat.hears(hums(np.zeros(16_000 * 30, np.int16)))
    assert flat.fan.heard_at == last_heard
    assert flat.fan.off_since == flat.clock.utc() - timedelta(seconds=27)
    flat.shelf.remove("fan")
    flat.pass_(1.0)
    assert flat.stands[-1] == MachineStandings(machines=())


def test_how_a_machine_stood_is_known_to_the_next_life_before_it_hears_anything(
    flat: Flat,
) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    (note,) = flat.hears(hums(whining(90)))
    assert note.alert is not None
    flat.clock.advance(3_600.0)
    flat.stands.clear()
    flat.enter()
    assert flat.fan == MachineStanding(name="fan", unusual_since=note.alert.created_at)


def test_a_damaged_machine_stands_as_one_that_cannot_be_used(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    (flat.shelf.directory / "fan" / "normal.json").write_text("{")
    flat.enter()
    assert flat.fan == MachineStanding(name="fan", usable=False)


# Events that go on until the machine is well


def test_the_event_is_open_until_the_machine_is_well_again(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    assert flat.pass_(1.0) == []
    (unusual, usual) = flat.hears(hums(whining(90), well(150)))
    assert unusual.event is not None
    assert not unusual.event.final
    assert unusual.ends is None
    assert (usual.ends, usual.event, usual.clip) == ("fan", None, None)


def test_a_machine_that_is_taken_away_or_learned_anew_leaves_no_event_open(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]
    flat.shelf.put(normal_fan(2), START)
    assert flat.pass_(1.0) == [Note(ends="fan")]
    flat.shelf.remove("fan")
    assert flat.pass_(1.0) == [Note(ends="fan")]
    assert flat.pass_(1.0) == []


def test_what_an_earlier_life_has_left_open_ends_with_what_was_learned_then(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]
    flat.shelf.put(normal_fan(2), START)
    flat.enter()
    assert flat.pass_(1.0) == [Note(ends="fan")]


def test_what_was_told_stays_open_in_the_next_life(flat: Flat) -> None:
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert kinds(flat.hears(hums(whining(90)))) == [AlertKind.UNUSUAL]
    assert flat.room.finish() == []
    flat.enter()
    assert flat.pass_(1.0) == []


def test_a_recording_ends_what_was_unusual_in_it(tmp_path: Path) -> None:
    flat = Flat(tmp_path, live=False)
    flat.shelf.put(normal_fan(), START)
    flat.pass_(1.0)
    assert flat.room.finish() == []
    flat.hears(hums(whining(90)))
    assert flat.room.finish() == [Note(ends="fan")]


# Quiet hours


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
