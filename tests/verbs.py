"""What tests of the verbs share: a home of their own, the installed program, a recording."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import beepwatch.daemon

RECORDING = Path(beepwatch.daemon.__file__).parent / "demo" / "kitchen.flac"
BEEPS = RECORDING.with_suffix(".csv").read_text().count(",beep,")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests is read or written."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    monkeypatch.delenv("BEEPWATCH_TELEGRAM_TOKEN", raising=False)
    monkeypatch.setenv("TERM", "dumb")


def program(
    *words: str, before: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """The installed program, in a process of its own."""
    return subprocess.run(
        [*before, sys.executable, "-m", "beepwatch", *words],
        env=os.environ | environment,  # noqa: TID251 - what the process gets
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
