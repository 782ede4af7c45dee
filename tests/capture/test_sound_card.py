"""Real sound through a real PulseAudio, real ALSA and real PortAudio, in a program of its own."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beepwatch.capture.microphone import (
    Microphone,
)
from beepwatch.clock import SystemClock
from beepwatch.errors import MicrophoneNotFound
from tests.capture.recorder import Recorder
from tests.capture.sounds import DATA, loudest_hz
from tests.sound_server import SoundServer, sound_server


@pytest.fixture(params=[44_100])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SoundServer]:
    with sound_server(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def recorder(server: SoundServer) -> Iterator[Recorder]:
    running = Recorder(server.environment, "microphone:default")
    yield running
    running.close()


def waveform(window: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.frombuffer(base64.b64decode(window["pcm"]), dtype="<i2")


@pytest.mark.mic
@pytest.mark.parametrize("server", [44_100, 48_000], indirect=True)
def test_a_real_beep_is_heard_through_the_sound_card(
    server: SoundServer, recorder: Recorder
) -> None:
    listening = recorder.next("Listening")
    player = threading.Thread(target=server.play, args=(DATA / "fire_alarm.flac",))
    player.start()

    windows = [recorder.next("Window") for _ in range(3)]
    player.join()

    # ALSA's plugin for PulseAudio takes any rate; PortAudio calls 44.1 kHz its own.
    assert listening["rate_hz"] == 44_100
    loudest = max(windows, key=lambda window: window["level_dbfs"])
    assert loudest_hz(waveform(loudest), 16_000) == pytest.approx(3_079, abs=60)
    assert windows[-1]["counts"]["lost_samples"] == 0


@pytest.mark.mic
def test_a_sound_server_that_dies_is_told_and_found_again(
    server: SoundServer, recorder: Recorder
) -> None:
    recorder.next("Listening")
    server.kill()
    fault = recorder.next("Fault")
    server.start()
    over = recorder.next("Fault")

    assert (fault["cleared"], over["cleared"]) == (False, True)
    assert fault["kind"] in ("no device", "stalled")
    assert over["kind"] == fault["kind"]
    assert over["counts"]["openings"] == 2


@pytest.mark.mic
@pytest.mark.slow
def test_no_sample_is_lost_in_twenty_seconds(recorder: Recorder) -> None:
    """As many samples as the clock says, from the first window to the last, none of them filled."""
    windows = [recorder.next("Window") for _ in range(18)]

    last = windows[-1]
    late_s = [window["mono_s"] - window["first_sample"] / 16_000 for window in windows]
    assert [window["sequence"] for window in windows] == list(range(18))
    # Of three the one that a busy machine has held up least.
    assert min(late_s[:3]) == pytest.approx(min(late_s[-3:]), abs=0.15)
    assert last["counts"]["lost_samples"] == 0
    assert last["counts"]["overflows"] == 0


@pytest.mark.mic
def test_doctor_hears_the_microphone(server: SoundServer) -> None:
    program = (
        "import msgspec, sys\n"
        "from beepwatch.capture.diagnosis import microphone_report\n"
        "from beepwatch.sections import Capture\n"
        "import structlog\n"
        "structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))\n"
        "print(msgspec.json.encode(microphone_report(Capture())).decode())"
    )
    player = threading.Thread(target=server.play, args=(DATA / "fire_alarm.flac",))
    player.start()
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**server.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    player.join()

    report = json.loads(told.stdout)
    assert "default" in report["devices"]
    assert report["rate_hz"] == 44_100
    assert report["device"] == "default"
    assert report["level_dbfs"] is not None
    assert report["lost_samples"] == 0


def test_a_missing_name_is_not_found_through_portaudio() -> None:
    with pytest.raises(MicrophoneNotFound):
        Microphone("no such microphone", SystemClock()).open()
