"""Signals while nobody attends to them, in a process of their own."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal
from beepwatch.daemon.signals import Signals
with Signals(hangup_reloads={reloads}) as signals:
    for _ in range({times}):
        os.kill(os.getpid(), signal.{name})
    print(signals.ends, signals.reload_asked)
"""


def asked(name: str, times: int, *, reloads: bool = True) -> tuple[int, str]:
    """Exit code and what was kept of it."""
    text = PROGRAM.format(name=name, times=times, reloads=reloads)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_first_is_kept_for_who_comes_and_the_second_ends_the_process(name: str) -> None:
    assert asked(name, 1) == (0, "1 False")
    assert asked(name, 2) == (-signal.Signals[name], "")


def test_a_hangup_is_kept_too() -> None:
    assert asked("SIGHUP", 3) == (0, "0 True")
    assert asked("SIGHUP", 1, reloads=False) == (0, "1 False")
