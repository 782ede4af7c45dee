"""On a disk that is read-only at the start the state lies in memory, which is nobody else's."""

import errno
import os
import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.clock import ManualClock
from beepwatch.daemon import refuge
from beepwatch.daemon.refuge import Refuge, memories, refuge_from, why_unwritable
from beepwatch.errors import StoreError
from beepwatch.messages import AlertKind
from beepwatch.sections import Config, Store
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.classify.pitched import pitched
from tests.small_disk import small_disk
from tests.store.messages_of_a_day import beep, heard, sound
from tests.store.pending import pending_by_channel

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = datetime(2027, 3, 1, tzinfo=UTC)
CLOCK = ManualClock(NOW, 0.0)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a household, on a disk of which the kernel says that it is read-only."""
    state = tmp_path / "state"
    database = Database(state)
    Outbox(database).write(event=beep(), alert=heard(), channels=["telegram:7"])
    database.close()
    Shelf(state).put(pitched("panel", 4_870.0), NOW)
    said = {state: "Read-only file system"}
    monkeypatch.setattr(refuge, "why_unwritable", said.get)
    monkeypatch.setattr(refuge, "PLACES", (tmp_path / "first", tmp_path / "second"))
    for place in refuge.PLACES:
        place.mkdir()
    return state


def found(state: Path) -> Path:
    one = refuge_from(state)
    assert one is not None
    return one.memory


def last_heard(directory: Path) -> datetime | None:
    database = Database(directory)
    try:
        return Outbox(database).last_heard()
    finally:
        database.close()


def test_what_is_known_and_what_is_to_be_told_is_taken_along(state: Path) -> None:
    memory = found(state)
    assert memory.parent.name == "first"
    assert memory.stat().st_mode & 0o777 == 0o700
    assert (memory / "beepwatch.db").stat().st_mode & 0o777 == 0o600
    assert list(Shelf(memory).digests()) == ["panel"]
    database = Database(memory)
    assert pending_by_channel(database) == {"telegram:7": 1}
    database.close()


def test_the_clips_of_what_is_to_be_told_come_along_the_newest_first_as_far_as_there_is_room(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refuge, "MOST_MB", 0.002)
    told = keep_clip(state, "told", 3_600, 500)
    older = keep_clip(state, "older", 7_200, 1_500)
    unreadable = keep_clip(state, "unreadable", 10_800, 500)
    newer = keep_clip(state, "newer", 14_400, 1_500)
    with closing(Database(state)) as database:
        outbox = Outbox(database)
        for delivery in outbox.tellable("telegram:7", LATER, 100):
            if delivery.alert.dedupe_key == "told":
                outbox.sent(delivery.id, reference=None, revision=0, sent_at=LATER)
    (state / unreadable).unlink()
    memory = found(state)
    assert (memory / newer).read_bytes() == bytes(1_500)
    assert (memory / newer).stat().st_mode & 0o777 == 0o600
    assert (memory / "clips").stat().st_mode & 0o777 == 0o700
    assert [(memory / path).exists() for path in (told, older, unreadable)] == [False] * 3


def keep_clip(state: Path, key: str, onset_s: float, size_bytes: int) -> Path:
    """Of an event that an alert is about; where it is below the state directory."""
    with closing(Database(state)) as database:
        written = Outbox(database).write(
            event=beep(onset_s), clip=sound(0.1), alert=heard(key), channels=["telegram:7"]
        )
        assert written.event_id is not None
        path = Library(database).keep(written.event_id, 1, bytes(size_bytes), ".mp3")
    return path.relative_to(state)


def test_the_next_daemon_goes_on_with_what_the_one_before_has_left(state: Path) -> None:
    memory = found(state)
    database = Database(memory)
    later = beep(3_600)
    Outbox(database).write(event=later)
    database.close()
    assert found(state) == memory
    assert last_heard(memory) == later.offset


def test_a_disk_that_can_be_written_is_written(state: Path, tmp_path: Path) -> None:
    assert refuge_from(tmp_path / "another") is None
    assert list((tmp_path / "first").iterdir()) == []


@pytest.mark.parametrize("taken", ["open to others", "a link", "a file"])
def test_a_place_that_somebody_has_taken_before_is_not_used(
    taken: str, state: Path, tmp_path: Path
) -> None:
    name = found(state).name
    subprocess.run(["rm", "-r", tmp_path / "first" / name], check=True)
    place = tmp_path / "first" / name
    match taken:
        case "open to others":
            place.mkdir(mode=0o755)
        case "a link":
            (tmp_path / "theirs").mkdir(mode=0o700)
            place.symlink_to(tmp_path / "theirs")
        case _:
            place.touch()
    assert found(state) == tmp_path / "second" / name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_for_who_is_not_the_service_its_memory_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/run/beepwatch` leads into a directory that is shut, as systemd makes it."""
    (tmp_path / "private" / "beepwatch").mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    (tmp_path / "beepwatch").symlink_to("private/beepwatch")
    monkeypatch.setattr(refuge, "PLACES", (tmp_path / "beepwatch", Path("/")))
    os.seteuid(65_534)
    try:
        found = memories(tmp_path / "state")
    finally:
        os.seteuid(0)
    assert [memory.parent for memory in found] == [Path("/")]


def test_without_any_memory_the_start_is_refused_with_what_to_do(
    state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(refuge, "PLACES", (tmp_path / "nowhere",))
    with pytest.raises(StoreError, match=r"Read-only file system, and there is no memory .* disk"):
        refuge_from(state)


def test_a_database_that_is_too_large_stays_and_what_was_taught_comes(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refuge, "MOST_COPIED_BYTES", 1_000)
    memory = found(state)
    assert list(Shelf(memory).digests()) == ["panel"]
    assert last_heard(memory) is None


def test_what_cannot_be_read_of_a_disk_is_left_and_half_a_database_is_none(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copyfile

    def broken(source: Path, copy: Path | str, **how: bool) -> None:
        copied(source, copy, **how)
        if str(copy).endswith("beepwatch.db"):
            raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as breaking:
        breaking.setattr(shutil, "copyfile", broken)
        memory = found(state)
    assert not (memory / "beepwatch.db").exists()
    assert list(Shelf(memory).digests()) == ["panel"]
    assert found(state) == memory
    assert last_heard(memory) == beep().offset


def test_the_configuration_is_that_of_the_disk_but_for_the_place_and_its_size(
    tmp_path: Path,
) -> None:
    one = Refuge(disk=tmp_path / "disk", memory=tmp_path / "memory", reason="gone")
    config = Config(store=Store(directory=str(tmp_path / "disk"), keep_days=3, max_mb=2_048))
    kept = one.applied(config).store
    assert (kept.path, kept.keep_days, kept.max_mb, kept.min_free_mb) == (one.memory, 3, 32, 0)
    other = msgspec.structs.replace(config, store=Store(directory=str(tmp_path / "other")))
    assert one.applied(other) == other
    read_again = one.reading(lambda: (config, None))
    assert read_again is not None
    assert read_again() == (one.applied(config), None)
    assert one.reading(None) is None


def test_it_is_told_once_for_each_time_that_the_state_is_in_memory(tmp_path: Path) -> None:
    one, other = (Refuge(disk=tmp_path, memory=tmp_path / name, reason="gone") for name in "ab")
    for place in (one, other):
        place.memory.mkdir()
    clock = ManualClock(NOW, 0.0)
    assert not one.full
    alert = one.alert(clock)
    assert alert.kind is AlertKind.FAULT
    clock.advance(60)
    assert one.alert(clock).dedupe_key == alert.dedupe_key
    assert other.alert(clock).dedupe_key != alert.dedupe_key


def test_a_full_disk_takes_nothing_once_the_reserve_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else frees the reserve of a daemon that cannot even start."""
    monkeypatch.setattr(refuge, "PLACES", (tmp_path / "missing", tmp_path / "memory"))
    (tmp_path / "memory").mkdir()
    with small_disk(tmp_path / "disk") as disk:
        state = disk.path / "state"
        database = Database(state)
        database.keep_reserve(0)
        Outbox(database).write(alert=heard(), channels=["telegram:7"])
        database.close()
        disk.fill()
        assert refuge_from(state) is None
        assert not (state / "beepwatch.reserve").exists()
        disk.fill()
        one = refuge_from(state)
        assert not list(state.glob(".beepwatch-*"))
    assert one is not None
    assert one.memory.parent == tmp_path / "memory"
    assert one.full
    assert "is full: No space left on device. What sounds is told" in one.alert(CLOCK).text
    database = Database(one.memory)
    assert pending_by_channel(database) == {"telegram:7": 1}
    database.close()


def test_whether_a_disk_can_be_written_is_asked_of_the_kernel(tmp_path: Path) -> None:
    """Where there never was a state the configuration is wrong, and the start says so."""
    with small_disk(tmp_path / "disk") as disk:
        state = disk.path / "state"
        Database(state).close()
        assert why_unwritable(state) is None
        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        assert why_unwritable(state) == "Read-only file system"
        assert why_unwritable(disk.path / "not" / "there") is None
        assert [path.name for path in disk.path.iterdir()] == ["state"]
        assert not list(state.glob(".beepwatch-*"))
