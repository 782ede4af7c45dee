"""Verbs that only read, on a disk that is full or read-only: what is there can be seen."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line
from beepwatch.errors import StoreError
from beepwatch.store.database import FILE_NAME, RESERVE, RESERVE_BYTES, Database, Lookout
from beepwatch.store.outbox import Outbox
from tests.classify.pitched import pitched
from tests.small_disk import broken_disk, mount, small_disk
from tests.store.messages_of_a_day import NOON, beep, heard


@contextmanager
def full(directory: Path) -> Iterator[Path]:
    """A state with an event and a taught sound, where only the reserve is left of the disk."""
    with small_disk(directory / "disk") as disk:
        filled(disk.path / "state")
        disk.fill()
        yield disk.path / "state"


@contextmanager
def read_only(directory: Path) -> Iterator[Path]:
    """The same on an ext4 that is mounted read-only."""
    with broken_disk(directory) as disk:
        filled(disk.path / "state")
        mount("-o", "remount,ro", str(disk.path))
        yield disk.path / "state"


def filled(state: Path) -> None:
    with closing(Database(state)) as database:
        database.keep_reserve(min_free_bytes=1)
        Outbox(database).write(event=beep(), alert=heard(), channels=["console"])
    Shelf(state).put(pitched("washer", 2_000.0), NOON)


DISKS = {"full": full, "read-only": read_only}


@pytest.fixture(params=DISKS)
def state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    with DISKS[request.param](tmp_path) as state:
        monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(state))
        yield state


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert run_command_line([*words]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return [json.loads(line) for line in told.out.splitlines()]


def test_events_are_listed_and_the_reserve_is_left_to_who_writes(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert [row["label"] for row in listed(capsys, "events", "--json")] == ["beep"]
    assert (state / RESERVE).stat().st_size == RESERVE_BYTES


def test_what_is_taught_is_listed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["name"] for row in listed(capsys, "teach", "--list", "--json")] == ["washer"]


def test_where_nothing_was_heard_nothing_is_made(
    state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(state / "none"))
    assert listed(capsys, "events", "--json") == []
    assert not (state / "none").exists()


def test_what_was_left_open_is_read_or_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its -shm, a WAL cannot be read where nothing can be written."""
    with broken_disk(tmp_path) as disk:
        state = disk.path / "state"
        filled(state)
        with closing(Database(state)) as database:
            Outbox(database).write(event=beep(60), channels=())
            left = {one: (state / one).read_bytes() for one in (FILE_NAME, f"{FILE_NAME}-wal")}
        for name, content in left.items():
            (state / name).write_bytes(content)
        mount("-o", "remount,ro", str(disk.path))
        monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(state))
        assert run_command_line(["events"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"beepwatch: {state}/{FILE_NAME}: unable to open database file.")


def test_what_another_holds_is_not_read_behind_its_back(tmp_path: Path) -> None:
    """Who holds it may be writing."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="Another process holds it for too long"):
            Lookout(tmp_path, busy_timeout_s=0.01)
