"""systemd, asked by its own programs: whose manager, what it knows of the unit, the unit's log."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec

from beepwatch.config import default_file
from beepwatch.daemon.programs import answer_of
from beepwatch.daemon.units import NAME, own_installation
from beepwatch.errors import BeepwatchError

BOOTED = Path("/run/systemd/system")  # sd_booted(3)
SYSTEM_UNITS = Path("/etc/systemd/system")
PROGRAM_WITHIN_S = 60.0
_UP = ("active", "reloading")


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose service manager: the system's or a user's."""

    user: bool
    units: Path  # where its unit files are written
    boot: str  # when an enabled unit starts

    @property
    def flags(self) -> list[str]:
        """For systemctl and systemd-analyze."""
        return ["--user"] if self.user else []

    @property
    def journal(self) -> list[str]:
        """What prints the unit's log."""
        return ["journalctl", f"--{'user-' if self.user else ''}unit={NAME}"]

    @property
    def file(self) -> Path:
        """Where the unit is written."""
        return self.units / NAME

    @property
    def program(self) -> str:
        """beepwatch, as it is typed to change something here."""
        path = shlex.quote(str(own_installation().python.with_name("beepwatch")))
        return path if self.user else f"sudo {path}"

    @property
    def other(self) -> "Scope":
        """A user's for the system's, and the system's for a user's."""
        return system_scope() if self.user else user_scope()

    def verb(self, verb: str) -> str:
        """What to type of `beepwatch service`."""
        return f"{self.program} service {verb}{' --user' if self.user else ''}"

    def command(self, verb: str) -> str:
        """What to type of systemctl."""
        return f"systemctl --user {verb}" if self.user else f"sudo systemctl {verb}"


def system_scope() -> Scope:
    """That of the machine; needs root."""
    return Scope(user=False, units=SYSTEM_UNITS, boot="at boot")


def user_scope() -> Scope:
    """That of the user who asks."""
    return Scope(user=True, units=default_file().parents[1] / "systemd" / "user", boot="at login")


class State(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What `systemctl show` says of the unit."""

    active_state: str = "inactive"
    sub_state: str = "dead"
    unit_file_state: str = ""
    status_text: str = ""
    result: str = ""
    exec_main_status: str = ""
    active_enter_timestamp_monotonic: str = "0"  # microseconds
    n_restarts: str = msgspec.field(name="NRestarts", default="0")
    load_state: str = "not-found"
    fragment_path: str = ""  # its file, as far as systemd knows of one
    need_daemon_reload: str = "no"  # whether the file is another by now

    @property
    def installed(self) -> bool:
        """Whether there is such a unit; one that is not there counts as inactive too."""
        return self.load_state != "not-found"

    @property
    def failing(self) -> bool:
        """Whether it ended instead of becoming active, and waits for its next try or not."""
        return self.active_state == "failed" or self.sub_state == "auto-restart"

    @property
    def says(self) -> str:
        """What the program itself says of how it stands; of one that is gone the last is kept."""
        alive = self.active_state in _UP or self.sub_state == "start"
        return self.status_text if alive else ""


def runs_here() -> bool:
    """Whether it is systemd that runs this machine."""
    return shutil.which("systemctl") is not None and BOOTED.is_dir()


class Systemctl:
    """The programs of one scope. Raises BeepwatchError where one fails or cannot be run."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, *words: str) -> str:
        """What `systemctl` printed."""
        done = self.attempt("systemctl", *self._scope.flags, *words)
        if done.returncode != 0:
            said = " ".join(done.stderr.split()).rstrip(".") or f"exit code {done.returncode}"
            raise BeepwatchError(f"systemctl {' '.join(words)}: {said}.{self._hint(said)}")
        return done.stdout

    def state(self) -> State:
        """What systemd knows of the unit."""
        wanted = [field.encode_name for field in msgspec.structs.fields(State)]
        shown = self("show", NAME, f"--property={','.join(wanted)}")
        pairs = (line.partition("=") for line in shown.splitlines())
        return msgspec.convert({name: value for name, _, value in pairs}, State)

    def last_log_line(self) -> str:
        """Of the unit's log: why it ended, if it said so."""
        done = self.attempt(*self._scope.journal, "--lines=20", "--output=cat")
        lines = done.stdout.splitlines()
        if not lines and not self._scope.user and os.geteuid() != 0:
            return f"only root can look: sudo {' '.join(self._scope.journal)}"
        own = [line for line in lines if line.startswith("beepwatch: ")]
        last = (own or lines or ["nothing in its log"])[-1]
        return last.removeprefix("beepwatch: ").rstrip(".")

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run any of systemd's programs, whatever it exits with."""
        todo = "Is systemd in order on this machine?"
        return answer_of(words, within_s=PROGRAM_WITHIN_S, todo=todo)

    def _hint(self, said: str) -> str:
        if "Failed to connect to bus" in said and self._scope.user:
            return " Log in as that user; su and sudo do not open a session."
        return ""
