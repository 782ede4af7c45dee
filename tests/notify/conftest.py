"""A Bot API server and a state directory for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot_api import BotApi
from tests.notify.office import Office


@pytest.fixture
def api() -> Iterator[BotApi]:
    """The stand-in, listening on loopback."""
    with BotApi() as server:
        yield server


@pytest.fixture
def office(tmp_path: Path, api: BotApi) -> Iterator[Office]:
    """A dispatcher's surroundings."""
    opened = Office(tmp_path / "state", api)
    yield opened
    opened.database.close()
