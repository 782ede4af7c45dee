"""A folder that nobody may look into is told by whoever is asked about what is around it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beepwatch.train.datasets.walking import files_below, links_out
from tests.test_cli import AS_ANYBODY
from tests.train.datasets.sounds import noise, write

ASKED = """
import json, sys
from pathlib import Path
from beepwatch.daemon.scan import recordings
from beepwatch.train.datasets.checking import check
from beepwatch.train.datasets.gathering import Manner, gather
from beepwatch.train.datasets.indexing import Division, index
from beepwatch.train.featuring.listing import list_recordings

data, closed = Path(sys.argv[1]), Path(sys.argv[1]) / "closed"
given = recordings([closed, closed / "a.wav", data])
gathered = gather([data, closed], data / "out", data, Manner())
listing = list_recordings(data)
try:
    list_recordings(data.parent / "shut")
except Exception as error:
    refused = [str(error)]
checked = check(data, workers=0)
indexed = index(data, Division(), workers=0)
print(json.dumps({
    "scan": [(str(one.file), one.problem) for one in given],
    "import": [[job.source for job in gathered.jobs], gathered.problems],
    "features": [[one.path for one in listing.recordings], listing.problems, refused],
    "check": [(one.path, one.reason, one.detail) for one in checked.findings],
    "index": [indexed.listed, indexed.problems],
}))
"""
CHECKED = """
import sys
from pathlib import Path
from beepwatch.train.datasets.checking import check, quarantined, write_quarantine

listed = Path(sys.argv[1]) / "quarantine.csv"
write_quarantine(listed, check(Path(sys.argv[1]), workers=0).findings)
print(*quarantined(listed), end="")
"""


@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_closed_folder_is_told_by_everyone_and_the_rest_is_found(
    mode: int, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    closing = [data / "closed", data / ".hidden", tmp_path / "shut" / "all"]
    for seed, folder in enumerate((data / "open", *closing)):
        write(folder / "a.wav", noise(seed, seconds=0.2))
    for folder in closing:
        folder.chmod(mode)
    done = subprocess.run(
        [*(AS_ANYBODY if os.geteuid() == 0 else ()), sys.executable, "-c", ASKED, str(data)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    for folder in closing:
        folder.chmod(0o700)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    closed, hidden, shut = (
        f"{folder} cannot be read: Permission denied. Check its permissions." for folder in closing
    )
    assert told["scan"] == [
        [f"{data}/closed", closed],
        [f"{data}/closed/a.wav", None],  # who reads it says what is wrong
        [f"{data}/.hidden", hidden],
        [f"{data}/closed", closed],
        [f"{data}/open/a.wav", None],
    ]
    assert told["import"] == [["data/open/a.wav"], [closed]]
    assert told["features"] == [["open/a.wav"], [closed], [shut]]
    assert told["check"] == [["closed", "corrupt", closed]]
    assert told["index"] == [1, [closed]]


def test_a_closed_folder_whose_name_is_no_text_is_listed_as_it_can_be_written(
    tmp_path: Path,
) -> None:
    write(tmp_path / "open" / "a.wav", noise(0, seconds=0.2))
    folder = tmp_path / os.fsdecode(b"gef\xe4hrlich")
    folder.mkdir(mode=0)
    done = subprocess.run(
        [*(AS_ANYBODY if os.geteuid() == 0 else ()), sys.executable, "-c", CHECKED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    folder.chmod(0o700)
    assert (done.stdout, done.stderr) == (r"gef\udce4hrlich", "")


def test_links_to_folders_are_not_followed_and_to_files_they_are(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x").touch()
    (tmp_path / "a" / "to_folder").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "to_file").symlink_to(tmp_path / "a" / "deep" / "x")
    (tmp_path / "a" / ".x").touch()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / "x").touch()

    def found(*, hidden: bool) -> list[str]:
        files = files_below(
            tmp_path, lambda *_: pytest.fail("there is none"), lambda _: True, hidden=hidden
        )
        return [file.relative_to(tmp_path).as_posix() for file in files]

    assert found(hidden=False) == ["a/deep/x", "a/to_file"]
    assert found(hidden=True) == ["a/.x", "a/deep/x", "a/to_file"]


def test_links_that_lead_to_what_is_left_out_are_counted(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    write(data / "beep" / "a.wav", noise(0, seconds=0.1))
    write(elsewhere / "b.wav", noise(1, seconds=0.1))
    within = {"again": data / "beep", "c.wav": data / "beep" / "a.wav", "up": data}
    nowhere = {"disk": tmp_path / "none", "d.wav": tmp_path / "none", "notes.txt": tmp_path / "no"}
    for name, target in {**within, **nowhere, "out": elsewhere, "circle": data / "circle"}.items():
        (data / name).symlink_to(target)
    (data / "e.wav").symlink_to(elsewhere / "b.wav")
    (data / "beep" / ".hidden").symlink_to(elsewhere)

    def counted(**asked: bool) -> int:
        return links_out(data, {".wav"}, **asked)

    assert counted(within=False) == len({"disk", "d.wav", "out", "circle"})
    assert counted() == counted(within=False) + len({"e.wav"})
    assert counted(hidden=True) == counted() + len({".hidden"})
    assert links_out(data / "circle", {".wav"}) == 0
    assert links_out(tmp_path / "none", {".wav"}) == 0
