"""`teach NAME --listen` on a terminal: what somebody sees who waits, and what ^C leaves."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line
from beepwatch.train.teaching import lessons
from tests.teach.clips import wav
from tests.terminal import INTERRUPT, terminal
from tests.train.beeper import beeping

pytestmark = pytest.mark.slow


def listening(tmp_path: Path, *more: str) -> tuple[str, ...]:
    """To a quiet room in which it beeps after a minute, ten times as fast."""
    quiet = beeping(2_960, level=0, length_s=65)
    beeps = [beeping(2_960, length_s=5)] * 20
    live = wav(tmp_path / "live.wav", np.concatenate([quiet, *beeps]))
    source = ("--source", f"file:{live}", "--speed", "10")
    return ("teach", "washer", "--listen", *source, *more)


def seconds_of(shelf: Shelf) -> float:
    """Of the room that is kept."""
    with wave.open(io.BytesIO(shelf.room.read_bytes())) as room:
        return float(room.getnframes() / room.getframerate())


def test_a_room_is_counted_down_and_what_was_heard_of_it_is_kept(
    tmp_path: Path, shelf: Shelf
) -> None:
    with terminal(*listening(tmp_path)) as there:
        there.wait_for("dBFS  the room, 5\\d s to go")
        there.wait_for("the room, 3\\d s to go")
        there.type(INTERRUPT)
        assert there.end() == 1
    last = there.seen.splitlines()[-1]
    kept_s = seconds_of(shelf)
    assert last == (
        f"beepwatch: ended before any beep: {kept_s:.0f} s of the 60 s of your room were heard, "
        "and are kept. The next --listen goes on to the beeps."
    )
    assert kept_s >= 20


def test_a_moment_of_the_room_is_not_kept_and_that_is_said(tmp_path: Path, shelf: Shelf) -> None:
    with terminal(*listening(tmp_path)) as there:
        there.wait_for("the room, 5\\d s to go")
        there.type(INTERRUPT)
        assert there.end() == 1
    assert there.seen.endswith(
        "s of the 60 s of your room were heard, and are too few to keep. "
        "The next --listen begins with the room again.\n"
    )
    assert not shelf.room.exists()


def test_who_waits_for_beeps_sees_which_and_keeps_what_was_taken(
    tmp_path: Path, shelf: Shelf
) -> None:
    with terminal(*listening(tmp_path)) as there:
        there.wait_for("dBFS  waiting for beep 1 of 3")
        there.wait_for("that one\\?")
        there.type("y\n")
        there.wait_for("dBFS  waiting for beep 2 of 3")
        there.type(INTERRUPT)
        there.wait_for("learning from 1 example|that one\\?[^?]*that one\\?")
        there.type("n\n")
        assert there.end() == 0
    assert "washer: would have caught" in there.seen
    assert len(shelf.examples("washer")) == 1


def test_who_breaks_off_the_learning_is_told_that_nothing_was_learned(
    tmp_path: Path,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken_off(*_: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lessons, "teach", broken_off)
    assert run_command_line(["teach", "washer", wav(tmp_path / "a", beeping(2_960))]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "broken off while it learned: washer is as it was before"
    assert shelf.digests() == {}
