"""`beepwatch teach --import`: what somebody else has taught, beside what is there."""

from pathlib import Path

import pytest

from beepwatch.classify.parcels import export
from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line
from beepwatch.train.teaching import fitting, lessons
from beepwatch.train.teaching.examples import find_example
from tests.classify.pitched import pitched
from tests.teach.clips import NOW, wav
from tests.train.beeper import beeping, shipped


def test_what_a_friend_taught_another_network_is_taught_again_here(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "washer.zip"
    friends = Shelf(tmp_path / "friend")
    friends.put(pitched("washer", 2_000.0, model_id="0" * 12), NOW, [beeping(2_960)])
    assert export(friends, "washer", file) == 1
    assert run_command_line(["teach", "--import", str(file)]) == 0
    assert "washer is there, taught again from its 1 example" in capsys.readouterr().out
    assert shelf.head("washer").model_id == shipped().model_id
    assert shelf.versions("washer") == []
    friends.put(pitched("noise", 2_000.0, model_id="0" * 12), NOW, [beeping(2_960, level=0)])
    export(friends, "noise", tmp_path / "noise.zip")
    assert run_command_line(["teach", "--import", str(tmp_path / "noise.zip")]) == 0
    said = capsys.readouterr()
    assert "noise could not be taught again from its examples: no beep was found" in said.err
    assert "it was taught for the model 000000000000" in said.out


def parcel_of_a_friend(directory: Path, name: str, pitch_hz: float) -> str:
    """A sound that was taught in another home, in a file."""
    friends = Shelf(directory / "friend")
    example = find_example("1", beeping(pitch_hz), shipped())
    head = fitting.teach(name, [example], shipped()).head
    friends.put(head, NOW, [example.pcm])
    export(friends, name, directory / f"{name}.zip")
    return str(directory / f"{name}.zip")


def test_what_a_friend_has_taught_is_compared_with_what_is_there(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of `teach`; what is unlike the others stays as it came."""
    assert run_command_line(["teach", "dryer", wav(tmp_path / "1.wav", beeping(2_955))]) == 0
    before = shelf.head("dryer")
    far = parcel_of_a_friend(tmp_path, "oven", 1_400)
    capsys.readouterr()
    assert run_command_line(["teach", "--import", far]) == 0
    said = capsys.readouterr()
    assert "oven is there, with 1 example.\noven: would have caught 1 of 1; " in said.out
    assert "taught again" not in said.err
    assert shelf.head("oven") == Shelf(tmp_path / "friend").head("oven")
    assert shelf.head("dryer") == before
    near = parcel_of_a_friend(tmp_path, "washer", 2_960)
    assert run_command_line(["teach", "--import", near]) == 0
    said = capsys.readouterr()
    assert "nearest confusion: dryer" in said.out
    assert "it sounds much like dryer; give examples of both in which they differ" in said.out
    assert "washer was taught again, to tell it from dryer" in said.err
    assert "dryer was taught again, to tell it from washer" in said.err
    assert shelf.head("dryer") != before
    assert sorted(shelf.digests()) == ["dryer", "oven", "washer"]


def test_what_would_be_taken_for_a_friends_sound_is_taught_again(
    tmp_path: Path,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The newcomer takes nothing and stays; the one that is there would take it."""
    assert run_command_line(["teach", "dryer", wav(tmp_path / "1.wav", beeping(2_955))]) == 0
    monkeypatch.setattr(lessons, "taken_for", lambda head, *_: head.name == "dryer")
    friends = parcel_of_a_friend(tmp_path, "oven", 1_400)
    assert run_command_line(["teach", "--import", friends]) == 0
    assert "dryer was taught again, to tell it from oven" in capsys.readouterr().err
    assert len(shelf.versions("dryer")) == 1
    assert shelf.head("oven") == Shelf(tmp_path / "friend").head("oven")


def test_a_friends_sound_that_cannot_be_compared_is_there_all_the_same(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.put(pitched("dryer", 2_100.0), NOW, [beeping(2_100)])
    friends = Shelf(tmp_path / "friend")
    friends.put(pitched("washer", 2_000.0), NOW, [beeping(2_960, level=0)])
    friends.put(pitched("oven", 2_000.0), NOW)
    for name in ("washer", "oven"):
        export(friends, name, tmp_path / name)
        assert run_command_line(["teach", "--import", str(tmp_path / name)]) == 0
    said = capsys.readouterr()
    assert "washer was not compared with what is there: no beep was found" in said.err
    assert "oven was not compared with what is there: oven came without examples." in said.err
    assert "washer is there, with 1 example. A running" in said.out
    assert shelf.head("washer") == friends.head("washer")
    assert sorted(shelf.digests()) == ["dryer", "oven", "washer"]
