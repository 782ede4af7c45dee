"""One Debian with the wheel for all tests; each test boots a machine of its own on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.debian import layers
from tests.service.machine import Machine


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Layers with the wheel of this tree installed in /opt/beepwatch."""
    if os.geteuid() != 0:
        pytest.skip("only root boots a container")
    return layers(tmp_path_factory.mktemp("debian"))


@pytest.fixture
def machine(debian: tuple[Path, ...], tmp_path: Path) -> Iterator[Machine]:
    """A booted machine, gone at the end whatever happens."""
    one = Machine(debian, tmp_path / "machine")
    try:
        one.boot()
        yield one
    finally:
        one.pull_the_plug()
