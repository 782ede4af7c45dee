"""`beepwatch teach`: what is taught, taken away, handed on and set back."""

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from beepwatch.classify.shelf import Shelf
from beepwatch.cli import run_command_line
from tests.classify.pitched import pitched

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("BEEPWATCH_STORE__DIRECTORY", str(tmp_path / "state"))
    monkeypatch.delenv("BEEPWATCH_CONFIG", raising=False)
    one = Shelf(tmp_path / "state")
    one.put(pitched("washer", 2_000.0), NOW, [np.ones(1_600, np.int16)] * 3)
    return one


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, exit_code: int = 0) -> str:
    """What a verb prints, on whichever of the two."""
    assert run_command_line(["teach", *map(str, words)]) == exit_code
    heard = capsys.readouterr()
    return heard.out + heard.err


def test_the_list_is_a_table_or_an_object_a_line(
    shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "washer" in said(capsys, "--list")
    (row,) = [json.loads(line) for line in said(capsys, "--list", "--json").splitlines()]
    assert (row["name"], row["examples"], row["stale"]) == ("washer", 3, False)
    shelf.remove("washer")
    assert "no sound is taught yet" in said(capsys, "--list")
    assert said(capsys, "--list", "--json") == ""


def test_a_sound_goes_to_a_friend_and_comes_back(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "washer.zip"
    assert "with 3 examples" in said(capsys, "--export", "washer", file)
    for there in (file, tmp_path):
        assert "is there already" in said(capsys, "--export", "washer", there, exit_code=2)
    nowhere = tmp_path / "no" / "washer.zip"
    assert f"{nowhere} cannot be written: No such" in said(
        capsys, "--export", "washer", nowhere, exit_code=2
    )
    assert "add --force" in said(capsys, "--import", file, exit_code=2)
    assert "washer is taken away" in said(capsys, "--remove", "washer")
    assert shelf.digests() == {}
    assert "washer is there, with 3 examples" in said(capsys, "--import", file)
    assert "washer is there" in said(capsys, "--import", file, "--force")
    assert shelf.head("washer") == pitched("washer", 2_000.0)


def test_an_import_that_silences_beeps_says_so(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "toy.zip"
    veto = msgspec.structs.replace(pitched("toy", 1_500.0), kind="veto")
    shelf.put(veto, NOW, [np.ones(1_600, np.int16)])
    said(capsys, "--export", "toy", file)
    said(capsys, "--remove", "toy")
    assert "toy is there, with 1 example. It tells nothing: it silences" in said(
        capsys, "--import", file
    )


def test_an_import_for_another_model_says_that_it_is_to_be_taught_again(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.put(pitched("dryer", 2_000.0, model_id="0" * 12), NOW)
    file = tmp_path / "dryer.zip"
    said(capsys, "--export", "dryer", file)
    answer = said(capsys, "--import", file, "--force")
    assert f"it was taught for the model {'0' * 12}" in answer
    assert "Teach it again" in answer


def test_a_rollback_is_one_step(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shelf.put(pitched("washer", 2_010.0), NOW)
    assert "no earlier versions left" in said(capsys, "--rollback", "washer")
    assert shelf.head("washer").pitches_hz == (2_000.0,)
    assert "has no version before" in said(capsys, "--rollback", "washer", exit_code=2)


def test_a_sound_that_a_rule_is_about_is_not_removed(
    shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the daemon would not start any more, after the next power cut perhaps."""
    file = tmp_path / "a.toml"
    file.write_text('[[rules]]\nlabel = "washer"\n')
    answer = said(capsys, "--remove", "washer", "--config", file, exit_code=2)
    assert f"rules.label is 'washer' in {file}" in answer
    assert [*shelf.digests()] == ["washer"]


@pytest.mark.parametrize(
    ("words", "exit_code", "text"),
    [
        ([], 2, "found no NAME. Give a sound a name and recordings, such as `beepwatch teach wash"),
        (["--list", "--remove", "washer"], 2, "found --list and --remove; give one of them."),
        (["washer", "--list"], 2, "found the name 'washer' and --list; give one of them."),
        (["--remove", "dryer"], 2, "there is no taught sound 'dryer'"),
        (["--rollback", "dryer"], 2, "there are: washer"),
        (["--remove", "../washer"], 2, "there is no taught sound"),
        (["--export", "washer"], 2, "requires 2 arguments"),
        (["--export", "dryer", "a.zip"], 2, "there is no taught sound 'dryer'"),
        (["--import", "no.zip"], 1, "cannot read no.zip"),
    ],
)
def test_a_wrong_use_is_one_line(
    words: list[str],
    exit_code: int,
    text: str,
    shelf: Shelf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = said(capsys, *words, exit_code=exit_code)
    assert text in answer
    assert answer.count("\n") == 1
    assert [*shelf.digests()] == ["washer"]
