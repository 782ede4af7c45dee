"""What SQLite and the kernel say of a disk that is gone, and what is made of it."""

import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beepwatch.errors import StoreDamaged, StoreError
from beepwatch.store.absent import AbsentOutbox
from beepwatch.store.database import Database
from beepwatch.store.disk import why_gone
from beepwatch.store.outbox import Outbox
from tests.small_disk import broken_disk, small_disk
from tests.store.messages_of_a_day import beep, heard, sound

LATER = datetime(2027, 3, 1, tzinfo=UTC)
PHONE = "telegram:7"


def test_a_disk_is_gone_when_it_is_read_only_or_answers_with_errors_and_not_when_it_is_full(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small") as small:
        assert why_gone(small.path) is None
        small.fill()
        assert why_gone(small.path) is None
        subprocess.run(["mount", "-o", "remount,ro", small.path], check=True)
        assert why_gone(small.path) == "Read-only file system"
    with broken_disk(tmp_path) as disk:
        assert why_gone(disk.path) is None
        assert [path.name for path in disk.path.iterdir()] == ["lost+found"]
        disk.pull()
        assert why_gone(disk.path) == "Input/output error"
    assert why_gone(tmp_path / "not there") is None


def test_what_cannot_be_read_of_a_pulled_disk_is_not_damage_and_it_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    """The same connection, on what is another mount to the kernel; a second one beside it."""
    with broken_disk(tmp_path) as disk:
        state = disk.path / "state"
        with closing(Database(state)) as database, closing(Database(state)) as other:
            Outbox(other).write(event=beep(), alert=heard("before"), channels=[PHONE])
            disk.pull()
            for outbox in (Outbox(database), Outbox(other)):
                for _ in range(2):
                    with pytest.raises(StoreError, match="The disk takes nothing") as caught:
                        outbox.write(event=beep(3_600), alert=heard("lost"), channels=[PHONE])
                    assert not isinstance(caught.value, StoreDamaged)
                with pytest.raises(StoreError, match="Input/output error"):
                    outbox.tellable(PHONE, LATER, 10)
            disk.put_back()
            Outbox(database).write(event=beep(7_200), alert=heard("after"), channels=[PHONE])
            told = [one.alert.dedupe_key for one in Outbox(other).pending(PHONE, 10)]
            assert told == ["before", "after"]
            assert database.integrity() == []


def test_of_the_disk_that_went_nothing_is_kept_open_when_it_is_back(tmp_path: Path) -> None:
    """Or each time that it comes and goes would take some, until there are none left."""
    with broken_disk(tmp_path) as disk:
        state = disk.path / "state"
        of_others = open_files(state)  # whose mount is gone as well
        with closing(Database(state)) as database:
            Outbox(database).write(event=beep())
            before = open_files(state)
            disk.pull()
            with pytest.raises(StoreError, match="The disk takes nothing"):
                Outbox(database).write(event=beep(60))
            disk.put_back()
            Outbox(database).write(event=beep(120))
            assert open_files(state) == before
        assert open_files(state) == of_others


def open_files(state: Path) -> list[str]:
    """The names of what this process has open there, or where a mount that is gone has it."""
    handles = [one for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    links = [one.readlink() for one in handles]
    return sorted(one.name for one in links if one.parent in (state, Path("/", state.name)))


def test_while_it_is_not_mounted_nothing_is_made_where_it_was(tmp_path: Path) -> None:
    with broken_disk(tmp_path) as disk:
        state = disk.path / "state"
        with closing(Database(state)) as database:
            disk.pull()
            with pytest.raises(StoreError):
                Outbox(database).write(event=beep())
            subprocess.run(["umount", "--lazy", disk.path], check=True)
            for _ in range(2):
                with pytest.raises(StoreError, match="No such file"):
                    Outbox(database).write(event=beep())
            assert not state.exists()
            disk.mount()


def test_without_a_store_there_is_room_for_nothing() -> None:
    outbox = AbsentOutbox(StoreError("pulled"))
    with pytest.raises(StoreError, match="pulled"):
        outbox.write(event=beep())
    with pytest.raises(StoreError, match="pulled"):
        outbox.has_room_for(sound(0.1))
