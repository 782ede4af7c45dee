"""A state directory of its own for each test, and a network that is taught quickly."""

from pathlib import Path

import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.train.teaching import fitting


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    monkeypatch.setattr(fitting, "DISGUISES", 24)
    monkeypatch.setattr(fitting, "TRIED", 8)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Where what is taught is put."""
    return Shelf(tmp_path / "state")
