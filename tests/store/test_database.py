"""The database file: who may read it, how it is migrated, what happens when it cannot be used."""

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from beepwatch.errors import StoreError
from beepwatch.messages import Clip
from beepwatch.store.database import Database, marks
from beepwatch.store.library import Library, clips_of_untold
from beepwatch.store.outbox import Outbox
from beepwatch.store.schema import MIGRATIONS, stored_us, utc_from_us
from tests.store.messages_of_a_day import NOON, at, beep, heard, notice, sound
from tests.store.pending import pending_by_channel


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_the_state_directory_and_its_files(tmp_path: Path) -> None:
    database = Database(tmp_path / "a" / "state")
    Outbox(database).write(event=beep())
    modes = {path.name: mode(path) for path in database.directory.iterdir()}
    assert mode(database.directory) == 0o700
    assert set(modes.values()) == {0o600}
    assert set(modes) == {"beepwatch.db", "beepwatch.db-wal", "beepwatch.db-shm", "beepwatch.lock"}
    database.close()


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Database(tmp_path).close()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "beepwatch.db") == 0o600


def test_commits_are_synced_in_wal_mode(database: Database) -> None:
    with database.reading() as sql:
        assert sql.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert sql.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    Database(tmp_path).close()
    sql = sqlite3.connect(tmp_path / "beepwatch.db")
    sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(StoreError, match=rf"version 99.*up to {len(MIGRATIONS)}.*store.directory"):
        Database(tmp_path)


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ("CREATE TABLE extra (id INTEGER)", "CREATE NONSENSE")
    with monkeypatch.context() as patch:
        patch.setattr("beepwatch.store.database.MIGRATIONS", (*MIGRATIONS, wrong))
        with pytest.raises(StoreError, match="syntax error"):
            Database(tmp_path)
    database = Database(tmp_path)
    with database.reading() as sql:
        tables = {row[0] for row in sql.execute("SELECT name FROM sqlite_master")}
        assert sql.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert "extra" not in tables
    database.close()


def test_an_old_file_keeps_its_rows_when_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    Outbox(database).write(event=beep())
    database.close()
    added = ("ALTER TABLE events ADD COLUMN room TEXT NOT NULL DEFAULT 'laundry'",)
    monkeypatch.setattr("beepwatch.store.database.MIGRATIONS", (*MIGRATIONS, added))
    database = Database(tmp_path)
    with database.reading() as sql:
        rows = sql.execute("SELECT label, room FROM events").fetchall()
    assert [tuple(row) for row in rows] == [("beep", "laundry")]
    database.close()


def test_of_a_file_that_never_got_its_tables_nothing_is_known(tmp_path: Path) -> None:
    """The power may go in the moment when it is made."""
    (tmp_path / "beepwatch.db").touch()
    assert marks(tmp_path) == {}
    assert clips_of_untold(tmp_path) == []
    Database(tmp_path).close()
    assert marks(tmp_path) == {}


def test_a_clip_is_still_to_be_brought_by_whichever_alert_of_its_event_was_not_told(
    tmp_path: Path,
) -> None:
    """An event that outlasts the cooldown is told again."""
    with closing(Database(tmp_path)) as database:
        outbox, library = Outbox(database), Library(database)
        for number in (1, 2, 3):
            outbox.write(
                event=beep(60 * number), clip=sound(), alert=heard(str(number)), channels=["a"]
            )
            library.keep(number, 1, b"mp3", ".mp3")
        for _ in range(2):
            delivery = outbox.due("a", at(999))
            assert delivery is not None
            outbox.sent(delivery.id, reference=None, revision=9, sent_at=at(999))
        outbox.write(event=beep(60, 5, id=1), alert=heard("1 again"), channels=["a"])
        outbox.write(alert=notice(), channels=["a"])
    names = [path.rpartition("-")[2] for path in clips_of_untold(tmp_path)]
    assert names == ["3.mp3", "1.mp3"]


def test_a_block_that_raises_writes_nothing(database: Database) -> None:
    def write_half() -> None:
        with database.transaction() as sql:
            sql.execute("INSERT INTO alerts VALUES (1, 'heard', '', 0, 0, 'k', NULL, 0)")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    with database.reading() as sql:
        assert sql.execute("SELECT count(*) FROM alerts").fetchone()[0] == 0


def test_a_locked_database_is_a_store_error_after_the_timeout(tmp_path: Path) -> None:
    holder = Database(tmp_path)
    waiter = Database(tmp_path, busy_timeout_s=0.05)
    with holder.transaction(), pytest.raises(StoreError, match=r"locked.*try again"):
        Outbox(waiter).write(event=beep())
    assert Outbox(waiter).write(event=beep()).event_id == 1
    holder.close()
    waiter.close()


def test_a_full_disk_is_a_store_error_and_the_database_goes_on(database: Database) -> None:
    with database.reading() as sql:
        pages = sql.execute("PRAGMA page_count").fetchone()[0]
        sql.execute(f"PRAGMA max_page_count = {pages}")
    big = sound(10)
    with pytest.raises(StoreError, match=r"full.*store\.max_mb"):
        Outbox(database).write(event=beep(), clip=big)
    with database.reading() as sql:
        sql.execute("PRAGMA max_page_count = 100000")
    Outbox(database).write(event=beep())
    assert database.integrity() == []


def test_a_text_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "beepwatch.db").write_text("shopping list: soap, more soap\n" * 100)
    with pytest.raises(StoreError, match=r"beepwatch\.db: file is not a database.*Move the file"):
        Database(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match=r"state directory .*state cannot be used: File exists"):
        Database(tmp_path / "state")


def test_integrity_finds_overwritten_pages_and_missing_rows(tmp_path: Path) -> None:
    database = Database(tmp_path)
    assert database.integrity() == []
    for second in range(200):
        Outbox(database).write(event=beep(second), alert=heard(str(second)), channels=["console"])
    with database.reading() as sql:
        page_bytes = sql.execute("PRAGMA page_size").fetchone()[0]
    database.close()
    content = bytearray((tmp_path / "beepwatch.db").read_bytes())
    content[5 * page_bytes : 8 * page_bytes] = b"\xa5" * (3 * page_bytes)
    (tmp_path / "beepwatch.db").write_bytes(content)
    database = Database(tmp_path)
    assert database.integrity() != []
    database.close()


def test_integrity_finds_a_delivery_without_alert(tmp_path: Path) -> None:
    database = Database(tmp_path)
    sql = sqlite3.connect(tmp_path / "beepwatch.db")
    sql.execute("INSERT INTO deliveries (alert_id, channel) VALUES (7, 'console')")
    sql.commit()
    sql.close()
    assert database.integrity() == ["deliveries 1 refers to a missing row of alerts"]
    database.close()


def test_integrity_of_a_closed_database_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.close()
    assert database.integrity() == ["Cannot operate on a closed database."]


def test_threads_take_turns_on_one_connection(database: Database) -> None:
    outbox = Outbox(database)

    def write_twenty(first: int) -> None:
        for number in range(first, first + 20):
            outbox.write(event=beep(number), alert=heard(str(number)), channels=["console"])

    threads = [threading.Thread(target=write_twenty, args=(20 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pending_by_channel(database) == {"console": 80}


def test_processes_that_open_a_new_directory_at_once_all_get_in(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from beepwatch.store.database import Database; "
        "Database(Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "state")]
    starts = [subprocess.Popen(command) for _ in range(4)]
    assert [start.wait(30) for start in starts] == [0, 0, 0, 0]


def test_while_one_opens_it_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the switch to WAL of one would meet the other, which does not wait its turn."""
    connect = sqlite3.connect
    opened = []

    def connect_alone(*arguments: object, **options: object) -> sqlite3.Connection:
        handle = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
        opened.append(arguments[0])
        return connect(*arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_alone)
    Database(tmp_path).close()
    assert opened == [tmp_path / "beepwatch.db"]


def test_a_time_survives_to_the_microsecond() -> None:
    time = at(0.000_001)
    assert stored_us(time) - stored_us(NOON) == 1
    assert utc_from_us(stored_us(time)) == time


def test_room_is_given_back_in_few_transactions_and_others_get_their_turn_in_between(
    database: Database,
) -> None:
    """Or a messenger would stand still until a slow disk has taken all of them."""
    outbox, library = Outbox(database), Library(database)
    clip = Clip(pcm=bytes(1_200_000), rate_hz=16_000, started_at=NOON)
    for number in range(1, 9):
        outbox.write(event=beep(60 * number), clip=clip)
    for number in range(1, 9):
        library.keep(number, 1, b"mp3", ".mp3")
    free: list[int] = []

    def look() -> None:
        with database.reading() as sql:
            free.append(sql.execute("PRAGMA freelist_count").fetchone()[0])

    look()
    giving = threading.Thread(target=database.give_back)
    giving.start()
    while giving.is_alive():
        look()
        giving.join(0.002)
    look()
    assert free[0] > 2_000
    assert free[-1] < 300
    assert 3 < len(set(free)) < 40
