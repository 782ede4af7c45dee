"""A change of the taught sounds is noticed once, and a look costs little."""

from collections.abc import Callable
from pathlib import Path

import pytest

from beepwatch.classify.machines import Machines
from beepwatch.classify.shelf import Shelf
from beepwatch.daemon.watching import EVERY_S, MachinesThere, ShelfWatch
from tests.classify.pitched import pitched
from tests.daemon.fans import normal_fan
from tests.daemon.loud import START

WASHER = pitched("washer", 2_000.0)


def test_every_change_is_noticed_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    watch = ShelfWatch(shelf)
    noticed = []
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: shelf.put(WASHER, START),
        lambda: None,
        lambda: shelf.put(WASHER, START),
        lambda: shelf.remove("washer"),
        lambda: None,
    ]
    for number, change in enumerate(changes):
        change()
        noticed.append(watch.changed(number * EVERY_S))
    assert noticed == [False, True, False, True, True, False]


def test_what_changed_before_the_first_look_is_noticed(tmp_path: Path) -> None:
    """While the daemon starts."""
    watch = ShelfWatch(Shelf(tmp_path))
    Shelf(tmp_path).put(WASHER, START)
    assert watch.changed(0.0)


def test_it_looks_no_more_often_than_it_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(Shelf, "generation", lambda _shelf: looks.append(None))
    watch = ShelfWatch(Shelf(tmp_path))
    for tenth in range(100):
        assert not watch.changed(tenth * EVERY_S / 10)
    assert len(looks) == 11


def test_machines_are_there_from_the_look_after_the_first_was_taught_to_that_after_the_last_went(
    tmp_path: Path,
) -> None:
    shelf = Machines(tmp_path)
    there = MachinesThere(tmp_path)
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: shelf.put(normal_fan(), START),
        lambda: None,
        lambda: (shelf.directory / "fan" / "normal.json").write_text("{"),
        lambda: shelf.remove("fan"),
        lambda: shelf.put(normal_fan(), START),
    ]
    seen = []
    for number, change in enumerate(changes):
        change()
        seen.append(there.look(number * EVERY_S))
        assert there.look(number * EVERY_S + 0.9) is seen[-1]
    assert seen == [False, True, True, True, False, True]


def test_a_disk_that_cannot_be_asked_has_no_machines(tmp_path: Path) -> None:
    """The recorder needs no disk, and does not die of one."""
    there = MachinesThere(tmp_path / ("x" * 300))  # stat says ENAMETOOLONG, as a dead disk says EIO
    assert [there.look(number * EVERY_S) for number in range(2)] == [False, False]
