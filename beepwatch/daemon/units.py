"""The unit file as it is installed: where it ships, and what this machine puts into it."""

import hashlib
import re
import sys
import sysconfig
from pathlib import Path

import msgspec

from beepwatch.errors import ConfigurationError

NAME = "beepwatch.service"
_SINCE_254 = ("RestartSteps=", "RestartMaxDelaySec=")
# What ProtectHome=tmpfs and PrivateTmp=yes lay empty directories over.
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108
_NOT_STARTED = re.compile(r"[\"'\\\x00-\x1f\x7f\ud800-\udfff]")  # no program of such a path


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a beepwatch lives that a unit is to start."""

    python: Path
    directories: tuple[Path, ...]  # what it reads its program from
    package: Path  # the program itself
    libraries: Path  # where what it imports is installed

    @property
    def edition(self) -> str:
        """Of the program and its libraries: another word after an update."""
        digest = hashlib.sha256()
        for file in sorted(self.package.rglob("*")):
            if file.is_file() and file.suffix != ".pyc":
                digest.update(bytes(file.relative_to(self.package)))
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        for beside in sorted(self.libraries.glob("*.dist-info")):  # named by their versions
            digest.update(beside.name.encode())
        return digest.hexdigest()[:12]

    @property
    def command(self) -> list[str]:
        """What `ExecStart=` gets; -P: nothing is imported from the working directory."""
        return [str(self.python), "-P", "-m", "beepwatch", "run"]

    @property
    def hidden(self) -> list[Path]:
        """The directories that a service could not see, unless they are shown to it."""
        shown: list[Path] = []
        covered = [each for one in _HIDDEN for each in (one, one.resolve())]  # /home may be a link
        for place in sorted({each for one in self.directories for each in (one, one.resolve())}):
            is_covered = any(place.is_relative_to(one) for one in covered)
            if is_covered and not any(place.is_relative_to(outer) for outer in shown):
                shown.append(place)
        return shown


def own_installation() -> Installation:
    """That of the beepwatch which asks."""
    package = Path(__file__).parents[1]
    return Installation(
        python=Path(sys.executable),
        directories=(Path(sys.prefix), Path(sys.base_prefix), package.parent),
        package=package,
        libraries=Path(sysconfig.get_path("purelib")),
    )


def shipped(*, user: bool) -> str:
    """The unit file as it ships, in the wheel or beside the package.

    Raises ConfigurationError when it is missing.
    """
    package = Path(__file__).resolve().parents[1]
    shelves = [package / "systemd", package.parent / "systemd"]
    for shelf in shelves:
        file = shelf / "user" / NAME if user else shelf / NAME
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise ConfigurationError(
        f"this installation has no {NAME} in {shelves[0]} or {shelves[1]}. Install beepwatch again."
    )


def rendered(text: str, installation: Installation, systemd_version: int) -> str:
    """The unit file for this machine: its program, and only what its systemd understands.

    Raises ConfigurationError for a program that systemd would not start.
    """
    if _NOT_STARTED.search(str(installation.python)):
        raise ConfigurationError(
            f"beepwatch is run by {str(installation.python)!r}, and systemd starts nothing with a "
            "quote, a backslash or a control character in its path. Install it somewhere else."
        )
    # So that an update is a change, after which the program is started anew.
    lines = [f"# Written by `beepwatch service install`, edition {installation.edition}."]
    for line in text.splitlines():
        if line.startswith(_SINCE_254) and systemd_version < 254:
            continue
        if line.startswith("ExecStart="):
            lines.append("ExecStart=" + " ".join(_quoted(word) for word in installation.command))
            continue
        lines.append(line)
        if line.startswith("ProtectHome="):
            lines += [f"BindReadOnlyPaths={_quoted(str(path))}" for path in installation.hidden]
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    """As systemd.syntax(7) wants it, with the specifiers of systemd.unit(5) taken literally."""
    word = word.replace("%", "%%")
    return f'"{word}"' if " " in word or ":" in word else word
