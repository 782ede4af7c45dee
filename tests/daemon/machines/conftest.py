"""What the tests of the room share."""

from pathlib import Path

import pytest

from tests.daemon.machines.flats import Flat


@pytest.fixture
def flat(tmp_path: Path) -> Flat:
    return Flat(tmp_path)
