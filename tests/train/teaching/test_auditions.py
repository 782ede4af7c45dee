"""Listening for examples: what is taken for one beep, and what a person says to it."""

import io
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from beepwatch.capture import listening
from beepwatch.capture.blocks import Block, EndOfSound
from beepwatch.clock import Clock, ManualClock
from beepwatch.errors import MicrophoneNotFound, SourceError
from beepwatch.sections import Capture
from beepwatch.train.teaching import auditions
from beepwatch.train.teaching.auditions import Audition
from beepwatch.train.teaching.examples import Example
from tests.capture.sounds import Script, block
from tests.train.beeper import PULSES_S, RATE_HZ, beeping, shipped

PITCH_HZ = 2_960.0
NO_DEVICE = SourceError("there is no input device")


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_BACKOFF_FIRST_S", 0.01)


def quiet(length_s: float) -> NDArray[np.int16]:
    """A room in which nothing beeps."""
    return beeping(PITCH_HZ, level=0, length_s=length_s)


def blocks(*sounds: NDArray[np.int16]) -> list[Block]:
    """Half a second each."""
    whole = np.concatenate(sounds)
    return [block(whole[first : first + 8_000]) for first in range(0, len(whole), 8_000)]


def heard(
    source: Script,
    wanted: int = 1,
    ask: Callable[[str], str] = lambda _: "y",
    clock: Clock | None = None,
) -> tuple[Sequence[Example], str]:
    """What was taken, and what stood on the screen."""
    written = io.StringIO()
    audition = Audition(
        Capture(),
        shipped(),
        console=Console(file=written, width=100),
        ask=ask,
        stop=threading.Event(),
        clock=clock,
        source=source,
    )
    return audition.examples(wanted), written.getvalue()


@pytest.mark.parametrize("before_s", [2.0, 13.5, 14.3])
def test_a_beep_of_several_pulses_is_one_example_however_long_it_was_waited_for(
    before_s: float,
) -> None:
    found, _ = heard(
        Script([*blocks(quiet(before_s), beeping(PITCH_HZ, length_s=8)), EndOfSound()])
    )
    (example,) = found
    spans = example.spans_s(shipped().frame_s)
    assert spans[-1][1] - spans[0][0] == pytest.approx(PULSES_S[-1][1] - PULSES_S[0][0], abs=0.15)


def test_a_beep_that_does_not_end_is_offered_before_its_beginning_is_forgotten() -> None:
    pulses_s = tuple((0.6 * number, 0.6 * number + 0.3) for number in range(2, 34))
    endless = beeping(PITCH_HZ, length_s=20, pulses_s=pulses_s)
    found, _ = heard(Script(blocks(quiet(6), endless)))
    assert 10 < len(found[0].pcm) / RATE_HZ <= auditions.KEPT_S


def test_what_a_person_has_played_to_himself_is_no_beep_of_the_appliances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The microphone hears the loudspeaker: it would be offered as the next one."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    answers = iter(["p", "y", "y"])
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(auditions, "play", lambda *_: clock.advance(10.0))
    played, own = beeping(PITCH_HZ, length_s=6), beeping(PITCH_HZ, length_s=8)
    source = Script([*blocks(played, played, quiet(2), own), EndOfSound()])
    found, said = heard(source, 2, lambda _: next(answers), clock)
    assert len(found) == 2
    assert next(answers, "all were given") == "all were given"
    assert "beep 3" not in said


def test_a_microphone_that_is_lost_is_waited_for_and_that_is_said() -> None:
    gone = SourceError("the microphone was unplugged")
    beep = beeping(PITCH_HZ, length_s=6)
    found, said = heard(
        Script([*blocks(quiet(2)), gone], [NO_DEVICE], [*blocks(beep), EndOfSound()])
    )
    assert len(found) == 1
    assert "the microphone was unplugged" in said


@pytest.mark.parametrize("part", ["room", "examples"])
def test_without_any_microphone_it_says_so_and_asks_for_nothing(part: str) -> None:
    written = io.StringIO()
    sitting = Audition(
        Capture(),
        shipped(),
        console=Console(file=written, width=100),
        ask=lambda _: "y",
        stop=threading.Event(),
        source=Script([NO_DEVICE]),
    )
    with pytest.raises(MicrophoneNotFound, match="there is no input device"):
        sitting.room() if part == "room" else sitting.examples(1)
    assert written.getvalue() == ""


def test_what_a_person_is_to_do_is_said_once_it_listens() -> None:
    _, said = heard(Script([*blocks(beeping(PITCH_HZ, length_s=6)), EndOfSound()]))
    assert said.splitlines()[0] == "now let it beep, 1 times in all; ^C ends"


def test_the_microphone_is_let_go_of_as_soon_as_the_last_beep_is_taken() -> None:
    """What comes next is learning; and a resampler that is still open at the end complains."""
    endless = Script([*blocks(beeping(PITCH_HZ, length_s=6)), None])
    found, _ = heard(endless)
    assert len(found) == 1
    assert endless.closed == 1


def test_what_is_wrong_with_the_microphone_is_said() -> None:
    """Nobody waits for a beep to be taken that comes as a rattle."""
    clipping = np.full(15 * RATE_HZ, 32_767, dtype=np.int16)
    found, said = heard(Script([*blocks(clipping), EndOfSound()]))
    assert found == []
    assert "at full scale" in said


def test_a_player_that_fails_does_not_end_the_sitting(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["p", "y"])
    monkeypatch.setattr("shutil.which", lambda _: "/no/such/player")
    found, said = heard(
        Script([*blocks(beeping(PITCH_HZ, length_s=6)), EndOfSound()]), 1, lambda _: next(answers)
    )
    assert len(found) == 1
    assert "/no/such/player" in said
