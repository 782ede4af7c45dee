"""What this machine puts into the unit file, and what systemd says to it."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from beepwatch.daemon.units import NAME, Installation, own_installation, rendered, shipped

MOST_EXPOSED = 15  # tenths: 1.5
UNITS = Path(__file__).parents[2] / "systemd"


def _installation(*directories: str) -> Installation:
    places = tuple(Path(each) for each in directories)
    return Installation(python=places[0] / "bin" / "python3", directories=places)


def _verified(text: str, *flags: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / NAME).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *flags, Path(directory) / NAME],
            capture_output=True,
            text=True,
            check=False,
        )
    return "".join(line for line in done.stderr.splitlines() if NAME in line)


def _values(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@pytest.mark.parametrize("user", [False, True])
def test_systemd_has_nothing_to_say_against_the_unit(user: bool) -> None:
    assert _verified(rendered(shipped(user=user), own_installation(), 252)) == ""


def test_systemd_has_something_to_say_when_there_is(tmp_path: Path) -> None:
    """So that the tests above and `service install` can fail."""
    absent = Installation(python=tmp_path / "python3", directories=())
    said = _verified(rendered(shipped(user=False), absent, 252) + "[Service]\nWatchdog=soon\n")
    assert "python3 is not executable" in said
    assert "Unknown key" in said


def test_the_service_is_hardly_exposed() -> None:
    """`systemd-analyze security`: 1.3 of 10, where at most 1.5 is asked for."""
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--no-pager", "--offline=true"),
            *(f"--threshold={MOST_EXPOSED}", UNITS / NAME),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("user", [False, True])
def test_the_shipped_unit_is_that_of_the_tree(user: bool) -> None:
    file = UNITS / "user" / NAME if user else UNITS / NAME
    assert shipped(user=user) == file.read_text()


def test_the_program_is_the_one_that_installs() -> None:
    text = rendered(shipped(user=False), _installation("/opt/beepwatch"), 257)
    assert _values(text, "ExecStart") == ["/opt/beepwatch/bin/python3 -P -m beepwatch run"]
    assert _values(text, "BindReadOnlyPaths") == []
    own = rendered(shipped(user=False), own_installation(), 257)
    assert _values(own, "ExecStart")[0].endswith("-P -m beepwatch run")


def test_a_path_that_systemd_would_misread_is_quoted(tmp_path: Path) -> None:
    """A space ends a word, %h is a home."""
    place = tmp_path / "50%h of a pi"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python3").symlink_to("/bin/sh")
    text = rendered(shipped(user=False), _installation(str(place)), 252)
    assert _verified(text) == ""


def test_what_an_old_systemd_does_not_know_is_left_out() -> None:
    old, new = (rendered(shipped(user=False), _installation("/opt/b"), n) for n in (253, 254))
    assert _values(old, "RestartSteps") == _values(old, "RestartMaxDelaySec") == []
    assert _values(new, "RestartSteps") == ["6"]
    assert _values(new, "RestartMaxDelaySec") == ["120"]
    assert _values(old, "RestartSec") == ["2"]


def test_what_lies_in_a_home_is_shown_to_the_service() -> None:
    """Once, though it holds another part; what lies elsewhere is seen anyway."""
    installation = _installation("/home/ada/my venv", "/home/ada/my venv/lib", "/usr", "/root/py")
    text = rendered(shipped(user=False), installation, 252)
    assert _values(text, "BindReadOnlyPaths") == ['"/home/ada/my venv"', "/root/py"]
    assert _values(rendered(shipped(user=True), installation, 252), "BindReadOnlyPaths") == []
