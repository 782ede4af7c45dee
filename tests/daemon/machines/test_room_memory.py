"""What was heard of a machine is remembered by the next life of who listens."""

from pathlib import Path

import pytest

from beepwatch.daemon.machines.memory import FILE
from beepwatch.daemon.machines.room import KEPT_EVERY_S
from beepwatch.messages import (
    AlertKind,
)
from tests.daemon.fans import hums, normal_fan, well, whining
from tests.daemon.loud import START
from tests.daemon.machines.flats import Flat, kinds

pytestmark = pytest.mark.slow


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
