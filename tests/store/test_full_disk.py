"""A disk that is really full: nothing half written, nothing lost, and on it goes with some room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beepwatch.errors import DiskFull
from beepwatch.store.database import FILE_NAME, RESERVE, RESERVE_BYTES, Database, marks
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.small_disk import SmallDisk, small_disk
from tests.store.messages_of_a_day import at, beep, heard, sound
from tests.store.pending import pending_by_channel

KEPT = {"keep_days": 30.0, "max_mb": 1_000.0}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def database(disk: SmallDisk) -> Iterator[Database]:
    opened = Database(disk.path / "state")
    yield opened
    opened.close()


def write(database: Database, number: int, *, clip_s: float = 0) -> None:
    clip = sound(clip_s) if clip_s else None
    alert = heard(str(number))
    Outbox(database).write(event=beep(number), clip=clip, alert=alert, channels=["console"])


def test_a_full_disk_takes_all_of_a_note_or_nothing_and_goes_on(
    disk: SmallDisk, database: Database
) -> None:
    write(database, 1)
    disk.fill()
    with pytest.raises(DiskFull, match=r"full.*store\.max_mb"):
        write(database, 2, clip_s=10)
    assert [row.id for row in event_rows(database)] == [1]
    disk.make_room()
    write(database, 3, clip_s=10)
    assert len(event_rows(database)) == 2
    assert database.integrity() == []


def test_the_reserve_has_room_for_hundreds_of_alerts_when_nothing_else_has(
    disk: SmallDisk, database: Database
) -> None:
    database.keep_reserve(min_free_bytes=1)
    assert (disk.path / "state" / RESERVE).stat().st_blocks * 512 >= RESERVE_BYTES
    disk.fill()
    written = refused = 0
    for number in range(300):
        try:
            write(database, number)
        except DiskFull:
            refused += 1
            write(database, number)
        written += 1
    assert (written, refused) == (300, 1)
    assert not (disk.path / "state" / RESERVE).exists()
    assert pending_by_channel(database) == {"console": 300}
    assert database.integrity() == []


def test_the_reserve_is_taken_again_only_when_there_is_room(
    disk: SmallDisk, database: Database
) -> None:
    library, reserve = Library(database), disk.path / "state" / RESERVE
    disk.fill(leave_bytes=1_500_000)
    library.tidy(at(0), **KEPT, min_free_mb=1.0)
    assert not reserve.exists()
    disk.make_room()
    library.tidy(at(0), **KEPT, min_free_mb=1.0)
    library.tidy(at(0), **KEPT, min_free_mb=1.0)
    assert reserve.stat().st_size == RESERVE_BYTES


def test_a_clip_that_does_not_fit_waits_in_the_database_and_leaves_no_file(
    disk: SmallDisk, database: Database
) -> None:
    write(database, 1, clip_s=1)
    library = Library(database)
    disk.fill()
    with pytest.raises(DiskFull, match=r"cannot be written.*No space left.*kept meanwhile"):
        library.keep(1, 1, bytes(200_000), ".mp3")
    assert list((disk.path / "state").rglob("*mp3*")) == []
    assert library.pending() == [1]
    disk.make_room()
    assert library.keep(1, 1, bytes(200_000), ".mp3").stat().st_size == 200_000
    assert library.pending() == []


def test_the_oldest_clips_make_room_on_a_really_full_disk(
    disk: SmallDisk, database: Database
) -> None:
    library = Library(database)
    for number in range(1, 6):
        write(database, number, clip_s=0.01)
        library.keep(number, 1, bytes(400_000), ".mp3")
    outbox = Outbox(database)
    while delivery := outbox.due("console", at(100)):
        if delivery.alert.id == 2:
            break  # still to be told, and so is what comes after
        outbox.sent(delivery.id, reference=None, revision=1, sent_at=at(100))
    disk.fill()
    assert library.is_short_of_room(min_free_mb=0.7)
    tidied = library.tidy(at(100), **KEPT, min_free_mb=0.7)
    assert tidied.clips == 2
    assert [row.id for row in event_rows(database) if row.clip is not None] == [3, 4, 5]
    assert not library.is_short_of_room(min_free_mb=0.7)


def test_a_full_disk_has_no_room_for_a_clip_but_for_an_alert(
    disk: SmallDisk, database: Database
) -> None:
    outbox = Outbox(database)
    assert outbox.has_room_for(sound(10))
    disk.fill(leave_bytes=RESERVE_BYTES + 100_000)
    assert not outbox.has_room_for(sound(10))
    write(database, 1)
    assert pending_by_channel(database) == {"console": 1}


def test_a_start_on_a_full_disk_gives_up_the_reserve_and_gets_in_at_the_second_try(
    disk: SmallDisk,
) -> None:
    """SQLite needs room for its -shm and -wal, which the last one to close has deleted."""
    state = disk.path / "state"
    first = Database(state)
    write(first, 1)
    first.keep_reserve(min_free_bytes=0)
    first.close()
    disk.fill()
    with pytest.raises(DiskFull):
        Database(state)
    second = Database(state)
    write(second, 2)
    assert len(event_rows(second)) == 2
    second.close()


@pytest.mark.parametrize("left_bytes", [0, 8_192, 65_536])
def test_a_database_for_which_there_is_no_room_is_not_left_half_made(
    disk: SmallDisk, left_bytes: int
) -> None:
    """Whoever finds one takes it for the state of a daemon that was here before."""
    state = disk.path / "state"
    state.mkdir()
    disk.fill(leave_bytes=left_bytes)
    with pytest.raises(DiskFull):
        Database(state)
    assert not list(state.glob(f"{FILE_NAME}*"))
    disk.make_room()
    made = Database(state)
    write(made, 1)
    made.close()
    assert marks(state) == {"alerts": 1, "deliveries": 1, "events": 1}


def test_an_older_database_that_cannot_be_opened_for_lack_of_room_stays(disk: SmallDisk) -> None:
    state = disk.path / "state"
    first = Database(state)
    write(first, 1)
    first.close()
    disk.fill()
    with pytest.raises(DiskFull):
        Database(state)
    disk.make_room()
    second = Database(state)
    assert len(event_rows(second)) == 1
    second.close()
