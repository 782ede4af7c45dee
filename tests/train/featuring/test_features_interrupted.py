"""A run that is killed, and two at once, leave a store that is whole."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from beepwatch.errors import ConfigurationError, DiskFull
from beepwatch.train.featuring.store import FeatureStore, FeatureStoreError
from tests.train.featuring.conftest import hiss
from tests.train.featuring.stores import extract, stored

STOPPED = """
import sys, threading
from pathlib import Path
from beepwatch.train.features import extract

def wait_for_ever(what, done, of):
    if done == of - 1:
        print(done, flush=True)
        threading.Event().wait()

extract(*map(Path, sys.argv[1:]), workers=0, report=wait_for_ever)
"""


def test_a_killed_run_goes_on_where_it_was(recipe_file: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", STOPPED, str(recipe_file), str(data), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "5\n"
        running.send_signal(signal.SIGKILL)
    assert not (out / "features.npy").exists()
    assert extract(recipe_file, data, out).made == 1
    extract(recipe_file, data, tmp_path / "fresh")
    assert stored(out) == stored(tmp_path / "fresh")
    assert not (out / ".work").exists()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_store_that_was_being_replaced_is_finished(
    recipe_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """As if the power had gone between two of the files."""
    out = tmp_path / "out"
    extract(recipe_file, data, out)
    hiss(data / "beep/a.wav", 55, samples=4_000)
    replace, moved = Path.replace, []

    def cut_off(self: Path, target: Path) -> Path:
        if target.parent == out:
            moved.append(target.name)
            if len(moved) > at:
                raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as cut:
        cut.setattr(Path, "replace", cut_off)
        with pytest.raises(DiskFull, match="Make room"):
            extract(recipe_file, data, out)
    again = extract(recipe_file, data, out)
    assert (again.made, again.written) == (0, False)
    extract(recipe_file, data, tmp_path / "fresh")
    assert stored(out) == stored(tmp_path / "fresh")


def test_two_runs_do_not_write_one_store(recipe_file: Path, data: Path, tmp_path: Path) -> None:
    with (
        FeatureStore(tmp_path / "out").held(),
        pytest.raises(FeatureStoreError, match="another program is writing"),
    ):
        extract(recipe_file, data, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("features.npy", "features.npy without features.json"),
        ("index.csv", "index.csv without features.json"),
        ("features.json", "another kind of features.json"),
    ],
)
def test_a_file_of_somebody_else_is_not_overwritten(
    recipe_file: Path, data: Path, tmp_path: Path, name: str, said: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('["mine"]')
    with pytest.raises(ConfigurationError, match=f"holds {said}, so it is none of ours"):
        extract(recipe_file, data, out)
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [(name, '["mine"]')]
