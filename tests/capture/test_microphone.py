"""The sound card: which one is taken, what was lost, and real sound through a real sound server."""

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyaudio
import pytest

from beepwatch.capture.diagnosis import microphone_report
from beepwatch.capture.microphone import (
    InputDevice,
    Losses,
    Microphone,
    MicrophoneStream,
    choose,
)
from beepwatch.clock import SystemClock
from beepwatch.config import Capture
from beepwatch.errors import MicrophoneNotFound, SourceError
from tests.capture.sounds import DATA, loudest_hz, sine, write_wav
from tests.sound_server import SoundServer, sound_server


def device(index: int, name: str, *, default: bool = False) -> InputDevice:
    return InputDevice(index=index, name=name, channels=2, rate_hz=48_000, is_default=default)


DEVICES = [device(3, "HDA Intel"), device(5, "USB Audio: Mic", default=True), device(7, "USB 2")]


@pytest.mark.parametrize(
    ("wanted", "index"), [("", 5), ("usb", 5), ("hda INTEL", 3), ("2", 7), ("mic", 5)]
)
def test_the_microphone_is_found_by_part_of_its_name(wanted: str, index: int) -> None:
    assert choose(DEVICES, wanted).index == index


def test_without_a_default_the_first_input_is_taken() -> None:
    assert choose([DEVICES[0], DEVICES[2]], "").index == 3


def test_a_missing_microphone_names_those_that_are_there() -> None:
    with pytest.raises(MicrophoneNotFound, match=r"no input device matches 'røde'; found 'HDA"):
        choose(DEVICES, "røde")
    with pytest.raises(MicrophoneNotFound, match="there is no input device"):
        choose([], "")


RATE_HZ = 10_000
FRAMES = 500  # 50 ms


def losses_of(gaps: dict[int, float], flags: set[int], jitter_s: float = 0.0) -> list[int]:
    """Frames told lost before each of 100 blocks when time jumps by `gaps` before some."""
    late = np.random.default_rng(1).uniform(0, jitter_s, 100)
    losses = Losses(RATE_HZ)
    stamp_s = 1_000.0
    told = []
    for index in range(100):
        stamp_s += gaps.get(index, 0.0)
        told.append(
            losses.before(FRAMES, stamp_s, stamp_s + 0.05 + late[index], flagged=index in flags)
        )
        stamp_s += FRAMES / RATE_HZ
    return told


def test_an_announced_loss_is_as_long_as_the_stamps_say() -> None:
    told = losses_of({50: 0.3, 70: 0.01}, flags={50, 70})

    assert {index: lost for index, lost in enumerate(told) if lost} == {50: 3_000, 70: 100}


def test_a_loss_that_nobody_announced_is_believed_after_a_second() -> None:
    told = losses_of({50: 0.3}, flags=set())

    (noticed,) = [index for index, lost in enumerate(told) if lost]
    assert 70 <= noticed <= 71
    assert told[noticed] == 3_000


def test_late_arrivals_are_no_losses() -> None:
    assert sum(losses_of({}, flags=set(), jitter_s=0.2)) == 0


def test_a_stamp_that_the_sound_server_corrects_is_no_loss() -> None:
    """PulseAudio finds out after a second that its first guess of the latency was 0.2 s off."""
    losses = Losses(RATE_HZ)

    lost = [
        losses.before(FRAMES, i * 0.05 + 0.2 * (i > 20), i * 0.05 + 0.25, flagged=False)
        for i in range(100)
    ]

    assert sum(lost) == 0


def test_with_late_arrivals_the_time_line_stays_true() -> None:
    """Each overflow loses 0.1 s; late arrivals may misplace it, they do not add up."""
    flags = {10, 30, 50, 70, 90}

    told = losses_of(dict.fromkeys(flags, 0.1), flags, jitter_s=0.01)

    assert sum(told) == pytest.approx(5_000, abs=120)


def test_drift_of_the_sound_cards_clock_is_no_loss() -> None:
    """Half an hour at 200 ppm: 0.4 s in all."""
    losses = Losses(RATE_HZ)
    block_s = FRAMES / RATE_HZ * (1 + 2e-4)

    assert (
        sum(losses.before(FRAMES, i * block_s, i * block_s, flagged=False) for i in range(144_000))
        == 0
    )


def callback(stream: MicrophoneStream, flags: int = 0, adc_s: float = 0.0) -> None:
    """As PortAudio calls it with 50 ms of sound."""
    stream._rate_hz, stream._channels, stream._format = RATE_HZ, 1, "int16"
    told = {"input_buffer_adc_time": adc_s, "current_time": adc_s + 0.06}
    stream._heard(bytes(2 * FRAMES), FRAMES, told, flags)


@pytest.fixture
def stream() -> MicrophoneStream:
    stream = MicrophoneStream(DEVICES[1], SystemClock())
    stream._losses = Losses(RATE_HZ)
    return stream


def test_a_full_queue_drops_and_the_next_block_tells(stream: MicrophoneStream) -> None:
    for _ in range(stream._queue.maxsize + 3):
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


def test_the_moment_of_capture_comes_from_the_converters_stamp(stream: MicrophoneStream) -> None:
    """The first frame is 60 ms old, the last one 10 ms."""
    callback(stream, adc_s=5.0)
    block = stream.read(0.1)

    assert block is not None
    assert block.captured_mono_s == pytest.approx(SystemClock().mono_s() - 0.01, abs=0.009)


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
        "from beepwatch.config import Capture\n"
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


# From here on: a real PulseAudio, real ALSA, real PortAudio, in a program of its own.

CHILD = """\
import json, sys, threading
import msgspec
from beepwatch.capture.listening import Listener
from beepwatch.clock import SystemClock
from beepwatch.config import Capture
from beepwatch.messages import Window
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
listener = Listener(
    Capture(source=sys.argv[1], gate=False), rate_hz=16_000, clock=SystemClock(), stop=stop
)
for heard in listener:
    if heard is None:
        continue
    told = msgspec.to_builtins(heard)
    told["counts"] = listener.counts.as_dict()
    told["mono_s"] = SystemClock().mono_s()
    print(json.dumps(told), flush=True)
"""


class Recorder:
    """The listening program; its messages as dictionaries."""

    def __init__(self, server: SoundServer, source: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, source],
            env={**server.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def next(self, kind: str) -> dict[str, Any]:
        """The next message of this type; those before it are passed over."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["type"] == kind:
                return told
        raise AssertionError(f"the recorder ended before any {kind}")

    def stop(self) -> None:
        self._process.communicate()


@pytest.fixture(params=[44_100])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SoundServer]:
    with sound_server(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def recorder(server: SoundServer) -> Iterator[Recorder]:
    running = Recorder(server, "microphone:default")
    yield running
    running.stop()


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
    first = recorder.next("Window")
    server.kill()
    fault = recorder.next("Fault")
    server.start()
    over = recorder.next("Fault")
    again = recorder.next("Window")

    assert (fault["cleared"], over["cleared"]) == (False, True)
    assert fault["kind"] in ("no device", "stalled")
    assert over["kind"] == fault["kind"]
    assert again["counts"]["openings"] == 2
    assert again["stream_id"] != first["stream_id"]


@pytest.mark.mic
@pytest.mark.slow
def test_no_sample_is_lost_in_twenty_seconds(recorder: Recorder) -> None:
    """As many samples as the clock says, from the first window to the last, none of them filled."""
    windows = [recorder.next("Window") for _ in range(18)]

    first, last = windows[0], windows[-1]
    by_clock_s = last["mono_s"] - first["mono_s"]
    by_samples_s = (last["first_sample"] - first["first_sample"]) / 16_000
    assert [window["sequence"] for window in windows] == list(range(18))
    assert by_samples_s == pytest.approx(by_clock_s, abs=0.15)
    assert last["counts"]["lost_samples"] == 0
    assert last["counts"]["overflows"] == 0


@pytest.mark.mic
def test_doctor_hears_the_microphone(server: SoundServer) -> None:
    program = (
        "import msgspec, sys\n"
        "from beepwatch.capture.diagnosis import microphone_report\n"
        "from beepwatch.config import Capture\n"
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
