"""A disk that never answers is given up in time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import beepwatch.store.disk
from beepwatch.errors import StoreError
from beepwatch.store.disk import check_answers, clear_probes, in_time, wait_for_answer
from tests.small_disk import BrokenDisk, broken_disk


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokenDisk]:
    monkeypatch.setattr(beepwatch.store.disk, "ANSWERS_WITHIN_S", 0.5)
    with broken_disk(tmp_path) as one:
        yield one


def test_a_disk_that_hangs_is_named_and_one_that_answers_again_is_well(disk: BrokenDisk) -> None:
    check_answers(disk.path)
    with (
        disk.hanging(),
        pytest.raises(StoreError, match=r"^the disk of .*: it does not answer\. Run `beepwatch"),
    ):
        check_answers(disk.path)
    wait_for_answer(disk.path)
    check_answers(disk.path)


def test_any_answer_is_one(disk: BrokenDisk) -> None:
    check_answers(disk.path / "not there")
    disk.pull()
    check_answers(disk.path)


def test_what_is_done_in_time_returns_or_raises_as_ever() -> None:
    assert in_time(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 7 // 0)


def test_what_was_left_by_who_was_killed_while_asking_is_cleared(disk: BrokenDisk) -> None:
    (disk.path / ".beepwatch-4711-1").touch()
    (disk.path / "beepwatch.db").touch()
    clear_probes(disk.path)
    assert {path.name for path in disk.path.iterdir()} == {"lost+found", "beepwatch.db"}
    check_answers(disk.path)
    assert not list(disk.path.glob(".beepwatch-*"))
