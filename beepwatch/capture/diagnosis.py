"""What `beepwatch doctor` wants to know of the input; nothing here raises, everything is told."""

import math
import threading
from concurrent.futures import Future

import msgspec

from beepwatch.capture.health import CLIPPING_SHARE
from beepwatch.capture.listening import Listener
from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import BeepwatchError
from beepwatch.messages import Fault, FaultKind, Listening, Window
from beepwatch.sections import Capture

_GIVE_UP_S = 10.0  # a small machine may be busy
_ANSWERS_WITHIN_S = 15.0
_FULL_SCALE = 32_700


class MicrophoneReport(msgspec.Struct, frozen=True, kw_only=True):
    """The input as it is at this moment."""

    source: str
    devices: tuple[str, ...] = ()  # names of the inputs that PortAudio sees
    device: str | None = None  # what would be used
    rate_hz: int | None = None  # its own
    channels: int | None = None
    level_dbfs: float | None = None  # of one second; -inf for digital silence
    lost_samples: int = 0
    faults: tuple[str, ...] = ()  # each with what to do

    @property
    def ok(self) -> bool:
        """Whether there is sound and nothing wrong with it."""
        return not self.faults


def microphone_report(capture: Capture) -> MicrophoneReport:
    """Look for devices, listen for a second, tell what is wrong. Takes at most some seconds.

    What asks a sound server that hangs is never answered; it is left behind in its thread.
    """
    answer: Future[MicrophoneReport] = Future()

    def ask() -> None:
        try:
            answer.set_result(_examined(capture, SystemClock()))
        except Exception as error:  # noqa: BLE001 - raised where the answer is taken
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(_ANSWERS_WITHIN_S)
    except TimeoutError:
        fault = (
            f"{capture.source} has not answered for {_ANSWERS_WITHIN_S:.0f} s. "
            "Restart the sound server (PipeWire or PulseAudio)."
        )
        return MicrophoneReport(source=capture.source, faults=(fault,))


def _examined(capture: Capture, clock: Clock) -> MicrophoneReport:
    report = MicrophoneReport(source=capture.source)
    one_second = msgspec.structs.replace(capture, window_s=1.0, hop_s=1.0, gate=False)
    stop = threading.Event()
    try:
        if capture.source.startswith("microphone"):
            from beepwatch.capture.microphone import input_devices

            devices = tuple(device.name for device in input_devices())
            report = msgspec.structs.replace(report, devices=devices)
        listener = Listener(one_second, rate_hz=None, clock=clock, stop=stop)
        return _heard_for_a_second(report, listener, clock)
    except BeepwatchError as error:
        return msgspec.structs.replace(report, faults=(str(error),))


def _heard_for_a_second(
    report: MicrophoneReport, listener: Listener, clock: Clock
) -> MicrophoneReport:
    changes: dict[str, object] = {}
    faults: list[str] = []
    give_up_s = clock.mono_s() + _GIVE_UP_S
    for heard in listener:
        if isinstance(heard, Listening):
            changes.update(
                device=listener.stream_text, rate_hz=heard.rate_hz, channels=heard.channels
            )
        elif isinstance(heard, Fault) and heard.kind in (FaultKind.NO_DEVICE, FaultKind.STALLED):
            faults.append(heard.text)
            break
        elif isinstance(heard, Window):
            changes.update(level_dbfs=heard.level_dbfs, lost_samples=heard.lost_samples)
            faults += _faults_of(heard, listener.stream_text)
            break
        elif clock.mono_s() > give_up_s:
            faults.append(
                f"{listener.stream_text} gave less than a second of sound in "
                f"{_GIVE_UP_S:.0f} s. Is it suspended or held by another program?"
            )
            break
    return msgspec.structs.replace(report, faults=tuple(faults), **changes)


def _faults_of(window: Window, device: str) -> list[str]:
    """What one second tells."""
    if math.isinf(window.level_dbfs):
        return [f"{device} gives nothing but zeros. Unmute it, or choose another capture.source."]
    pcm = window.waveform()
    share = float(((pcm >= _FULL_SCALE) | (pcm <= -_FULL_SCALE)).mean())
    if share > CLIPPING_SHARE:
        return [f"{share:.0%} of the samples of {device} clip. Turn its level down."]
    return []
