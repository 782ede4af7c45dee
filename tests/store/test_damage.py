"""A damaged database is put aside whole, a sound one is not touched."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beepwatch.clock import ManualClock, SystemClock
from beepwatch.errors import StoreDamaged, StoreError
from beepwatch.store.damage import put_aside_if_damaged
from beepwatch.store.database import Database
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import at, beep, heard, sound
from tests.store.pending import pending_by_channel

CLOCK = ManualClock(datetime(2026, 11, 21, 16, 0, tzinfo=UTC))
ASIDE = "beepwatch.db.corrupt-20261121T160000Z"
BEEPS = 200


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a power cut leaves it: beeps still to be told in the file, 5 more in the WAL."""
    original, copy = (tmp_path_factory.mktemp(name) / "state" for name in ("original", "copy"))
    database = Database(original)
    outbox = Outbox(database)
    for number in range(BEEPS):
        outbox.write(event=beep(number), alert=heard(str(number)), channels=["console"])
    database.close()
    database = Database(original)
    for number in range(BEEPS, BEEPS + 5):
        Outbox(database).write(event=beep(number), clip=sound(0.01))
    (original / "clips").mkdir()
    (original / "clips/first.mp3").write_bytes(b"ID3")
    shutil.copytree(original, copy)
    database.close()
    return copy


@pytest.fixture
def state(cut_off: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    return Path(shutil.copytree(cut_off, tmp_path / "state"))


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def garbage(size_bytes: int) -> bytes:
    return hashlib.shake_128(b"garbage").digest(size_bytes)


def overwrite(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def garbage_header(state: Path) -> None:
    (state / "beepwatch.db-wal").unlink()  # whose first page would heal it
    overwrite(state / "beepwatch.db", 0, garbage(100))


def garbage_pages(state: Path) -> None:
    size = (state / "beepwatch.db").stat().st_size
    overwrite(state / "beepwatch.db", size // 3, garbage(size // 3))


def cut_in_the_middle(state: Path) -> None:
    size = (state / "beepwatch.db").stat().st_size
    (state / "beepwatch.db-wal").unlink()  # which would bring the first page's size back
    os.truncate(state / "beepwatch.db", size // 2)


def another_file(state: Path) -> None:
    (state / "beepwatch.db").write_text("shopping list: soap, more soap\n" * 100)


DAMAGES = [garbage_header, garbage_pages, cut_in_the_middle, another_file]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_put_aside_whole_and_a_new_one_works(
    state: Path, damage: Callable[[Path], None]
) -> None:
    damage(state)
    before = contents(state)
    found = put_aside_if_damaged(state, CLOCK)
    assert found is not None
    assert "damaged" in found.text
    assert ASIDE in found.text
    after = contents(state)
    assert after[ASIDE] == before["beepwatch.db"]
    assert after.get(f"{ASIDE}-wal", b"") == before.get("beepwatch.db-wal", b"")
    assert after["clips/first.mp3"] == b"ID3"
    assert not any(name.startswith("beepwatch.db-") for name in after)
    database = Database(state)
    assert Outbox(database).write(event=beep()).event_id == 1
    assert database.integrity() == []
    database.close()
    assert put_aside_if_damaged(state, CLOCK) is None


def test_what_was_still_to_be_told_is_read_from_a_file_whose_index_is_damaged(
    state: Path,
) -> None:
    database = Database(state)
    outbox = Outbox(database)
    for _ in range(BEEPS - 2):
        delivery = outbox.due("console", at(0))
        assert delivery is not None
        outbox.sent(delivery.id, reference=None, revision=1, sent_at=at(0))
    with database.reading() as sql:
        (root,) = sql.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'events_by_time'"
        ).fetchone()
        (page_bytes,) = sql.execute("PRAGMA page_size").fetchone()
    database.close()
    overwrite(state / "beepwatch.db", (root - 1) * page_bytes, garbage(page_bytes))
    found = put_aside_if_damaged(state, CLOCK)
    assert found is not None
    assert [alert.dedupe_key for alert in found.untold] == [str(BEEPS - 2), str(BEEPS - 1)]
    assert "still to be told that could be read in the old one: 2" in found.text
    database = Database(state)
    for alert in found.untold:
        Outbox(database).write(alert=alert, channels=["console"])
    assert pending_by_channel(database) == {"console": 2}
    database.close()


def test_what_was_still_to_be_told_is_read_past_pages_of_garbage(state: Path) -> None:
    """Two of every three pages are left, and the names of the tables: what is read is whole, in
    order, and among what was.
    """
    content = (state / "beepwatch.db").read_bytes()
    for start in range(6 * 4_096, len(content), 3 * 4_096):
        if b"CREATE TABLE" not in content[start : start + 4_096]:
            overwrite(state / "beepwatch.db", start, garbage(4_096))
    found = put_aside_if_damaged(state, CLOCK)
    assert found is not None
    keys = [int(alert.dedupe_key) for alert in found.untold]
    assert keys == sorted(set(keys))
    assert set(keys) <= set(range(BEEPS))
    assert 0 < len(keys) < BEEPS
    assert all(alert.created_at == heard().created_at for alert in found.untold)


def test_of_a_file_that_is_garbage_nothing_is_told_and_nothing_raised(state: Path) -> None:
    another_file(state)
    found = put_aside_if_damaged(state, CLOCK)
    assert found is not None
    assert found.untold == []


def test_a_sound_database_is_not_touched(state: Path) -> None:
    before = contents(state)
    assert put_aside_if_damaged(state, CLOCK) is None
    after = contents(state)
    for name in ("beepwatch.db", "beepwatch.db-wal", "clips/first.mp3"):
        assert after[name] == before[name]
    assert [name for name in after if "corrupt" in name] == []


@pytest.mark.parametrize("start", [0, 24, 4_000])
def test_garbage_in_the_wal_ends_it_there_and_costs_nothing_that_came_before(
    state: Path, start: int
) -> None:
    """SQLite's checksums say where the WAL ends: what came before stands, nothing is damaged."""
    overwrite(state / "beepwatch.db-wal", start, garbage(20_000))
    assert put_aside_if_damaged(state, CLOCK) is None
    database = Database(state)
    assert len(event_rows(database)) == BEEPS
    assert database.integrity() == []
    database.close()


def test_a_state_directory_without_database_has_no_damage(tmp_path: Path) -> None:
    assert put_aside_if_damaged(tmp_path / "not there", CLOCK) is None


def test_a_second_one_in_the_same_second_gets_a_name_of_its_own(state: Path) -> None:
    for _ in range(2):
        another_file(state)
        put_aside_if_damaged(state, CLOCK)
    aside = sorted(path.name for path in state.glob("*.corrupt-*Z*") if path.suffix != ".db")
    assert [name for name in aside if not name.endswith(("-wal", "-shm"))] == [ASIDE, f"{ASIDE}-2"]


def test_what_another_process_uses_is_not_put_aside(state: Path) -> None:
    other = Database(state)
    garbage_pages(state)
    with pytest.raises(StoreError, match=r"damaged .* another process uses it"):
        put_aside_if_damaged(state, CLOCK, others_end_within_s=0.2)
    assert not list(state.glob("*.corrupt-*"))
    other.close()
    assert put_aside_if_damaged(state, CLOCK) is not None


def test_of_processes_that_start_at_once_one_puts_it_aside_and_all_get_in(state: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from beepwatch.clock import SystemClock\n"
        "from beepwatch.store.damage import put_aside_if_damaged\n"
        "from beepwatch.store.database import Database\n"
        "text = put_aside_if_damaged(Path(sys.argv[1]), SystemClock())\n"
        "Database(Path(sys.argv[1])).close()\n"
        "print('aside' if text else 'sound')\n"
    )
    garbage_header(state)
    command = [sys.executable, "-c", code, str(state)]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [start.communicate(timeout=60)[0].splitlines()[-1] for start in starts]
    assert sorted(said) == ["aside", "sound", "sound", "sound"]
    names = [path.name for path in state.glob("*.corrupt-*")]
    assert len([name for name in names if not name.endswith(("-wal", "-shm"))]) == 1


def test_a_check_that_takes_too_long_believes_the_file(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beepwatch.store.damage.CHECK_WITHIN_S", -1.0)
    monkeypatch.setattr("beepwatch.store.damage._STEPS_BETWEEN_LOOKS", 1)
    assert put_aside_if_damaged(state, SystemClock()) is None


def test_a_file_that_cannot_be_opened_is_left_to_who_opens_it(tmp_path: Path) -> None:
    (tmp_path / "beepwatch.db").mkdir()
    assert put_aside_if_damaged(tmp_path, CLOCK) is None
    with pytest.raises(StoreError, match=r"beepwatch\.db: unable to open"):
        Database(tmp_path)


def test_damage_that_comes_up_later_is_named(state: Path) -> None:
    database = Database(state)
    garbage_pages(state)
    with pytest.raises(StoreDamaged, match=r"malformed.*next start of `beepwatch run`"):
        event_rows(database)
    database.close()


def test_sqlite_can_still_be_asked_about_what_was_put_aside(state: Path) -> None:
    """Its WAL went with it: SQLite looks for it under the file's new name."""
    size = (state / "beepwatch.db").stat().st_size
    overwrite(state / "beepwatch.db", size - 4_096, garbage(4_096))
    put_aside_if_damaged(state, CLOCK)
    sql = sqlite3.connect(state / ASIDE)
    (count,) = sql.execute("SELECT count(*) FROM events NOT INDEXED").fetchone()
    sql.close()
    assert count >= BEEPS
