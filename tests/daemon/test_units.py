"""What this machine puts into the unit file, and what systemd says to it."""

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from beepwatch.daemon import units
from beepwatch.daemon.units import NAME, Installation, own_installation, rendered, shipped
from beepwatch.errors import ConfigurationError

MOST_EXPOSED = 15  # tenths: 1.5
UNITS = Path(__file__).parents[2] / "systemd"


def _installation(*directories: str) -> Installation:
    places = tuple(Path(each) for each in directories)
    return msgspec.structs.replace(
        own_installation(), python=places[0] / "bin" / "python3", directories=places
    )


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
    absent = _installation(str(tmp_path))
    said = _verified(rendered(shipped(user=False), absent, 252) + "[Service]\nWatchdog=soon\n")
    assert "python3 is not executable" in said
    assert "Unknown key" in said


def _calls(name: str) -> set[str]:
    """System calls of a set, by its name with an @, or one alone."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return set().union(*(_calls(one.strip()) for one in listed[1:] if one.strip()[:1] not in "#"))


def _allowed(text: str) -> set[str]:
    """System calls of a unit: each line adds to those before it, or with ~ takes away."""
    allowed: set[str] = set()
    for value in _values(text, "SystemCallFilter"):
        named = set().union(*map(_calls, value.removeprefix("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


@pytest.mark.parametrize("user", [False, True])
def test_the_daemon_may_ask_the_kernel_for_what_it_needs(user: bool) -> None:
    """At night `os.nice` (setpriority), of ffmpeg limits (prlimit64); nothing is mounted."""
    allowed = _allowed(shipped(user=user))
    assert {"setpriority", "prlimit64"} <= allowed
    assert allowed & {"mount", "ptrace", "reboot", "sched_setscheduler", "setuid"} == set()


@pytest.mark.parametrize("user", [False, True])
def test_numpy_has_one_thread_however_many_cores_there_are(user: bool) -> None:
    """Three processes of a thread for each core would be more than `TasksMax=` on 32 cores."""
    program = "import numpy, os; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(one.split("=", 1) for one in _values(shipped(user=user), "Environment")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_the_service_is_hardly_exposed() -> None:
    """`systemd-analyze security`: 1.4 of 10, where at most 1.5 is asked for."""
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


def test_an_update_of_the_program_or_of_a_library_is_another_unit(tmp_path: Path) -> None:
    """Whatever its version says; what Python has compiled in the meantime is none."""
    for name in ("package/app", "libraries/numpy-2.0.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package" / "app" / "a.py").write_text("1")
    one = msgspec.structs.replace(
        _installation("/opt/b"), package=tmp_path / "package", libraries=tmp_path / "libraries"
    )
    texts = [rendered(shipped(user=False), one, 252)]
    (tmp_path / "package" / "app" / "a.cpython.pyc").write_text("compiled")
    texts.append(rendered(shipped(user=False), one, 252))
    (tmp_path / "package" / "app" / "a.py").write_text("2")
    texts.append(rendered(shipped(user=False), one, 252))
    (tmp_path / "libraries" / "numpy-2.1.dist-info").mkdir()
    texts.append(rendered(shipped(user=False), one, 252))
    assert [texts.index(each) for each in texts] == [0, 0, 2, 3]


@pytest.mark.parametrize("name", ["bob's", 'a"b', "a\\b", "a\tb", "\udcff"])
def test_a_path_that_systemd_starts_nothing_in_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"run by '?\"?/opt/.*Install it somewhere else"):
        rendered(shipped(user=False), _installation(f"/opt/{name}"), 252)


@pytest.mark.parametrize("name", ["50%h of a pi", "a:b"])
def test_a_path_that_systemd_would_misread_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A space ends a word, %h is a home, what follows a colon is where it is bound to."""
    place = tmp_path / name
    monkeypatch.setattr(units, "_HIDDEN", (tmp_path,))
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python3").symlink_to("/bin/sh")
    text = rendered(shipped(user=False), _installation(str(place)), 252)
    assert _values(text, "BindReadOnlyPaths") == [f'"{place}"'.replace("%", "%%")]
    assert _verified(text) == ""


def test_what_an_old_systemd_does_not_know_is_left_out() -> None:
    old, new = (rendered(shipped(user=False), _installation("/opt/b"), n) for n in (253, 254))
    assert _values(old, "RestartSteps") == _values(old, "RestartMaxDelaySec") == []
    assert _values(new, "RestartSteps") == ["6"]
    assert _values(new, "RestartMaxDelaySec") == ["120"]
    assert _values(old, "RestartSec") == ["2"]


def test_what_lies_in_a_home_is_shown_to_the_service() -> None:
    """Once, though it holds another part; what lies elsewhere is seen anyway."""
    installation = _installation(
        *("/home/ada/my venv", "/home/ada/my venv/lib", "/usr", "/root/py", "/var/tmp/py")
    )
    text = rendered(shipped(user=False), installation, 252)
    shown = ['"/home/ada/my venv"', "/root/py", "/var/tmp/py"]
    assert _values(text, "BindReadOnlyPaths") == shown
    assert _values(rendered(shipped(user=True), installation, 252), "BindReadOnlyPaths") == []


def test_homes_that_lie_elsewhere_are_homes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /home is a link, as on systems whose /usr cannot be written."""
    (tmp_path / "real" / "ada").mkdir(parents=True)
    (tmp_path / "home").symlink_to("real")
    monkeypatch.setattr(units, "_HIDDEN", (tmp_path / "home",))
    for home in ("real", "home"):
        installation = _installation(str(tmp_path / home / "ada"))
        assert tmp_path / "real" / "ada" in installation.hidden
