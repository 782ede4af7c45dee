"""Taught sounds on the disk: there whole or not at all, and every change is noticed."""

import errno
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.classify import examples
from beepwatch.classify.cabinet import KEPT_VERSIONS
from beepwatch.classify.heads import Head, encode
from beepwatch.classify.shelf import Shelf
from beepwatch.errors import ConfigurationError, DiskFull, ModelError, StoreError
from tests.classify.pitched import pitched
from tests.small_disk import small_disk

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PULSE = np.arange(-800, 800, dtype=np.int16)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "state")


def with_threshold(head: Head, threshold: float) -> Head:
    return msgspec.structs.replace(head, threshold=threshold)


def test_what_is_put_there_is_read_again_with_its_examples(shelf: Shelf) -> None:
    washer = pitched("washer", 2_000.0, 3_000.0)
    shelf.put(washer, NOW, [PULSE, PULSE[::2]])
    assert shelf.head("washer") == washer
    sounds = [examples.decode(path.read_bytes()) for path in shelf.examples("washer")]
    assert [sound.tolist() for sound in sounds] == [PULSE.tolist(), PULSE[::2].tolist()]


def test_nothing_is_there_before_anything_was_taught(shelf: Shelf) -> None:
    assert shelf.digests() == {}
    assert shelf.generation() is None
    with pytest.raises(ModelError, match=r"no taught sound 'washer' in .*; there are: none yet"):
        shelf.head("washer")


def test_a_new_head_keeps_the_examples_unless_it_brings_its_own(shelf: Shelf) -> None:
    shelf.put(pitched("washer", 2_000.0), NOW, [PULSE, PULSE])
    shelf.put(pitched("washer", 2_010.0), NOW)
    assert len(shelf.examples("washer")) == 2
    shelf.put(pitched("washer", 2_010.0), NOW, [PULSE])
    assert len(shelf.examples("washer")) == 1


def test_every_change_is_another_generation_and_another_digest(shelf: Shelf) -> None:
    seen = [shelf.generation()]
    digests = [shelf.digests()]
    changes: list[Callable[[], object]] = [
        lambda: shelf.put(pitched("washer", 2_000.0), NOW),
        lambda: shelf.put(pitched("washer", 2_010.0), NOW),
        lambda: shelf.put(pitched("dryer", 2_500.0), NOW),
        lambda: shelf.rollback("washer"),
        lambda: shelf.remove("dryer"),
    ]
    for change in changes:
        change()
        seen.append(shelf.generation())
        digests.append(shelf.digests())
    assert len(set(seen)) == len(seen)
    assert all(one != other for one, other in pairwise(digests))
    assert digests[1] == digests[-1]
    assert [len(one) for one in digests] == [0, 1, 1, 2, 2, 1]


def test_a_rollback_goes_back_version_by_version_and_then_says_that_there_is_none(
    shelf: Shelf,
) -> None:
    washer = pitched("washer", 2_000.0)
    for number in range(KEPT_VERSIONS + 3):
        shelf.put(with_threshold(washer, 0.1 + number / 100), NOW + timedelta(minutes=number))
    assert len(shelf.versions("washer")) == KEPT_VERSIONS
    back = [round(shelf.rollback("washer").threshold * 100 - 10) for _ in range(KEPT_VERSIONS)]
    assert back == [6, 5, 4, 3, 2]
    assert shelf.head("washer").threshold == pytest.approx(0.12)
    with pytest.raises(ModelError, match="washer has no version before the one in use"):
        shelf.rollback("washer")


def counts(shelf: Shelf) -> list[int]:
    """How long each of a sound's examples is."""
    paths = shelf.examples("washer")
    return [len(examples.decode(path.read_bytes())) for path in paths]


def test_a_rollback_brings_the_examples_back_that_its_head_was_made_from(shelf: Shelf) -> None:
    """Or whatever is made of it next is made of those that somebody has just turned down."""
    shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
    shelf.put(pitched("washer", 2_010.0), NOW, [PULSE[:100], PULSE[:200]])
    shelf.put(pitched("washer", 2_020.0), NOW)
    shelf.put(pitched("washer", 2_030.0), NOW, [PULSE[:300]])
    seen = []
    for _ in range(3):
        shelf.rollback("washer")
        seen.append(counts(shelf))
    assert seen == [[100, 200], [100, 200], [len(PULSE)]]
    assert [path.name for path in (shelf.directory / "washer" / "versions").iterdir()] == []


def test_of_examples_no_more_is_kept_than_of_versions(shelf: Shelf) -> None:
    for number in range(KEPT_VERSIONS + 3):
        shelf.put(pitched("washer", 2_000.0 + number), NOW, [PULSE])
    assert len(list(shelf.directory.rglob("*.wav"))) == KEPT_VERSIONS + 1


@pytest.mark.parametrize("later_s", [-86_400, 0, 1])
def test_the_version_before_is_the_one_before_whatever_the_clock_says(
    shelf: Shelf, later_s: float
) -> None:
    washer = pitched("washer", 2_000.0)
    for number in range(4):
        at = NOW + timedelta(seconds=number * later_s)
        shelf.put(with_threshold(washer, 0.1 + number / 10), at)
    assert [shelf.rollback("washer").threshold for _ in range(3)] == [
        pytest.approx(wanted) for wanted in (0.3, 0.2, 0.1)
    ]


def test_a_removed_sound_is_gone_with_all_that_was_recorded_of_it(shelf: Shelf) -> None:
    shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
    shelf.put(pitched("dryer", 2_500.0), NOW, [PULSE])
    shelf.remove("washer")
    assert [*shelf.digests()] == ["dryer"]
    assert [path for path in shelf.directory.rglob("*.wav") if "dryer" not in path.parts] == []


def test_a_sound_whose_teaching_was_broken_off_is_not_there(shelf: Shelf) -> None:
    """Killed between the examples and the head; the next try finds no leftovers in its way."""
    shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
    (shelf.directory / "washer" / "head.json").unlink()
    (shelf.directory / "washer" / ".head.json.new").write_text("half of a he")
    (shelf.directory / "washer" / "examples.fresh").mkdir()
    (shelf.directory / "washer" / "examples.fresh" / "007.wav").touch()
    assert shelf.digests() == {}
    shelf.put(pitched("washer", 2_000.0), NOW, [PULSE, PULSE])
    assert shelf.head("washer").name == "washer"
    assert [path.name for path in shelf.examples("washer")] == ["001.wav", "002.wav"]


def spoil(shelf: Shelf, **changed: object) -> None:
    path = shelf.directory / "washer" / "head.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"threshold": 2.0}, "threshold is 2.0"),
        ({"weights": [1.0]}, "it has 1 weights"),
        ({"name": "dryer"}, "is of a sound that is called dryer"),
        ({"name": "../../etc"}, "the name '../../etc'"),
        ({"more": 1}, "more"),
    ],
)
def test_a_damaged_head_is_one_line(shelf: Shelf, changed: dict[str, object], said: str) -> None:
    shelf.put(pitched("washer", 2_000.0), NOW)
    spoil(shelf, **changed)
    with pytest.raises(ModelError) as caught:
        shelf.head("washer")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_head_that_cannot_be_read_is_there_and_one_line(shelf: Shelf) -> None:
    """A pipe would keep its reader waiting; a huge file would fill the memory."""
    shelf.put(pitched("washer", 2_000.0), NOW)
    path = shelf.directory / "washer" / "head.json"
    path.write_bytes(b" " * 200_000)
    assert shelf.digests() == {"washer": ""}
    with pytest.raises(ModelError, match="200000 bytes, more than 100000"):
        shelf.head("washer")


def test_what_could_not_be_read_again_is_not_put_there(shelf: Shelf) -> None:
    shelf.put(pitched("washer", 2_000.0), NOW)
    for wrong in (
        with_threshold(pitched("washer", 2_000.0), 1.0),
        pitched("../washer", 2_000.0),
        pitched("generation", 2_000.0),
        pitched("beep", 2_000.0),
    ):
        with pytest.raises((ModelError, ConfigurationError)):
            shelf.put(wrong, NOW)
    assert shelf.head("washer").threshold == 0.5
    assert shelf.versions("washer") == []
    assert [*shelf.digests()] == ["washer"]


def test_all_is_the_owners_alone_whatever_the_umask(shelf: Shelf) -> None:
    before = os.umask(0)
    try:
        shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
        shelf.put(pitched("washer", 2_010.0), NOW)
        shelf.put_room(PULSE)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in shelf.directory.parent.rglob("*")}
    assert shelf.room in modes
    assert len(modes) >= 8
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_teaches_a_daemon_of_another_user_can_read(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 12_345, 12_346)
    shelf = Shelf(state)
    shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
    shelf.put(pitched("washer", 2_010.0), NOW)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in state.rglob("*")}
    assert owners == {(12_345, 12_346)}


def test_a_state_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="cannot change the taught sounds in"):
        Shelf(tmp_path / "state").put(pitched("washer", 2_000.0), NOW)


def test_a_full_disk_leaves_the_sound_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        shelf = Shelf(disk.path)
        shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
        with pytest.raises(DiskFull, match="Free some space"):
            shelf.put(pitched("washer", 2_010.0), NOW, [np.zeros(900_000, np.int16)] * 40)
        assert shelf.head("washer").pitches_hz == (2_000.0,)
        assert len(shelf.examples("washer")) == 1
        assert disk.free_bytes > 7_000_000


def test_where_the_disk_is_full_what_is_taken_away_makes_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        shelf = Shelf(disk.path)
        shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
        before = shelf.generation()
        disk.fill()
        shelf.remove("washer")
        assert shelf.digests() == {}
        assert shelf.generation() != before
        assert disk.free_bytes > 0


def no_room(path: Path, *_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize("there_already", [True, False])
def test_no_room_for_the_head_changes_nothing_and_leaves_nothing(
    shelf: Shelf, there_already: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples had room, what they were made for has none."""
    if there_already:
        shelf.put(pitched("washer", 2_000.0), NOW, [PULSE])
    before = sorted(shelf.directory.rglob("*"))
    written = Shelf._write

    def write(self: Shelf, path: Path, content: bytes) -> None:
        no_room(path) if path.name == "head.json" else written(self, path, content)

    monkeypatch.setattr(Shelf, "_write", write)
    with pytest.raises(DiskFull, match="Free some space"):
        shelf.put(pitched("washer", 2_010.0), NOW, [PULSE, PULSE])
    monkeypatch.undo()
    left = {path for path in shelf.directory.rglob("*") if path.name not in (".lock", "versions")}
    assert left == {path for path in before if path.name != ".lock"}
    if there_already:
        assert shelf.head("washer").pitches_hz == (2_000.0,)
        assert counts(shelf) == [len(PULSE)]


def test_a_head_is_written_as_it_is_read(shelf: Shelf) -> None:
    washer = pitched("washer", 2_000.0)
    shelf.put(washer, NOW)
    assert (shelf.directory / "washer" / "head.json").read_bytes() == encode(washer)
