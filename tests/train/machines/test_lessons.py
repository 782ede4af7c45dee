"""Files in, a learned machine and what is said of other files out."""

import wave
import weakref
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.condition import Difference, Listener, Normal
from beepwatch.classify.differences import Change, change_of, difference_text
from beepwatch.classify.novelties import Seen
from beepwatch.errors import UnreadableAudio
from beepwatch.train.machines import lessons
from beepwatch.train.machines.learning import learn_normal, portraits_of
from beepwatch.train.machines.lessons import (
    Heard,
    collect_files,
    heard_line,
    judge,
    judge_files,
    learn,
    learned_line,
    length_text,
    report,
)
from tests.train.machines.fan import fan, household


@cache
def learned() -> Normal:
    return learn_normal("fan", portraits_of([fan(1)]), household())


def written(path: Path, pcm: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm.tobytes())
    return path


def test_a_fan_is_learned_from_files(tmp_path: Path) -> None:
    """With the shipped household over it; what is too short for a window is said."""
    said: list[str] = []
    files = [written(tmp_path / "fan.wav", fan(1, 30)), written(tmp_path / "2.wav", fan(1, 2))]
    normal = learn("fan", collect_files(files, said.append))
    assert normal.learned_s == 28
    assert learned_line(normal) == "fan: learned from 28 s of normal sound, one way of running."
    assert [line.removeprefix(f"{tmp_path}/") for line in said] == [
        "fan.wav: 30 s",
        "2.wav: 2 s, shorter than 3 s: left out",
    ]


@pytest.mark.parametrize(
    ("learned_s", "level_dbfs", "advice"),
    [
        (1_798.0, -40.0, []),
        (60.0, -40.0, ["To make it better: give five minutes and more, best of every programme."]),
        (60.0, -83.2, ["It is very soft (-83 dBFS): move the microphone nearer to it and learn"]),
    ],
)
def test_what_was_learned_is_told_with_what_to_do(
    learned_s: float, level_dbfs: float, advice: list[str]
) -> None:
    normal = msgspec.structs.replace(learned(), learned_s=learned_s)
    first, expected, *between, last = report(normal, level_dbfs, 90.0)
    assert first == learned_line(normal)
    assert "tells you when fan has sounded unusual for 90 s" in expected
    assert last.endswith("beepwatch teach fan --judge FILES.")
    assert [line[: len(start)] for line, start in zip(between, advice, strict=True)] == advice


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(45.2, "45 s"), (1_798.0, "30 min"), (5_400.0, "90 min"), (9_000.0, "2.5 h")],
)
def test_a_length_in_plain_words(length_s: float, text: str) -> None:
    assert length_text(length_s) == text


def test_a_fault_is_told_after_a_minute_and_said() -> None:
    heard = judge(
        Listener(learned()),
        "fan.wav",
        [fan(2, 20), fan(3, 80, whine_hz=3_100)],
    )
    (at_s,) = heard.unusual_at_s
    assert 78 <= at_s <= 86
    assert heard.difference is not None
    assert heard.difference.pitch_hz == pytest.approx(3_100, abs=32)
    assert "3.1 kHz whine that was not there" in heard_line(heard)


def test_a_fan_that_is_well_has_no_difference() -> None:
    heard = judge(Listener(learned()), "fan.wav", [fan(2, 20)])
    assert (heard.windows, heard.off, heard.unusual_at_s, heard.difference) == (18, 0, (), None)
    assert heard_line(heard).startswith("fan.wav: as when it was well, strangeness ")


def test_a_recording_of_any_length_is_judged_in_flat_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of the sound is held that no window needs any more, and few windows' spectra are."""
    monkeypatch.setattr(lessons, "MOST_WINDOWS", 8)
    given: list[weakref.ref[NDArray[np.int16]]] = []
    compared: list[int] = []

    def blocks() -> Iterator[NDArray[np.int16]]:
        for _ in range(12):
            piece = ill.copy()
            given.append(weakref.ref(piece))
            yield piece
            del piece
            assert sum(one() is not None for one in given[:-1]) == 0

    def watched(listener: Listener, windows: Sequence[Seen]) -> Change:
        compared.append(len(windows))
        return change_of(listener, windows)

    monkeypatch.setattr("beepwatch.train.machines.lessons.change_of", watched)
    ill = fan(3, 4, whine_hz=3_100)
    heard = judge(Listener(learned()), "fan.wav", blocks())
    assert heard.windows == 46
    assert heard.difference is not None
    assert heard.difference.pitch_hz == pytest.approx(3_100, abs=32)
    assert compared[0] <= 8


@pytest.mark.parametrize(
    ("told_s", "drowned", "strangeness", "said"),
    [
        ((82.0,), 0, 1.25, "unusual from 82 s on, strangeness 1.25, most like: 97 Hz noise"),
        ((), 0, 1.25, "stranger than when it was well, strangeness 1.25, most like: 97 Hz"),
        (
            (),
            6,
            1.25,
            "stranger than when it was well, perhaps for the room's sounds, strangeness 1",
        ),
        ((), 9, 0.4, "as when it was well, strangeness 0.40"),
    ],
)
def test_a_recording_in_plain_words(
    told_s: tuple[float, ...], drowned: int, strangeness: float, said: str
) -> None:
    """Of twelve windows the machine was off in two."""
    strange = Difference(pitch_hz=97.0, more_db=8.0, kind="noise") if strangeness > 1 else None
    heard = Heard(
        file="fan.wav",
        windows=12,
        off=2,
        drowned=drowned,
        strangeness=strangeness,
        unusual_at_s=told_s,
        difference=strange,
    )
    assert heard_line(heard).startswith(f"fan.wav: {said}")


def test_a_file_that_is_none_is_said_and_the_rest_done(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    well = written(tmp_path / "well.wav", fan(2, 10))
    silent = written(tmp_path / "off.wav", np.zeros(80_000, np.int16))
    short = written(tmp_path / "short.wav", fan(2, 1))
    found = dict(judge_files(learned(), [tmp_path / "text.wav", well, silent, short]))
    assert isinstance(found[tmp_path / "text.wav"], UnreadableAudio)
    lines = [heard_line(one) for one in found.values() if not isinstance(one, Exception)]
    assert len(lines) == 3
    assert "the machine is off" in lines[1]
    assert "shorter than 3 s" in lines[2]


@pytest.mark.parametrize(
    ("hz", "more_db", "kind", "text"),
    [
        (3_100.0, 14.2, "tone", "3.1 kHz whine that was not there, 14 dB more"),
        (97.0, -8.0, "noise", "97 Hz noise is missing, 8 dB less"),
    ],
)
def test_a_difference_in_plain_words(hz: float, more_db: float, kind: str, text: str) -> None:
    difference = Difference(pitch_hz=hz, more_db=more_db, kind=kind)  # type: ignore[arg-type]
    assert difference_text(difference) == text
