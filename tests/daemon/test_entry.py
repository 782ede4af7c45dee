"""How a child begins: its assignment, and what becomes of a crash."""

import asyncio
import subprocess
import sys
from multiprocessing.connection import wait
from pathlib import Path

import msgspec
import pytest

from beepwatch.daemon import entry
from beepwatch.daemon.child import Child
from beepwatch.daemon.settings import MessengerSettings
from beepwatch.logs import LogSettings
from beepwatch.secrecy import Secret
from beepwatch.sections import Notify, Store


def test_a_child_that_crashes_says_so_in_the_log_and_exits_with_1(
    capfd: pytest.CaptureFixture[str],
) -> None:
    child = Child("recorder", "beepwatch.no_such_child", Store())
    child.start(0.0)
    assert child.sentinel is not None
    assert wait([child.sentinel], 30) == [child.sentinel]
    assert child.bury(1.0) == 1
    written = capfd.readouterr()
    assert "process_crashed" in written.out + written.err


def test_settings_arrive_as_they_were_sent_secrets_included(tmp_path: Path) -> None:
    """In `messenger.main` the type is read off the signature."""
    settings = MessengerSettings(
        notify=Notify(room="laundry"),
        store=Store(directory=str(tmp_path)),
        token=Secret("42:abc"),
        channels=("console",),
        logs=LogSettings(secrets=(Secret("42:abc"),)),
    )
    assignment = msgspec.msgpack.decode(
        entry.encode_assignment("beepwatch.daemon.messenger", settings), type=entry.Assignment
    )
    arrived = entry.decode_settings(assignment.settings, MessengerSettings)
    assert arrived.token is not None
    assert arrived.token.reveal() == "42:abc"
    assert arrived.notify == settings.notify
    assert arrived.logs.secrets[0].reveal() == "42:abc"
    assert arrived.channels == ("console",)


def test_what_cannot_travel_to_a_child_is_refused() -> None:
    with pytest.raises(TypeError, match="object does not travel"):
        entry.encode_assignment("beepwatch.daemon.messenger", object())


@pytest.mark.parametrize("module", ["recorder", "classifier", "supervisor"])
def test_what_has_no_event_loop_does_without_its_modules_and_can_have_them(module: str) -> None:
    """asyncio is 30 modules, and ssl with it; `let_in` is for torch."""
    program = f"""
import importlib, sys
before = set(sys.modules)  # a measurer of coverage's own
from beepwatch.daemon import entry
entry.keep_out("beepwatch.daemon.{module}")
importlib.import_module("beepwatch.daemon.{module}")
import structlog
assert "asyncio.events" not in sys.modules and not sys.modules["ssl"]
assert "difflib" not in set(sys.modules) - before
assert "_hashlib" in before or not sys.modules["_hashlib"]
import hashlib
assert hashlib.sha256().hexdigest().startswith("e3b0c442")
entry.let_in()
import asyncio
async def answer(): return 42
print(asyncio.run(answer()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"42\n"


def test_an_asyncio_that_is_there_stays() -> None:
    entry.let_in()
    assert sys.modules["asyncio"] is asyncio
