"""Deadly windows on the disk: the newest of them, private, and told of once in a while."""

import wave
from datetime import timedelta
from pathlib import Path

import pytest

import beepwatch.daemon.poison
from beepwatch.daemon.poison import Poison
from beepwatch.messages import Window
from tests.daemon.parts import NOON, window


def deadly(sequence: int) -> Window:
    one = window(4 * sequence)
    assert isinstance(one, Window)
    return one


def test_the_sound_is_kept_privately_and_the_fault_names_the_file(tmp_path: Path) -> None:
    fault = Poison(tmp_path).put_aside(deadly(3), NOON)
    (kept,) = (tmp_path / "poison").iterdir()
    assert kept.name == "20260301T120000.000000-12.wav"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    with wave.open(str(kept)) as sound:
        assert sound.readframes(16_000) == deadly(3).pcm
    assert fault is not None
    assert fault.text == (
        f"the classifier keeps dying of the sound of 2026-03-01 12:00:00 UTC; it is kept as {kept}"
    )


def test_only_the_newest_are_kept_and_one_an_hour_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beepwatch.daemon.poison, "KEPT", 3)
    poison = Poison(tmp_path)
    told = [
        poison.put_aside(deadly(number), NOON + timedelta(minutes=20 * number))
        for number in range(8)
    ]
    assert [fault is not None for fault in told] == [True, False, False] * 2 + [True, False]
    names = sorted(path.name for path in (tmp_path / "poison").iterdir())
    assert [name.split("-")[1] for name in names] == ["20.wav", "24.wav", "28.wav"]


def test_a_disk_that_takes_nothing_does_not_stop_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "poison").write_text("a file in the folder's place")
    fault = Poison(tmp_path).put_aside(deadly(3), NOON)
    assert fault is not None
    assert fault.text.endswith("12:00:00 UTC")
