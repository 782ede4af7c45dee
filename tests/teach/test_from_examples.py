"""`beepwatch teach NAME FILES…` and `--listen`: the real verb, on a real shelf."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import typer

from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line, taught_sounds
from beepwatch.train.teaching import lessons
from beepwatch.train.teaching.examples import Example, NoBeepFound, heard
from beepwatch.train.teaching.fitting import Shelved, Taught
from tests.classify.pitched import pitched
from tests.teach.clips import NOW, wav
from tests.train.beeper import RATE_HZ, beeping, shipped

WITHOUT_EXTRAS = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchaudio", "scipy", "sklearn", "soundfile"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Missing())
from beepwatch.cli import run_command_line
sys.exit(run_command_line(sys.argv[1:]))
"""


def test_a_sound_is_taught_without_any_extra(tmp_path: Path, shelf: Shelf) -> None:
    """From a WAV and from a file that only ffmpeg reads; then the head knows a third recording."""
    first = wav(tmp_path / "1.wav", beeping(2_960))
    second = wav(tmp_path / "2.wav", beeping(2_960, seed=2, level=1_500))
    other = str(tmp_path / "2.m4a")
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", second, "-ar", "44100", other], check=True
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, "teach", "washer", first, other],
        env=dict(os.environ),  # noqa: TID251 - what the process gets
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "washer: would have caught 2 of 2" in done.stdout
    head = shelf.head("washer")
    assert len(shelf.examples("washer")) == 2
    answers = heard(shipped(), beeping(2_960, seed=3, level=800))
    assert head.probabilities(answers).max() >= head.threshold


def test_a_second_sound_is_taught_against_the_first(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of one pitch: what can be told is that they are much alike."""
    assert run_command_line(["teach", "washer", wav(tmp_path / "1.wav", beeping(2_960))]) == 0
    before = shelf.head("washer")
    assert run_command_line(["teach", "dryer", wav(tmp_path / "2.wav", beeping(2_955))]) == 0
    said = capsys.readouterr()
    assert "washer was taught again, to tell it from dryer" in said.err
    assert shelf.head("washer") != before
    assert len(shelf.versions("washer")) == 1
    assert sorted(shelf.digests()) == ["dryer", "washer"]


def test_a_recording_of_something_else_among_the_examples_is_not_compared_with(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in it is at the pitch that the others share, so it tells nothing of the sound."""
    assert run_command_line(["teach", "dryer", wav(tmp_path / "0.wav", beeping(4_100))]) == 0
    files = [
        wav(tmp_path / f"{number}.wav", beeping(pitch_hz, seed=number))
        for number, pitch_hz in enumerate((2_960, 2_960, 1_400), start=1)
    ]
    capsys.readouterr()
    assert run_command_line(["teach", "washer", *files]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "washer: would have caught 2 of 3" in said.out
    assert len(shelf.examples("washer")) == 3


@pytest.mark.parametrize(
    ("words", "exit_code", "reason"),
    [
        (["beep", "CLIP"], 2, "shipped model's own"),
        (["../washer", "CLIP"], 2, "the name"),
        (["washer"], 2, "there is nothing to teach washer from"),
        (["generation", "CLIP"], 2, "can have the name 'generation'"),
        (["washer", *["CLIP"] * 21], 2, "21 examples"),
        (["washer", "CLIP", "SILENT"], 1, "is silent"),
        (["washer", "NOISE"], 1, "no beep was found"),
        (["washer", "NOTHING"], 1, "does not exist"),
        (["washer", "TEXT"], 1, "TEXT"),
        (["washer", "CLIP", "--listen"], 2, "both files and --listen"),
        (["washer", "--listen", "--source", "stdin"], 2, "nobody can answer there"),
        (["washer", "CLIP", "--room", "SILENT"], 2, "digital silence"),
        (["washer", "CLIP", "--room", "LATE"], 2, "digital silence"),
    ],
)
def test_what_cannot_be_taught_is_one_line_and_leaves_the_shelf_alone(
    words: list[str],
    exit_code: int,
    reason: str,
    tmp_path: Path,
    shelf: Shelf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(3)
    wav(tmp_path / "CLIP", beeping(2_960))
    wav(tmp_path / "SILENT", np.zeros(3 * RATE_HZ, dtype=np.int16))
    wav(tmp_path / "NOISE", rng.normal(0, 2_000, 3 * RATE_HZ).astype(np.int16))
    late = np.concatenate([np.zeros(60 * RATE_HZ), rng.normal(0, 2_000, RATE_HZ)])
    wav(tmp_path / "LATE", late.astype(np.int16))  # of which only a minute is kept
    (tmp_path / "TEXT").write_text("a shopping list, and no sound at all\n" * 10)
    names = ("CLIP", "SILENT", "NOISE", "NOTHING", "TEXT", "LATE")
    places = {name: str(tmp_path / name) for name in names}
    given = [places.get(word, word) for word in words]
    assert run_command_line(["teach", *given]) == exit_code
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("beepwatch: ")
    assert reason in said[0]
    assert shelf.digests() == {}


def test_a_recording_that_is_given_twice_is_no_second_example(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head that was made of its twin would be said to have caught it."""
    words = [wav(tmp_path / name, beeping(2_960)) for name in ("1.wav", "2.wav")]
    assert run_command_line(["teach", "washer", *words, words[0]]) == 0
    said = capsys.readouterr()
    assert "washer: would have caught 1 of 1" in said.out
    assert "2 recordings left out" in said.err
    assert len(shelf.examples("washer")) == 1


def test_a_sound_is_taught_again_from_what_is_kept_of_it(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after another network was shipped, when its recordings on the phone are long gone."""
    shelf.put(pitched("washer", 2_000.0, model_id="0" * 12), NOW, [beeping(2_960)])
    assert run_command_line(["teach", "washer"]) == 0
    assert "washer: again from its 1 example" in capsys.readouterr().out
    assert shelf.head("washer").model_id == shipped().model_id
    assert len(shelf.versions("washer")) == 1
    (shelf.directory / "washer" / "head.json").write_text("{")
    assert run_command_line(["teach", "washer"]) == 0
    assert shelf.head("washer").model_id == shipped().model_id
    capsys.readouterr()
    shelf.put(pitched("toy", 2_000.0, kind="veto"), NOW, [beeping(2_960)])
    assert run_command_line(["teach", "toy"]) == 2
    assert "--from-feedback" in capsys.readouterr().err
    shelf.put(pitched("oven", 2_000.0), NOW)
    assert run_command_line(["teach", "oven"]) == 2
    assert "oven has no examples left" in capsys.readouterr().err


def test_a_sound_that_is_taught_meanwhile_is_compared_with(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another terminal: neither has heard of the other until one of them is there."""
    rivals: list[list[str]] = []

    def teach(
        name: str, examples: list[Example], *_: object, others: list[Shelved], **_named: object
    ) -> Taught:
        if not rivals:
            shelf.put(pitched("dryer", 2_100.0), NOW, [beeping(2_100)])
        rivals.append([one.name for one in others])
        return Taught(head=pitched(name, 2_960.0), examples=tuple(examples))

    monkeypatch.setattr(lessons, "teach", teach)
    monkeypatch.setattr(lessons, "taken_for", lambda *_: False)
    assert run_command_line(["teach", "washer", wav(tmp_path / "a", beeping(2_960))]) == 0
    assert rivals == [[], ["dryer"]]
    assert list(shelf.digests()) == ["dryer", "washer"]


def test_examples_that_are_gone_or_closed_keep_nobody_from_teaching_another(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.put(pitched("oven", 2_100.0), NOW)
    shelf.put(pitched("dryer", 2_100.0), NOW, [beeping(2_100)])
    shelf.put(pitched("toy", 2_100.0, kind="veto"), NOW, [beeping(2_100)])
    shelf.examples("toy")[0].write_text("not even looked at: there may be hundreds of them")
    (path,) = shelf.examples("dryer")
    path.unlink()
    path.symlink_to("x" * 300)
    assert run_command_line(["teach", "washer", wav(tmp_path / "a", beeping(2_960))]) == 0
    said = capsys.readouterr().err
    assert "oven was not compared with: it has no examples left." in said
    assert f"dryer was not compared with: {path} cannot be read: " in said
    assert "toy" not in said


def test_where_nothing_can_be_kept_nobody_has_to_sit_and_listen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file, where a directory should be")
    live = wav(tmp_path / "1.wav", beeping(2_960, length_s=5))
    assert run_command_line(["teach", "washer", "--listen", "--source", f"file:{live}"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"the state directory {tmp_path}/state cannot be used: Not a directory" in said[0]


def test_who_has_enough_at_a_question_keeps_what_was_taken(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """^C there is typer's Abort; afterwards it ends the verb again, as anywhere."""
    live = wav(tmp_path / "live.wav", np.concatenate([beeping(2_960, length_s=5)] * 3))
    room = wav(tmp_path / "room.wav", beeping(1_000, level=0))
    answers = iter(["y"])

    def prompt(*_: object, **_named: object) -> str:
        if answer := next(answers, ""):
            return answer
        raise typer.Abort

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("typer.prompt", prompt)
    words = ["teach", "washer", "--listen", "--room", room, "--source", f"file:{live}"]
    assert run_command_line([*words, "--speed", "max"]) == 0
    assert len(shelf.examples("washer")) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_examples_are_taken_from_what_is_heard(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two appliances beep in turn; the person says yes to one of them."""
    wanted, other = beeping(2_960, length_s=5), beeping(1_300, length_s=5)
    heard_sound = wav(tmp_path / "live.wav", np.concatenate([other, wanted, other, wanted]))
    room = wav(tmp_path / "room.wav", beeping(1_000, level=0))
    answers = iter(["n", "y", "n", "y"])
    monkeypatch.setattr("typer.prompt", lambda *_args, **_named: next(answers))
    words = ["teach", "washer", "--listen", "--examples", "2", "--room", room]
    assert run_command_line([*words, "--source", f"file:{heard_sound}", "--speed", "max"]) == 0
    head = shelf.head("washer")
    assert head.pitches_hz[0] == pytest.approx(2_960, rel=0.003)
    assert len(shelf.examples("washer")) == 2
    assert shelf.room.is_file()


def test_the_room_is_listened_to_first(
    tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of it is kept, and only then a beep is waited for."""
    quiet = beeping(1_000, level=0, length_s=60)
    live = wav(
        tmp_path / "1.wav", np.concatenate([quiet, beeping(2_960, length_s=5)])[: 65 * RATE_HZ]
    )
    monkeypatch.setattr("typer.prompt", lambda *_args, **_named: "y")
    words = ["teach", "washer", "--listen", "--examples", "1"]
    assert run_command_line([*words, "--source", f"file:{live}", "--speed", "max"]) == 0
    assert len(shelf.room.read_bytes()) == 44 + 2 * 60 * RATE_HZ


def test_a_sound_that_another_cannot_be_told_from_is_not_taught_by_half(
    tmp_path: Path,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both or neither: what is on the shelf has been compared with all else there."""

    def teach(name: str, examples: list[Example], *_: object, **_named: object) -> Taught:
        if name == "dryer":
            raise NoBeepFound("dryer is no more")
        return Taught(head=pitched(name, 2_960.0), examples=tuple(examples))

    monkeypatch.setattr(lessons, "teach", teach)
    monkeypatch.setattr(lessons, "taken_for", lambda *_: True)
    shelf.put(pitched("dryer", 2_960.0), NOW, [beeping(2_960)])
    assert run_command_line(["teach", "washer", wav(tmp_path / "a", beeping(2_960))]) == 1
    assert "dryer is no more" in capsys.readouterr().err
    assert list(shelf.digests()) == ["dryer"]


@pytest.mark.parametrize(("level", "length_s"), [(0.0, 0.2), (0.0, 20), (None, 60)])
def test_a_room_of_which_too_little_was_heard_is_not_kept(
    level: float | None, length_s: float, tmp_path: Path, shelf: Shelf
) -> None:
    """Somebody had enough at once, or has a microphone that is muted: no later lesson minds."""
    sound = beeping(1_000, level=level or 0, length_s=length_s)
    live = wav(tmp_path / "1.wav", sound if level is not None else np.zeros_like(sound))
    words = ["teach", "washer", "--listen", "--source", f"file:{live}", "--speed", "max"]
    assert run_command_line(words) == 1
    assert not shelf.room.exists()


def test_who_has_enough_before_anything_was_heard_has_no_muted_microphone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = threading.Event()
    stopped.set()
    monkeypatch.setattr(taught_sounds, "stop_on_signals", lambda: stopped)
    live = wav(tmp_path / "1.wav", beeping(2_960))
    assert run_command_line(["teach", "washer", "--listen", "--source", f"file:{live}"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "beepwatch: ended before any beep: 0 s of the 60 s of your room were heard, and are too "
        "few to keep. The next --listen begins with the room again."
    )


def test_a_room_that_is_damaged_is_done_without(
    tmp_path: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.put_room(np.zeros(0, dtype=np.int16))
    assert run_command_line(["teach", "washer", str(wav(tmp_path / "a", beeping(2_960)))]) == 0
    assert "room.wav is not used: " in capsys.readouterr().err


def test_nothing_taken_is_nothing_taught(
    tmp_path: Path,
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = wav(tmp_path / "1.wav", beeping(2_960, length_s=5))
    room = wav(tmp_path / "room.wav", beeping(1_000, level=0))
    monkeypatch.setattr("typer.prompt", lambda *_args, **_named: "n")
    words = ["teach", "washer", "--listen", "--room", room, "--source", f"file:{live}"]
    assert run_command_line([*words, "--speed", "max"]) == 1
    assert "no example of 'washer' was taken" in capsys.readouterr().err
    assert shelf.digests() == {}
