"""Each opening of a microphone begins with nothing of the one before, and leaves nothing open."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyaudio
import pytest

from beepwatch.capture.keepsake import Heard, Keepsake, open_memory
from beepwatch.capture.microphone import Microphone, MicrophoneStream
from beepwatch.clock import SystemClock
from beepwatch.errors import SourceError

RATE_HZ = 10_000
FRAMES = 1_000


class PortAudio:
    """The library with one input, which may refuse to be opened."""

    refuses = False
    lives = 0

    def __init__(self) -> None:
        PortAudio.lives += 1
        self.heard: Callable[..., object]

    def terminate(self) -> None:
        PortAudio.lives -= 1

    def get_default_input_device_info(self) -> dict[str, Any]:
        return self.get_device_info_by_index(0)

    def get_device_count(self) -> int:
        return 1

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        return {
            "index": index,
            "name": "USB Audio: Mic",
            "maxInputChannels": 1,
            "defaultSampleRate": float(RATE_HZ),
        }

    def open(self, *, stream_callback: Callable[..., object], **_form: object) -> "PortAudio":
        if self.refuses:
            raise OSError("Device unavailable", -9985)
        self.heard = stream_callback
        return self

    def is_active(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyaudio, "PyAudio", PortAudio)
    monkeypatch.setattr(PortAudio, "lives", 0)
    Microphone("", SystemClock()).open().close()  # what is loaded once and for all


def handles() -> dict[str, tuple[int, int]]:
    """What this process has open, by number: device and inode."""
    found = {}
    for one in Path("/proc/self/fd").iterdir():
        if one.exists():
            status = one.stat()
            found[one.name] = (status.st_dev, status.st_ino)
    return found


@pytest.mark.parametrize("refuses", [False, True], ids=["opened", "refused"])
def test_standard_error_is_where_it_was_and_nothing_more_is_open(
    monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    """Every 15 seconds for as long as the microphone is away."""
    monkeypatch.setattr(PortAudio, "refuses", refuses)
    before = handles()
    for _ in range(3):
        try:
            Microphone("", SystemClock()).open().close()
        except SourceError:
            assert refuses
    after = handles()
    assert after["2"] == before["2"]
    assert after.keys() <= before.keys()
    assert PortAudio.lives == 0


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = open_memory()
    yield descriptor
    os.close(descriptor)


def hear(stream: MicrophoneStream) -> None:
    """A tenth of a second, as PortAudio hands it over."""
    portaudio: Any = stream._portaudio
    told = {"input_buffer_adc_time": 5.0, "current_time": 5.0 + FRAMES / RATE_HZ}
    portaudio.heard(bytes(2 * FRAMES), FRAMES, told, 0)


def test_what_an_earlier_recorder_left_comes_with_the_first_opening_only(memory: int) -> None:
    """A second time it would be another beep."""
    clock = SystemClock()
    left = Heard(
        data=bytes(2 * FRAMES),
        rate_hz=RATE_HZ,
        channels=1,
        sample_format="int16",
        frames=FRAMES,
        arrived_s=clock.mono_s() - 1.0,
        age_s=FRAMES / RATE_HZ,
    )
    Keepsake(memory).keep(left)
    microphone = Microphone("", clock, Keepsake(memory))
    came = []
    for _ in range(2):
        stream = microphone.open()
        hear(stream)
        blocks = [block for _ in range(3) if (block := stream.read(0.0)) is not None]
        came.append(len(blocks))
        stream.close()
    assert came == [2, 1]
