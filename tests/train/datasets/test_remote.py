"""A data set behind a URL gives what the same one on a disk gives."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from beepwatch.cli import run_command_line
from beepwatch.clock import ManualClock
from beepwatch.errors import BeepwatchError, ConfigurationError, UnreadableAudio
from beepwatch.train import features
from beepwatch.train.datasets import remote
from beepwatch.train.datasets.checking import check
from beepwatch.train.datasets.remote import (
    NEVER_NS,
    Remote,
    location_of,
    mirrored,
    on_disk,
    recordings_below,
)
from tests.capture.sounds import DATA
from tests.object_server import serving
from tests.train.datasets.sounds import noise, write
from tests.train.featuring.conftest import AUGMENTED, RECIPE, hiss

WRONG_SCHEMES = (
    ("nothing://x", "nothing://x: nothing is no kind of address. Known are http, https, s3, "),
    ("HTTP://u:secret@x/", "HTTP://…@x/: HTTP is no kind of address. Did you mean http? What"),
    ("simplcache::zip://a::/b.zip", "simplcache is no kind of address. Did you mean simplecache? "),
)
fsspec: Any = import_module("fsspec")  # it has no types

FILES = ("features.npy", "index.csv", "features.json")
LATER = ManualClock(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Recordings in folders by label, with a table; one of them is damaged."""
    root = tmp_path / "data"
    for number, name in enumerate(("beep/a.wav", "beep/b c.wav", "spin/c.flac", "wash/d.wav")):
        hiss(root / name, number)
    (root / "wash/e.wav").write_bytes((root / "wash/d.wav").read_bytes()[:3_000])
    (root / ".hidden").mkdir()
    shutil.copy(root / "wash/d.wav", root / ".hidden")
    (root / "hall.wav").write_bytes((DATA / "smoke_alarm_pulse.flac").read_bytes())
    paths = ("beep/a.wav", "beep/b c.wav", "spin/c.flac", "wash/d.wav", "wash/e.wav", "no.wav")
    rows = [f"{path},{path.partition('/')[0]},train\n" for path in paths]
    (root / "dataset.csv").write_text("path,label,split\n" + "".join(rows))
    return root


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    far = '[[augment]]\nname = "far"\nsteps = [{ kind = "room", responses = ["hall.wav"] }]\n'
    path.write_text(AUGMENTED.format(recipe=RECIPE) + far)
    return path


@pytest.fixture
def in_memory(data: Path) -> Iterator[str]:
    """The same in fsspec's memory, which belongs to this process alone."""
    system = fsspec.filesystem("memory")
    system.put(str(data), "/lab/sounds", recursive=True)
    yield "memory://lab/sounds"
    system.rm("/lab", recursive=True)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fetched files are put."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path / "temporary"


def extract(recipe: Path, data: str, out: Path, workers: int = 0) -> features.Outcome:
    return features.extract(recipe, location_of(data), out, workers=workers, clock=LATER)


def stored(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in FILES]


def test_an_empty_name_is_not_this_directory() -> None:
    """As where a shell's variable is not set."""
    with pytest.raises(ConfigurationError, match="'' names no file"):
        location_of("")


def test_features_of_a_url_are_those_of_the_directory(
    recipe_file: Path, data: Path, in_memory: str, temporary: Path, tmp_path: Path
) -> None:
    here = extract(recipe_file, str(data), tmp_path / "here")
    there = extract(recipe_file, in_memory, tmp_path / "there")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")
    assert (here.recordings, here.rows, here.made) == (4, 16, 16)
    missing, damaged = there.problems
    assert missing == (
        f"{in_memory}/no.wav cannot be read: no such file or directory. Mend the table or the file."
    )
    assert damaged.startswith(f"{in_memory}/wash/e.wav is cut short")
    assert list(temporary.iterdir()) == []


def test_only_an_object_that_has_changed_is_fetched_again(
    recipe_file: Path, data: Path, tmp_path: Path
) -> None:
    """Over real HTTP, the first time by a worker process."""
    with serving(data) as (url, fetched):
        assert extract(recipe_file, url, tmp_path / "out", workers=1).made == 16
        extract(recipe_file, str(data), tmp_path / "here")
        assert stored(tmp_path / "out") == stored(tmp_path / "here")
        fetched.clear()
        assert extract(recipe_file, url, tmp_path / "out").made == 0
        assert {path for path in fetched if path.startswith(("beep", "spin"))} == set()
        hiss(data / "beep/a.wav", 77, samples=9_000)
        assert extract(recipe_file, url, tmp_path / "out").made == 4
        assert "beep/a.wav" in fetched
        assert "beep/b c.wav" not in fetched


def test_without_a_table_labels_are_the_folders(
    recipe_file: Path, data: Path, in_memory: str, tmp_path: Path
) -> None:
    system = fsspec.filesystem("memory")
    system.rm("/lab/sounds/dataset.csv")
    (data / "dataset.csv").unlink()
    recipe_file.write_text(RECIPE)
    extract(recipe_file, in_memory, tmp_path / "there")
    extract(recipe_file, str(data), tmp_path / "here")
    assert stored(tmp_path / "there") == stored(tmp_path / "here")
    assert b"\nbeep/a.wav,beep," in stored(tmp_path / "there")[1]


def test_a_check_of_a_url_finds_what_is_wrong_with_the_directory(
    data: Path,
    temporary: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Over real HTTP, by a worker process; what is written goes to the current directory."""
    write(data / "wash/f.wav", noise(3, peak=1.0))
    shutil.copy(data / "wash/f.wav", data / "wash/g.wav")
    alone = check(data, workers=0)
    assert {one.reason for one in alone.findings} >= {"duplicate", "truncated", "missing"}
    monkeypatch.chdir(tmp_path)
    with serving(data) as (url, _):
        assert run_command_line(["dataset", "check", url, "--json", "--workers", "1"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in told["findings"]] == [one.path for one in alone.findings]
    assert [one["detail"] for one in told["findings"]] == [one.detail for one in alone.findings]
    assert (tmp_path / "quarantine.csv").read_text().count("\n") == 1 + len(alone.findings)
    assert (tmp_path / "check.png").exists()
    assert list(temporary.iterdir()) == []


def test_a_scan_of_a_url_finds_what_is_in_the_files(
    temporary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sounds/one").mkdir(parents=True)
    (tmp_path / "sounds/one/alarm.flac").symlink_to(DATA / "smoke-alarm-16k.flac")
    (tmp_path / "sounds/empty.wav").touch()
    assert run_command_line(["scan", str(tmp_path / "sounds"), "--json"]) == 1
    here = capsys.readouterr()
    with serving(tmp_path) as (url, _):
        words = ["scan", f"{url}sounds", f"{url}no.wav", "--json", "--labels", str(tmp_path / "l")]
        assert run_command_line(words) == 1
        there = capsys.readouterr()
    assert there.out == here.out.replace(f"{tmp_path}/", url)
    assert there.out.count("\n") >= 1
    assert there.err == (
        f"{here.err.replace(f'{tmp_path}/', url)}"
        f"beepwatch: {url}no.wav does not exist. Check the address.\n"
    )
    assert (tmp_path / "l/one/alarm.flac.txt").exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        ("dataset check memory://nothing/here", 1, "memory://nothing/here holds no recordings. N"),
        ("dataset check file://{tmp}", 1, "holds no recordings. Name a directory with audio"),
        ("dataset check {tmp}/empty", 1, "{tmp}/empty holds no recordings. Name a directory"),
        ("dataset index {tmp}/empty", 1, "{tmp}/empty holds no recordings. Name a directory"),
        ("dataset index memory://no", 2, "Directory 'memory://no' does not exist."),
        ("dataset import {tmp}/empty --out {tmp}/o", 1, "no recording in {tmp}/empty. Name"),
        ("dataset import memory://no --out {tmp}/o", 2, "memory://no is an address, and import"),
        ("dataset features {recipe} --data {tmp}/empty", 1, "{tmp}/empty holds no recordings."),
        (
            "scan {tmp}/empty",
            1,
            "{tmp}/empty holds no audio files. Name a file, or another directory.",
        ),
        ("scan memory://no", 1, "memory://no does not exist. Check the address."),
        ("dataset features {recipe} --data memory://lab", 2, "so say with --out where the store"),
        ("dataset features {recipe} --data memory://no --out o", 1, "memory://no holds no recor"),
        ("dataset features {recipe} --data {tmp}/no", 2, "Directory '{tmp}/no' does not exist."),
        ("dataset check {recipe}", 2, "Directory '{recipe}' is a file."),
    ],
)
def test_what_is_no_data_set_is_one_clear_line(
    words: str,
    exit_code: int,
    complaint: str,
    recipe_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    given = words.format(recipe=recipe_file, tmp=tmp_path).split()
    assert run_command_line(given) == exit_code
    said = capsys.readouterr()
    assert complaint.format(recipe=recipe_file, tmp=tmp_path) in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "quarantine.csv").exists()


@pytest.mark.parametrize("name", ["../out.wav", "{tmp}/out.wav", "a/../../out.wav"])
def test_nothing_is_fetched_to_a_place_of_a_recipes_choice(
    name: str, in_memory: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(UnreadableAudio, match=r"out\.wav is not below memory"),
        mirrored(location_of(in_memory), [name.format(tmp=tmp_path)]),
    ):
        pass
    assert not list(tmp_path.rglob("out.wav"))


def test_a_file_system_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BeepwatchError, match=r"s3://lab/a\.wav needs .* not installed: .*s3fs"):
        Remote("s3://lab/a.wav").exists()
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(BeepwatchError, match=r"pip install 'beepwatch\[dask\]'"):
        Remote("memory://another").exists()


def test_a_password_is_never_shown(recipe_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableAudio) as told:
        extract(recipe_file, "webhdfs://me:hunter2@127.0.0.1:1/lab", tmp_path / "out")
    assert "webhdfs://…@127.0.0.1:1/lab" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_local_paths_need_no_fsspec(tmp_path: Path, recipe_file: Path, data: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from beepwatch.cli import run_command_line\n"
        "from beepwatch.train.datasets.checking import check\n"
        "run_command_line(['scan', sys.argv[1]])\n"
        "check(Path(sys.argv[1]), workers=0)\n"
        "run_command_line(['dataset', 'features', sys.argv[2], '--data', sys.argv[1],"
        " '--workers', '0'])\n"
        "assert not [name for name in sys.modules if name.startswith('fsspec')]\n"
    )
    command = [sys.executable, "-c", program, str(data), str(recipe_file)]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("s3://lab/set", "s3://lab/set/beep/a.wav"),
        ("s3://lab/set/", "s3://lab/set/beep/a.wav"),
        ("memory://", "memory://beep/a.wav"),
        ("zip://::s3://lab/set.zip", "zip://beep/a.wav::s3://lab/set.zip"),
        ("zip://set::file:///lab.zip", "zip://set/beep/a.wav::file:///lab.zip"),
        ("simplecache::s3://lab/set", "simplecache::s3://lab/set/beep/a.wav"),
    ],
)
def test_what_lies_below_a_url(url: str, below: str) -> None:
    location = location_of(url)
    assert isinstance(location, Remote)
    assert (location / "beep/a.wav").url == below
    assert (location / "beep/a.wav").name == "a.wav"


@pytest.mark.parametrize("path", ["recordings", "/lab/set", "C:", "a::b", "./s3:/x"])
def test_a_path_stays_a_path(path: str) -> None:
    assert location_of(path) == Path(path)


def test_a_chain_of_urls_is_gone_through(data: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", data)
    root = Remote(f"zip://::file://{archive}")
    assert root.is_dir()
    assert set(root.below()) > {"beep/b c.wav", "dataset.csv"}
    assert "beep/a.wav" in recordings_below(root)
    assert set((root / "beep").below()) == {"a.wav", "b c.wav"}
    assert not Remote("zip://::file:///no.zip").is_dir()
    below = root / "beep/b c.wav"
    with on_disk(below) as file:
        assert file.read_bytes() == (data / "beep/b c.wav").read_bytes()


def test_what_tells_that_an_object_is_another_one() -> None:
    """By its tag, else by its time, whatever a file system calls them; else it is never known."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    tagged = remote._mark_of({"size": 3, "ETag": '"a"', "LastModified": at})
    assert (tagged.size, tagged.changed_ns) == (3, 0)
    assert tagged == remote._mark_of({"size": 3, "ETag": '"a"'})
    assert tagged != remote._mark_of({"size": 3, "ETag": '"b"'})
    for info in ({"mtime": at}, {"modificationTime": at.timestamp() * 1e3}, {"created": at}):
        assert remote._mark_of({"size": 3, **info}).changed_ns == at.timestamp() * 1e9
    assert remote._mark_of({"size": 3}).changed_ns == NEVER_NS


@pytest.mark.parametrize("verb", ["scan", "dataset check", "dataset features {recipe} --data"])
@pytest.mark.parametrize(("address", "said"), WRONG_SCHEMES)
def test_a_kind_of_address_that_there_is_none_of_is_a_wrong_use(
    verb: str,
    address: str,
    said: str,
    recipe_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = verb.format(recipe=recipe_file).split()
    out = ["--out", f"{tmp_path}/store"] * ("features" in words)
    assert run_command_line([*words, address, *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.endswith("What is on a disk here is given by its path.")
    assert not (tmp_path / "store").exists()
