"""A state directory with a real database file, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new state directory's database."""
    opened = Database(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    """An empty outbox."""
    return Outbox(database)


@pytest.fixture
def library(database: Database) -> Library:
    """A library without clips."""
    return Library(database)
