"""The sound card through PortAudio; nothing else in the program loads it.

The device is found by part of its name each time it is opened, never by a stored index: indices
change when something is plugged in. PortAudio lists devices when it is initialised and never again,
so each opening initialises it anew.
"""

import contextlib
import ctypes
import dataclasses
import math
import os
import queue
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyaudio
import structlog

from beepwatch.capture.absence import why_absent
from beepwatch.capture.alsa import spare_heavy_plugins
from beepwatch.capture.blocks import Block, SampleFormat
from beepwatch.capture.inputs import InputDevice, choose
from beepwatch.capture.keepsake import Heard, Keepsake, can_follow, following
from beepwatch.capture.losses import Losses
from beepwatch.clock import Clock
from beepwatch.errors import SourceError

_FORMATS: Final[tuple[tuple[int, SampleFormat], ...]] = (
    (pyaudio.paInt16, "int16"),
    (pyaudio.paInt32, "int32"),
    (pyaudio.paFloat32, "float32"),
)
_USUAL_RATES_HZ: Final = (48_000, 44_100, 32_000, 16_000)
_MOST_CHANNELS: Final = 2  # ALSA's plugins promise 32 or 128 and make them up
_BLOCK_S: Final = 0.15  # seven wake-ups a second; half of it is the mean delay
_QUEUE_S: Final = 10.0  # how long the process may be held up before sound is lost
_MOST_BUFFERS: Final = round(_QUEUE_S / _BLOCK_S)

_MOST_GAP_S: Final = 10.0  # after a longer gap the stream is begun anew

log = structlog.get_logger()

_AlsaHandler = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p
)


_JackHandler = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


def _say_nothing(*_: object) -> None:
    """In the place of the handlers that write to standard error."""


# Kept for ever, as the libraries hold only their addresses.
_alsa_handler = _AlsaHandler(_say_nothing)
_jack_handler = _JackHandler(_say_nothing)


def _silence_libraries() -> None:
    """Keep ALSA and JACK from writing a line for each of their devices that is not there.

    PortAudio tries all of them; what works is in its list. These are the libraries' own switches,
    so that standard error stays as it is for everybody else.
    """
    with contextlib.suppress(OSError):  # no ALSA here, and no noise from it
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_alsa_handler)
    with contextlib.suppress(OSError):
        jack = ctypes.CDLL("libjack.so.0")
        jack.jack_set_error_function(_jack_handler)
        jack.jack_set_info_function(_jack_handler)


@contextlib.contextmanager
def _unheard_complaints() -> Iterator[None]:
    """Standard error leads nowhere meanwhile.

    PortAudio writes three lines there for each form that a device refuses, without a switch: a
    device that refuses all of them would be good for 300 lines a minute.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Buffer(NamedTuple):
    """What PortAudio handed over, as it came, and what it told of since the one before."""

    heard: Heard
    overflows: int
    dropped_buffers: int
    dropped_frames: int


class MicrophoneStream:
    """An open input. PortAudio's thread copies, counts and queues; `read` takes.

    It takes all that has gathered since it last did, so that the reader need not come for each
    buffer.
    """

    def __init__(self, device: InputDevice, clock: Clock, keepsake: Keepsake | None = None) -> None:
        """With a `keepsake`, what comes is kept there too."""
        self.text = device.name
        self._keepsake = keepsake
        self._inherited: deque[Block] = deque()  # comes before what is heard
        self._clock = clock
        self._device = device
        self._queue: queue.SimpleQueue[_Buffer] = queue.SimpleQueue()
        self._next: Block | None = None  # taken, but not in one piece with what was before
        self._overflows = 0  # told of since the last buffer that found room
        self._dropped_buffers = 0
        self._dropped_frames = 0
        self._portaudio: pyaudio.PyAudio | None = None
        self._stream: pyaudio.PyAudio.Stream | None = None

    def start(self, portaudio: pyaudio.PyAudio, inherited: Sequence[Block] = ()) -> None:
        """Open the device as it is, then as it can be. Raises SourceError when it cannot.

        What was `inherited` comes first, if it is of the same form and not too old.
        """
        self._portaudio = portaudio
        self._inherited.extend(inherited)
        refused = []
        for rate_hz, channels, code, name in _ways_to_open(self._device):
            self._losses = Losses(rate_hz)
            self._rate_hz, self._channels, self._format = rate_hz, channels, name
            try:
                with _unheard_complaints():
                    self._stream = portaudio.open(
                        rate=rate_hz,
                        channels=channels,
                        format=code,
                        input=True,
                        input_device_index=self._device.index,
                        frames_per_buffer=round(_BLOCK_S * rate_hz),
                        stream_callback=self._heard,
                    )
            except (OSError, ValueError) as error:
                refused.append(str(error.args[0] if error.args else error))
            else:
                return
        raise SourceError(
            f"the microphone {self._device.name!r} refuses every rate and format: {refused[0]}. "
            f"{why_absent() or 'Is another program using it?'} Run `beepwatch doctor`."
        )

    def read(self, within_s: float) -> Block | None:
        """What has come since. Raises SourceError when the device has ended the stream."""
        if self._inherited and self._next is not None:
            return self._inherited.popleft()
        block, self._next = self._next, None
        if block is None:
            try:
                buffer = self._queue.get(timeout=within_s)
            except queue.Empty:
                self._check_active()
                return None
            block = self._block(buffer, self._lost_before(buffer))
        if self._inherited and can_follow(self._inherited, block, within_s=_MOST_GAP_S):
            self._next = following(self._inherited[-1], block)
            return self._inherited.popleft()
        self._inherited.clear()
        block = self._with_what_follows(block)
        if block.lost_frames > _MOST_GAP_S * block.rate_hz:
            raise SourceError(
                f"the microphone {self.text!r} was held up for "
                f"{block.lost_frames / block.rate_hz:.0f} s. It is opened again."
            )
        return block

    def close(self) -> None:
        """Give the device and PortAudio's list of devices back."""
        portaudio, self._portaudio, self._stream = self._portaudio, None, None
        if portaudio is not None:
            portaudio.terminate()

    def _check_active(self) -> None:
        active = False
        if self._stream is not None:
            with contextlib.suppress(OSError):  # a stream whose state is unknown has ended
                active = self._stream.is_active()
        if not active:
            raise SourceError(
                f"the microphone {self.text!r} was lost. It is opened again; "
                "if that does not help, run `beepwatch doctor`."
            )

    def _heard(
        self, data: bytes | None, frames: int, time_info: Mapping[str, float], flags: int
    ) -> tuple[None, int]:
        """PortAudio's callback: no decision, no waiting, no writing."""
        self._overflows += bool(flags & pyaudio.paInputOverflow)
        if self._queue.qsize() >= _MOST_BUFFERS:
            self._dropped_buffers += 1
            self._dropped_frames += frames
            return None, pyaudio.paContinue
        heard = Heard(
            data=data or b"",
            rate_hz=self._rate_hz,
            channels=self._channels,
            sample_format=self._format,
            frames=frames,
            arrived_s=self._clock.mono_s(),
            age_s=self._age_s(
                frames, time_info["current_time"], time_info["input_buffer_adc_time"]
            ),
        )
        buffer = _Buffer(heard, self._overflows, self._dropped_buffers, self._dropped_frames)
        self._overflows = self._dropped_buffers = self._dropped_frames = 0
        if self._keepsake is not None:
            self._keepsake.keep(heard)
        self._queue.put(buffer)  # last, as whoever it wakes up would have to wait for the rest
        return None, pyaudio.paContinue

    def _age_s(self, frames: int, stream_s: float, adc_s: float) -> float:
        """How long before its arrival a buffer's first frame was heard.

        By the stream's clock it arrived at `stream_s` and was heard at `adc_s`, which is 0 if the
        host cannot say.
        """
        age_s = stream_s - adc_s
        return age_s if 0 < age_s < _MOST_GAP_S and adc_s > 0 else frames / self._rate_hz

    def _lost_before(self, buffer: _Buffer) -> int:
        """Frames that are missing between the buffer that was taken last and this one."""
        heard = buffer.heard
        self._losses.dropped(buffer.dropped_frames)
        flagged = buffer.overflows > 0
        lost = self._losses.before(heard.frames, heard.began_s, heard.arrived_s, flagged=flagged)
        return lost + buffer.dropped_frames

    def _block(self, buffer: _Buffer, lost_frames: int) -> Block:
        """The buffer with its time and what is missing before it."""
        return Block(
            data=buffer.heard.data,
            sample_format=self._format,
            channels=self._channels,
            rate_hz=self._rate_hz,
            lost_frames=lost_frames,
            overflows=buffer.overflows,
            dropped_blocks=buffer.dropped_buffers,
            captured_mono_s=buffer.heard.ended_s,
            piece_s=buffer.heard.frames / self._rate_hz,
        )

    def _with_what_follows(self, block: Block) -> Block:
        """As one block with all in the queue up to where something is missing."""
        whole, captured_s = [block.data], block.captured_mono_s
        while self._next is None and not self._queue.empty():
            buffer = self._queue.get_nowait()
            lost_frames = self._lost_before(buffer)
            if lost_frames or buffer.overflows:
                self._next = self._block(buffer, lost_frames)
            else:
                whole.append(buffer.heard.data)
                captured_s = buffer.heard.ended_s
        return dataclasses.replace(
            block,
            data=b"".join(whole),
            captured_mono_s=captured_s,
            is_latest=self._next is None,
        )


class Microphone:
    """`--source microphone` or `microphone:PART-OF-NAME`."""

    live = True
    paced = False
    patience_s = 2.0

    def __init__(self, wanted: str, clock: Clock, keepsake: Keepsake | None = None) -> None:
        """With a `keepsake`, the first opening begins with what an earlier recorder left there."""
        self.name = f"microphone:{wanted}" if wanted else "microphone"
        self._wanted = wanted
        self._clock = clock
        self._keepsake = keepsake
        self._inherited = keepsake.untold() if keepsake else []

    def open(self) -> MicrophoneStream:
        """Raises MicrophoneNotFound, or SourceError when the device cannot be opened."""
        portaudio = _initialised()
        try:
            device = choose(devices_of(portaudio), self._wanted)
            stream = MicrophoneStream(device, self._clock, self._keepsake)
            stream.start(portaudio, self._inherited)
            self._inherited = []
        except BaseException:
            portaudio.terminate()
            raise
        return stream


def input_devices() -> list[InputDevice]:
    """The inputs that there are at this moment. Raises SourceError without a sound system."""
    portaudio = _initialised()
    try:
        return devices_of(portaudio)
    finally:
        portaudio.terminate()


def _initialised() -> pyaudio.PyAudio:
    """PortAudio, with the devices that there are now."""
    _silence_libraries()
    spare_heavy_plugins()
    try:
        return pyaudio.PyAudio()
    except OSError as error:
        raise SourceError(
            f"PortAudio cannot be started: {error}. Run `beepwatch doctor`."
        ) from None


def devices_of(portaudio: pyaudio.PyAudio) -> list[InputDevice]:
    """The inputs of one initialisation of PortAudio."""
    try:
        default = int(portaudio.get_default_input_device_info()["index"])
    except OSError:  # there is none
        default = -1
    found = []
    for index in range(portaudio.get_device_count()):
        told: Mapping[str, Any] = portaudio.get_device_info_by_index(index)
        if told["maxInputChannels"] < 1:
            continue
        name = told["name"]
        found.append(
            InputDevice(
                index=index,
                name=name if isinstance(name, str) else name.decode(errors="replace"),
                channels=int(told["maxInputChannels"]),
                rate_hz=math.floor(told["defaultSampleRate"]),
                is_default=index == default,
            )
        )
    return found


def _ways_to_open(device: InputDevice) -> Iterator[tuple[int, int, int, SampleFormat]]:
    """Rate, channels and format: the device's own first, then what most devices can do."""
    rates_hz = dict.fromkeys([device.rate_hz, *_USUAL_RATES_HZ])
    channels = dict.fromkeys([min(device.channels, _MOST_CHANNELS), 1, device.channels])
    for rate_hz in rates_hz:
        for code, name in _FORMATS:
            for count in channels:
                yield rate_hz, count, code, name
