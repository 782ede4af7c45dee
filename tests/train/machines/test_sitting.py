"""Listening to a machine: as long as was wished, or until it is enough, and what goes wrong."""

import contextlib
import io
import threading

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from beepwatch.capture import listening
from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.classify.spectra import RATE_HZ
from beepwatch.errors import MicrophoneNotFound, SourceError
from beepwatch.sections import Capture
from beepwatch.train.machines.collecting import Collection
from beepwatch.train.machines.learning import portraits_of
from beepwatch.train.machines.sitting import listen
from tests.capture.sounds import Script, block
from tests.train.machines.fan import fan

FAN = fan(1, 12)
NO_DEVICE = SourceError("there is no input device")


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_BACKOFF_FIRST_S", 0.01)


def blocks(first_s: float, end_s: float, lost_frames: int = 0) -> list[Block]:
    """A tenth of a second each; before the first, so much was lost."""
    tenths = range(round(10 * first_s), round(10 * end_s))
    pieces = [FAN[tenth * RATE_HZ // 10 : (tenth + 1) * RATE_HZ // 10] for tenth in tenths]
    return [
        block(pcm, lost_frames=0 if number else lost_frames) for number, pcm in enumerate(pieces)
    ]


def heard(
    source: Script, wanted_s: float = 60.0, *, terminal: bool = False
) -> tuple[Collection, str]:
    """What was collected, and what stood on the screen."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=100)
    found = listen(Capture(), wanted_s, console=console, stop=threading.Event(), source=source)
    return found, written.getvalue()


def assert_heard(found: Collection, *stretches: NDArray[np.int16]) -> None:
    """These windows, and none that lies over two stretches."""
    np.testing.assert_array_equal(found.portraits(), portraits_of(stretches))


def test_a_machine_is_heard_for_as_long_as_was_wished() -> None:
    found, said = heard(Script(blocks(0, 12)), 5.0)
    assert found.heard_s == 5
    assert_heard(found, FAN[: 5 * RATE_HZ])
    assert said == ""


def test_the_zeros_behind_the_end_are_not_the_machines() -> None:
    """Whether the last second is whole cannot be seen, so it is left out."""
    found, _ = heard(Script([*blocks(0, 7.5), EndOfSound()]))
    assert_heard(found, FAN[: 7 * RATE_HZ])


def test_what_was_lost_breaks_it_off() -> None:
    """Of a second that was lost zeros come, in two pieces."""
    lossy: list[Block | SourceError | EndOfSound | None] = [
        *blocks(0, 4.5),
        *blocks(4.5, 12, lost_frames=RATE_HZ),
        EndOfSound(),
    ]
    found, _ = heard(Script(lossy))
    assert_heard(found, FAN[: 4 * RATE_HZ], FAN[5 * RATE_HZ : 11 * RATE_HZ])


def test_a_microphone_that_was_lost_is_waited_for() -> None:
    gone = SourceError("the microphone was unplugged")
    found, said = heard(
        Script([*blocks(0, 4.2), gone], [NO_DEVICE], [*blocks(6, 12), EndOfSound()])
    )
    assert_heard(found, FAN[: 4 * RATE_HZ], FAN[6 * RATE_HZ : 11 * RATE_HZ])
    assert "the microphone was unplugged" in said


def test_without_any_microphone_it_says_so() -> None:
    with pytest.raises(MicrophoneNotFound, match="there is no input device"):
        heard(Script([NO_DEVICE]))


def test_what_a_person_is_to_do_is_said_once_there_is_a_microphone() -> None:
    gone = SourceError("the microphone was unplugged")
    for script, asked in (
        (Script([*blocks(0, 4.2), gone], [*blocks(6, 12), EndOfSound()]), 1),
        (Script([NO_DEVICE]), 0),
    ):
        written = io.StringIO()
        with contextlib.suppress(MicrophoneNotFound):
            listen(
                Capture(),
                60.0,
                console=Console(file=written, width=100),
                stop=threading.Event(),
                source=script,
                request="let it [run]",
            )
        assert written.getvalue().count("let it [run]") == asked


def test_who_has_heard_enough_is_obeyed() -> None:
    stop = threading.Event()

    class Impatient(Script):
        def read(self, within_s: float) -> Block | EndOfSound | None:
            if self._at == 65:
                stop.set()
            return super().read(within_s)

    found = listen(
        Capture(),
        1_800.0,
        console=Console(file=io.StringIO()),
        stop=stop,
        source=Impatient(blocks(0, 12)),
    )
    assert 4 <= found.heard_s <= 6


def test_the_level_and_the_time_are_for_terminals() -> None:
    _, said = heard(Script([*blocks(0, 5), EndOfSound()]), 90.0, terminal=True)
    assert "dBFS  0:03 of 1:30" in said
    assert "█" in said
