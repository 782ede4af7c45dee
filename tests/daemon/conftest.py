"""What the tests of the supervisor share."""

from pathlib import Path

import pytest

from tests.daemon.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)
