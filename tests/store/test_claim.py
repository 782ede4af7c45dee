"""A state directory belongs to one daemon, until that one ends in whatever way."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from beepwatch.errors import ConfigurationError, StoreError
from beepwatch.store.claim import claimed
from beepwatch.store.database import USERS, Database

HOLDER = """
import sys, threading
from pathlib import Path
from beepwatch.store.claim import claimed
from beepwatch.store.database import Database
with claimed(Path(sys.argv[1])):
    Database(Path(sys.argv[1])).close()
    print("mine", flush=True)
    threading.Event().wait()
"""


@contextmanager
def another(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has the directory, and has opened and closed its database since."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, directory], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_one_is_told_whose_it_is_until_the_first_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves nobody the time to let go: the kernel does."""
    with another(tmp_path) as first:
        named = rf"\(process {first.pid}\)\. Stop that"
        with pytest.raises(ConfigurationError, match=named), claimed(tmp_path):
            pass
        Database(tmp_path).close()
        first.send_signal(signal.SIGKILL)
        first.wait()
        with claimed(tmp_path), pytest.raises(ConfigurationError), claimed(tmp_path):
            pass
        with claimed(tmp_path):
            pass


def test_what_an_earlier_daemon_wrote_is_not_taken_for_the_number_of_this_one(
    tmp_path: Path,
) -> None:
    """Its own may not be written yet, or not at all on a full disk."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    with another(tmp_path):
        (tmp_path / USERS).write_text(f"{dead.pid}\n")
        unnamed = rf"works with {tmp_path}\. Stop that"
        with pytest.raises(ConfigurationError, match=unnamed), claimed(tmp_path):
            pass


def test_a_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="cannot be used"), claimed(tmp_path / "state"):
        pass
