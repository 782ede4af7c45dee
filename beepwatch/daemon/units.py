"""The unit file as it is installed: where it ships, and what this machine puts into it."""

import sys
from pathlib import Path

import msgspec

from beepwatch.errors import ConfigurationError

NAME = "beepwatch.service"
_SINCE_254 = ("RestartSteps=", "RestartMaxDelaySec=")
# What ProtectHome=tmpfs lays an empty directory over.
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a beepwatch lives that a unit is to start."""

    python: Path
    directories: tuple[Path, ...]  # what it reads its program from

    @property
    def command(self) -> list[str]:
        """What `ExecStart=` gets; -P: nothing is imported from the working directory."""
        return [str(self.python), "-P", "-m", "beepwatch", "run"]

    @property
    def hidden(self) -> list[Path]:
        """The directories that a service could not see, unless they are shown to it."""
        shown: list[Path] = []
        for place in sorted({each for one in self.directories for each in (one, one.resolve())}):
            under_home = any(place.is_relative_to(home) for home in _HIDDEN)
            if under_home and not any(place.is_relative_to(outer) for outer in shown):
                shown.append(place)
        return shown


def own_installation() -> Installation:
    """That of the beepwatch which asks."""
    package = Path(__file__).parents[1]
    return Installation(
        python=Path(sys.executable),
        directories=(Path(sys.prefix), Path(sys.base_prefix), package.parent),
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
    """The unit file for this machine: its program, and only what its systemd understands."""
    lines = []
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
    """As systemd.syntax(7) wants it, with the specifiers of systemd.unit(5) taken literally.

    A name with quotes or backslashes in it is none that systemd would start.
    """
    word = word.replace("%", "%%")
    return f'"{word}"' if " " in word else word
