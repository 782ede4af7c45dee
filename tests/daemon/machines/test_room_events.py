"""How a machine stands, and the event that is open while it sounds unusual."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from beepwatch.daemon.pipeline import Note
from beepwatch.messages import (
    AlertKind,
    MachineStanding,
    MachineStandings,
)
from tests.daemon.fans import hums, normal_fan, well, whining
from tests.daemon.loud import START
from tests.daemon.machines.flats import Flat, kinds

pytestmark = pytest.mark.slow


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
