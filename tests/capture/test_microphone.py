"""Which input is taken, how it is opened, and what was lost, without a sound card."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyaudio
import pytest

from beepwatch.capture.diagnosis import microphone_report
from beepwatch.capture.inputs import InputDevice
from beepwatch.capture.losses import Losses
from beepwatch.capture.microphone import _MOST_BUFFERS, Microphone, MicrophoneStream
from beepwatch.clock import ManualClock, SystemClock
from beepwatch.errors import SourceError
from beepwatch.sections import Capture
from tests.capture.sounds import sine, write_wav

DEVICE = InputDevice(index=5, name="USB Audio: Mic", channels=2, rate_hz=48_000, is_default=True)
RATE_HZ = 10_000
FRAMES = 500  # 50 ms


def callback(stream: MicrophoneStream, flags: int = 0, adc_s: float = 0.0) -> None:
    """As PortAudio calls it with 50 ms of sound."""
    stream._rate_hz, stream._channels, stream._format = RATE_HZ, 1, "int16"
    told = {"input_buffer_adc_time": adc_s, "current_time": adc_s + 0.06}
    stream._heard(bytes(2 * FRAMES), FRAMES, told, flags)


@pytest.fixture
def stream() -> MicrophoneStream:
    stream = MicrophoneStream(DEVICE, SystemClock())
    stream._losses = Losses(RATE_HZ)
    return stream


def test_a_full_queue_drops_and_the_next_block_tells(stream: MicrophoneStream) -> None:
    for _ in range(_MOST_BUFFERS + 3):
        callback(stream)
    first = stream.read(0.1)
    callback(stream, flags=pyaudio.paInputOverflow)
    while not stream._queue.empty():
        last = stream.read(0.1)

    assert first is not None
    assert last is not None
    assert (first.lost_frames, first.dropped_blocks) == (0, 0)
    assert (last.dropped_blocks, last.overflows) == (3, 1)
    assert last.lost_frames >= 3 * FRAMES


def test_what_a_full_queue_dropped_is_missing_once() -> None:
    """The blocks after it are late by as much, for good."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    stream = MicrophoneStream(DEVICE, clock)
    stream._losses = Losses(RATE_HZ)
    blocks = []
    for heard in (_MOST_BUFFERS + 10, *[1] * 40):
        for _ in range(heard):
            clock.advance(FRAMES / RATE_HZ)
            callback(stream)
        blocks.append(stream.read(0.1))

    came = [block for block in blocks if block is not None]
    assert sum(block.dropped_blocks for block in came) == 10
    assert sum(block.lost_frames for block in came) == 10 * FRAMES
    assert sum(block.frames for block in came) == (_MOST_BUFFERS + 40) * FRAMES


def test_what_has_gathered_comes_as_one_block(stream: MicrophoneStream) -> None:
    for _ in range(4):
        callback(stream)

    block = stream.read(0.1)

    assert block is not None
    assert (block.frames, block.lost_frames, block.is_latest) == (4 * FRAMES, 0, True)


def test_what_has_gathered_is_cut_where_something_is_missing(stream: MicrophoneStream) -> None:
    callback(stream)
    callback(stream)
    stream._dropped_buffers, stream._dropped_frames = 1, FRAMES
    callback(stream)
    callback(stream)

    blocks = [stream.read(0.1), stream.read(0.1)]

    assert [
        (block.frames, block.lost_frames, block.dropped_blocks, block.is_latest)
        for block in blocks
        if block is not None
    ] == [(2 * FRAMES, 0, 0, False), (2 * FRAMES, FRAMES, 1, True)]


def test_the_moment_of_capture_comes_from_the_converters_stamp(stream: MicrophoneStream) -> None:
    """The first frame is 60 ms old, the last one 10 ms."""
    clock = SystemClock()
    earliest_s = clock.mono_s() - 0.01
    callback(stream, adc_s=5.0)
    latest_s = clock.mono_s() - 0.01
    block = stream.read(0.1)

    assert block is not None
    assert block.captured_mono_s is not None
    assert earliest_s - 1e-6 <= block.captured_mono_s <= latest_s + 1e-6


def test_a_very_long_gap_is_a_new_beginning(stream: MicrophoneStream) -> None:
    stream._dropped_frames = 20 * RATE_HZ
    callback(stream)

    with pytest.raises(SourceError, match="held up for 20 s"):
        stream.read(0.1)


def test_a_stream_that_is_not_running_is_lost(stream: MicrophoneStream) -> None:
    with pytest.raises(SourceError, match="was lost"):
        stream.read(0.01)


class Picky:
    """A PortAudio that takes one rate and format only."""

    def __init__(self, rate_hz: int, code: int, channels: int) -> None:
        self.takes = (rate_hz, code, channels)
        self.asked: list[tuple[int, int, int]] = []

    def open(self, *, rate: int, format: int, channels: int, **_: Any) -> "Picky":  # noqa: ANN401 - PortAudio's names
        self.asked.append((rate, format, channels))
        if self.asked[-1] != self.takes:
            raise OSError("Invalid sample rate", -9997)
        return self


def test_the_devices_own_rate_is_tried_first_then_what_it_takes(stream: MicrophoneStream) -> None:
    portaudio: Any = Picky(16_000, pyaudio.paFloat32, 1)

    stream.start(portaudio)

    assert portaudio.asked[0] == (48_000, pyaudio.paInt16, 2)
    assert (stream._rate_hz, stream._channels, stream._format) == (16_000, 1, "float32")


def test_a_device_that_refuses_everything_is_an_error(stream: MicrophoneStream) -> None:
    portaudio: Any = Picky(0, 0, 0)

    with pytest.raises(SourceError, match=r"refuses every rate and format: Invalid sample rate"):
        stream.start(portaudio)


def test_a_portaudio_that_does_not_start_is_a_lost_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("no memory")

    monkeypatch.setattr(pyaudio, "PyAudio", fails)

    with pytest.raises(SourceError, match="PortAudio cannot be started: no memory"):
        Microphone("", SystemClock()).open()


def test_doctor_tells_what_is_wrong_with_a_file_instead_of_raising() -> None:
    report = microphone_report(Capture(source="file:/nothing.wav"))

    assert not report.ok
    assert "does not exist" in report.faults[0]


def test_doctor_tells_a_wrong_source() -> None:
    assert (
        "capture.source is 'gramophone'"
        in microphone_report(Capture(source="gramophone")).faults[0]
    )


@pytest.mark.parametrize(
    ("peak", "fault"), [(0.1, None), (0.0, "nothing but zeros"), (4.0, "clip")]
)
def test_doctor_measures_a_second(tmp_path: Path, peak: float, fault: str | None) -> None:
    tone = np.clip(sine(1_000, 2, peak=1).astype(float) * peak, -32_768, 32_767)
    path = write_wav(tmp_path / "a.wav", tone.astype(np.int16), 16_000)

    report = microphone_report(Capture(source=f"file:{path}"))

    assert report.rate_hz == 16_000
    assert report.ok == (fault is None)
    assert fault is None or fault in report.faults[0]
    if fault is None:
        assert report.level_dbfs == pytest.approx(-23.01, abs=0.1)


def test_a_machine_without_inputs_says_so(tmp_path: Path) -> None:
    """An ALSA configuration without any device, in a program of its own."""
    (tmp_path / ".asoundrc").write_text("")
    program = (
        "from beepwatch.capture.diagnosis import microphone_report\n"
        "from beepwatch.sections import Capture\n"
        "print(microphone_report(Capture()).faults[0])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"HOME": str(tmp_path), "PULSE_SERVER": "unix:/nowhere", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "there is no input device" in told.stdout.splitlines()[-1]
    assert "ALSA lib" not in told.stderr
