"""What takes long to make is made by one of the processes that share the tests out among them."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

_COMPLETE = "complete"


def made_once(
    config: pytest.Config,
    factory: pytest.TempPathFactory,
    name: str,
    make: Callable[[Path], None],
) -> Path:
    """A copy of its own, for each process, of the directory that `make` fills for the first one."""
    base = factory.getbasetemp()
    if hasattr(config, "workerinput"):
        base = base.parent  # which all of them have
    made = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / _COMPLETE).exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            make(made)
            (made / _COMPLETE).touch()
    return shutil.copytree(made, factory.mktemp(name), dirs_exist_ok=True)
