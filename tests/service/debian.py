"""Layers of a Debian with the wheel of this tree in it; all but the last are kept between runs.

A layer is a directory for overlayfs, named by what went into it: Debian's packages, the pinned
Python packages, beepwatch itself. They lie in `$XDG_CACHE_HOME/beepwatch-tests`, and may be removed
at any time; to make all of them takes a minute and a half.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.service.namespace import alone

ROOT = Path(__file__).parents[2]
PROGRAM = "/opt/beepwatch/bin/beepwatch"
_SUITES = {(3, 11): "bookworm", (3, 13): "trixie"}  # by the Python that they come with
_PACKAGES = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus", "dbus-user-session", "procps"),
    *("python3-venv", "libportaudio2", "libasound2-plugins", "ca-certificates", "ffmpeg"),
)
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
_OVERLAY = 'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"'
_INSTALL = f"""
{_OVERLAY}
mkdir -p "$4/mnt"
mount --bind "$5" "$4/mnt"
chroot "$4" /bin/sh -c "$6"
"""


def layers(own: Path) -> tuple[Path, ...]:
    """Uppermost first, as overlayfs has them; `own` is a new directory for beepwatch itself."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "beepwatch-tests"  # noqa: TID251 - a test's own place
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        debian = _kept(cache, "debian", repr((_suite(), _PACKAGES, _LEFT_OUT)), _make_debian)
        constraints = (ROOT / "constraints.txt").read_text()
        wanted = repr((constraints, _requirements(), sys.version_info[:2], debian.name))
        python = _kept(
            cache, "python", wanted, lambda made: _make_venv(made, debian, own / "wheels")
        )
    wheels = own / "beepwatch-wheel"
    _wheel("--no-deps", str(ROOT), into=wheels)
    (wheel,) = wheels.glob("beepwatch-*.whl")
    made = own / "beepwatch"
    made.mkdir()
    _change(
        (python, debian),
        made,
        wheels,
        f"/opt/beepwatch/bin/pip install -q --no-index --no-deps /mnt/{wheel.name}",
    )
    return made, python, debian


def _suite() -> str:
    version = sys.version_info[:2]
    if version not in _SUITES:
        raise RuntimeError(f"no Debian comes with Python {version}, for which wheels are made here")
    return _SUITES[version]


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return list(project["dependencies"])


def _kept(cache: Path, kind: str, contents: str, make: Callable[[Path], None]) -> Path:
    """The layer with these contents: that of an earlier run, or made now, all of it or nothing."""
    layer = cache / f"{kind}-{hashlib.sha256(contents.encode()).hexdigest()[:12]}"
    if not layer.is_dir():
        for old in cache.glob(f"{kind}-*"):
            shutil.rmtree(old)
        unfinished = cache / f"unfinished-{kind}"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        make(unfinished)
        unfinished.rename(layer)
    return layer


def _make_debian(made: Path) -> None:
    _run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"),
        f"--include={','.join(_PACKAGES)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        *(_suite(), str(made)),
    )


def _make_venv(made: Path, debian: Path, wheels: Path) -> None:
    made.mkdir()
    _wheel(*_requirements(), into=wheels)
    install = "/opt/beepwatch/bin/pip install -q --no-index /mnt/*.whl"
    _change((debian,), made, wheels, f"python3 -m venv /opt/beepwatch && {install}")


def _wheel(*what: str, into: Path) -> None:
    constraints = str(ROOT / "constraints.txt")
    _run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
        *("--wheel-dir", str(into), "--constraint", constraints, *what),
    )


def _change(lower: tuple[Path, ...], made: Path, shown: Path, command: str) -> None:
    """Let a command in a Debian change `made`; it finds what is `shown` in /mnt.

    The mounts are in a namespace of their own and end with it.
    """
    with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
        work, root = Path(scratch) / "work", Path(scratch) / "root"
        work.mkdir()
        root.mkdir()
        below = ":".join(str(layer) for layer in lower)
        _run(*alone(_INSTALL, below, str(made), str(work), str(root), str(shown), command))


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}"
        raise RuntimeError(f"{' '.join(words[:4])} … ended with {done.returncode}:\n{said}")
