"""Which of the inputs is meant, and what is said when it is not there."""

import pytest

from beepwatch.capture.inputs import InputDevice, choose
from beepwatch.errors import MicrophoneNotFound


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
