"""Files in, a learned machine and what is said of other files out."""

import wave
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from beepwatch.classify.condition import Difference, Listener, Normal
from beepwatch.errors import ConfigurationError, ModelError, UnreadableAudio
from beepwatch.train.machines.learning import learn_normal, spectra_of
from beepwatch.train.machines.lessons import (
    difference_text,
    heard_line,
    judge,
    judge_files,
    keep,
    kept,
    learn_files,
    learned_line,
)
from tests.train.machines.fan import fan, household


@cache
def learned() -> Normal:
    return learn_normal("fan", spectra_of([fan(1)]), household())


def written(path: Path, pcm: NDArray[np.int16]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm.tobytes())
    return path


def test_a_fan_is_learned_from_files(tmp_path: Path) -> None:
    """With the shipped household over it."""
    normal = learn_files("fan", [written(tmp_path / "fan.wav", fan(1, 30))])
    assert normal.learned_s == 28
    assert learned_line(normal) == "fan: learned from 0 min of normal sound, one way of running."


def test_a_fault_is_told_after_a_minute_and_said() -> None:
    heard = judge(
        Listener(learned()),
        "fan.wav",
        np.concatenate([fan(2, 20), fan(3, 80, whine_hz=3_100)]),
    )
    (at_s,) = heard.unusual_at_s
    assert 78 <= at_s <= 86
    assert heard.difference is not None
    assert heard.difference.pitch_hz == pytest.approx(3_100, abs=32)
    assert "a tone at 3.1 kHz that was not there" in heard_line(heard)


def test_a_fan_that_is_well_has_no_difference() -> None:
    heard = judge(Listener(learned()), "fan.wav", fan(2, 20))
    assert (heard.windows, heard.off, heard.unusual_at_s, heard.difference) == (18, 0, (), None)
    assert heard_line(heard).startswith("fan.wav: strangeness ")


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


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    keep(tmp_path, learned())
    assert kept(tmp_path, "fan") == learned()
    with pytest.raises(ModelError, match=r"there are: fan\. Teach it: beepwatch teach pump"):
        kept(tmp_path, "pump")
    with pytest.raises(ConfigurationError, match="1 to 40"):
        kept(tmp_path, "../machines/fan")
    (tmp_path / "machines" / "fan").rename(tmp_path / "machines" / "pump")
    with pytest.raises(ModelError, match="holds the machine fan"):
        kept(tmp_path, "pump")


@pytest.mark.parametrize(
    ("hz", "more_db", "kind", "text"),
    [
        (3_100.0, 14.2, "tone", "a tone at 3.1 kHz that was not there, 14 dB more"),
        (97.0, -8.0, "noise", "noise at 97 Hz is missing, 8 dB less"),
    ],
)
def test_a_difference_in_plain_words(hz: float, more_db: float, kind: str, text: str) -> None:
    difference = Difference(pitch_hz=hz, more_db=more_db, kind=kind)  # type: ignore[arg-type]
    assert difference_text(difference) == text
