"""The inputs that a machine has, and which of them is meant."""

from dataclasses import dataclass
from typing import Final

from beepwatch.capture.absence import why_absent
from beepwatch.errors import MicrophoneNotFound

_WHAT_TO_DO: Final = (
    "Plug a microphone in, start the sound server, or end the program that holds the microphone."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDevice:
    """What PortAudio says of one input."""

    index: int  # valid until PortAudio is initialised again
    name: str
    channels: int
    rate_hz: int
    is_default: bool


def choose(devices: list[InputDevice], wanted: str) -> InputDevice:
    """The first input whose name holds `wanted`, in any case; the default one if it is empty.

    Raises MicrophoneNotFound, which names those that are there.
    """
    if wanted:
        chosen = next((d for d in devices if wanted.casefold() in d.name.casefold()), None)
    else:
        chosen = next((d for d in devices if d.is_default), devices[0] if devices else None)
    if chosen is not None:
        return chosen
    reason = why_absent()
    if not devices:
        raise MicrophoneNotFound(
            "there is no input device. "
            f"{reason or _WHAT_TO_DO} "
            "`beepwatch doctor` tells what is seen."
        )
    names = ", ".join(repr(device.name) for device in devices)
    raise MicrophoneNotFound(
        f"no input device matches {wanted!r}; found {names}. "
        f"{reason + ' ' if reason else ''}Set capture.source, or run `beepwatch doctor`."
    )
