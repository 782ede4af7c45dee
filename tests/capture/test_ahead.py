"""A microphone that is open before the recorder has imported what it needs to listen."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.sound_server import sound_server

TWICE = """
import json, sys, threading
import beepwatch.daemon.recorder
from beepwatch.capture.ahead import OpenedAhead
from beepwatch.capture.microphone import MicrophoneStream
from beepwatch.clock import SystemClock
from beepwatch.errors import MicrophoneNotFound

clock = SystemClock()
microphone = OpenedAhead("default", clock)
with_numpy = "numpy" in sys.modules
microphone._opening.join()
if isinstance(microphone._opened, MicrophoneStream):
    while microphone._opened._queue.empty():
        threading.Event().wait(0.01)
found = []
for _ in range(2):
    asked_s = clock.mono_s()
    try:
        stream = microphone.open()
    except MicrophoneNotFound as error:
        found.append(str(error))
        continue
    block = stream.read(5.0)
    found.append(block.captured_mono_s - block.frames / block.rate_hz - asked_s)
    stream.close()
print(json.dumps([with_numpy, found]))
"""


def opened_twice(environment: Mapping[str, str]) -> tuple[bool, list[Any]]:
    """In a program of its own, which loads what the recorder does, asked for a microphone twice.

    Whether numpy was loaded when the opening began, and of each use when the first sample was
    heard, counted from the asking for it, or why there was no microphone. The first is asked for
    when it has begun to hear.
    """
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    with_numpy, found = json.loads(done.stdout)
    return with_numpy, found


@pytest.mark.mic
def test_what_sounds_before_anybody_asks_for_it_is_heard(tmp_path: Path) -> None:
    """Only of the first opening, and without numpy; a later one begins when it is asked for."""
    with sound_server(tmp_path) as server:
        with_numpy, (first_s, second_s) = opened_twice(server.environment)
    assert not with_numpy
    assert first_s < 0
    assert second_s > -0.5  # what the server had in its buffer


def test_a_microphone_that_is_not_there_is_told_when_it_is_asked_for_and_looked_for_again(
    tmp_path: Path,
) -> None:
    nobody = {**os.environ, "PULSE_SERVER": f"unix:{tmp_path}/none", "HOME": str(tmp_path)}  # noqa: TID251 - the program's
    _, found = opened_twice(nobody)
    assert len(found) == 2
    assert all("input device" in text for text in found)
