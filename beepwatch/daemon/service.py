"""`beepwatch service`: the daemon as a systemd unit, of the system or of a user's session."""

import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from beepwatch.clock import Clock
from beepwatch.config import SYSTEM_FILE, Loaded, default_file, load
from beepwatch.daemon.units import NAME, own_installation, rendered, shipped
from beepwatch.errors import BeepwatchError, ConfigurationError, StoreError
from beepwatch.secrecy import without_secrets
from beepwatch.store.database import FILE_NAME, Database
from beepwatch.store.standing import standing
from beepwatch.wording import counted

STATE_DIRECTORY = Path("/var/lib/beepwatch")  # what StateDirectory= makes
RUNTIME_DIRECTORY = Path("/run/beepwatch")  # what RuntimeDirectory= makes
BOOTED = Path("/run/systemd/system")  # sd_booted(3)
PROGRAM_WITHIN_S = 60.0
ACTIVE_WITHIN_S = 180.0  # a Pi Zero takes one minute
_LOOKS_EVERY_S = 0.2
_STARTER = """\
# beepwatch on this machine. Every key has a default that works; README.md lists them all, and
# `beepwatch config show` says where each value comes from.
# After a change: sudo systemctl reload beepwatch

[capture]
source = "microphone"    # or "microphone:PART-OF-NAME", "file:PATH", "stream:URL"

[store]
directory = "/var/lib/beepwatch"
"""

Say = Callable[[str], None]


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

    def command(self, verb: str) -> str:
        """What to type."""
        return f"systemctl --user {verb}" if self.user else f"sudo systemctl {verb}"


def system_scope() -> Scope:
    """That of the machine; needs root."""
    return Scope(user=False, units=Path("/etc/systemd/system"), boot="at boot")


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
    def failing(self) -> bool:
        """Whether it ended instead of becoming active, and waits for its next try or not."""
        return self.active_state == "failed" or self.sub_state == "auto-restart"


class Service:
    """The unit, as this machine's systemd has it. Raises ConfigurationError where there is none."""

    def __init__(self, scope: Scope, say: Say) -> None:
        self._scope = scope
        self._say = say
        self._file = scope.units / NAME
        if shutil.which("systemctl") is None or not BOOTED.is_dir():
            raise ConfigurationError(
                "systemd does not run on this machine. Let what starts programs here start "
                "`beepwatch run`."
            )

    def install(self) -> None:
        """Write, verify, enable and start the unit; what is so already is left as it is."""
        self._need_rights("install")
        self.state()  # where systemd does not answer, nothing is begun
        loaded = self._configuration()
        text = rendered(shipped(user=self._scope.user), own_installation(), self._version())
        self._verify(text)
        changed = self._write(text)
        if changed or self.state().need_daemon_reload == "yes":  # a run before this was broken off
            changed = True
            self._systemctl("daemon-reload")
        if self.state().unit_file_state != "enabled":
            self._systemctl("enable", NAME)
            self._say(f"enabled: it starts {self._scope.boot}")
        if changed or self.state().active_state != "active":
            self._systemctl("restart", "--no-block", NAME)
            self._wait_until_active()
        self._say(f"running: {self.state().status_text or NAME}")
        for line in self._next_steps(loaded):
            self._say(line)

    def uninstall(self) -> None:
        """Stop and remove the unit; the user's settings and all that was heard stay."""
        self._need_rights("uninstall")
        if self._file.exists():
            self._systemctl("disable", "--now", NAME)
            if not self._scope.user and not _holds_something(RUNTIME_DIRECTORY):
                self._run("systemctl", "clean", "--what=runtime", NAME)
            self._file.unlink()
            self._forget()
            self._say(f"stopped, disabled and removed {self._file}")
        elif self._lost_its_file():
            self._systemctl("stop", NAME)
            self._run("systemctl", *self._scope.flags, "disable", NAME)  # its links
            self._forget()
            self._say(f"stopped {NAME}, though {self._file} is gone")
        else:
            self._say(f"{self._file} is not there: nothing to remove")
        system = [STATE_DIRECTORY, RUNTIME_DIRECTORY, SYSTEM_FILE.parent]
        kept = system if not self._scope.user else []
        kept = [self._file.with_name(f"{NAME}.d"), *kept]
        if left := [str(path) for path in kept if path.exists()]:
            self._say(f"left as they are, since they are yours: {', '.join(left)}")

    def _lost_its_file(self) -> bool:
        """Whether it runs all the same; what somebody else has installed is no business of ours."""
        state = self.state()
        return state.active_state != "inactive" and state.fragment_path in ("", str(self._file))

    def _forget(self) -> None:
        self._systemctl("daemon-reload")
        self._run("systemctl", *self._scope.flags, "reset-failed", NAME)  # that it failed once

    def state(self) -> State:
        """What systemd knows."""
        wanted = [field.encode_name for field in msgspec.structs.fields(State)]
        shown = self._systemctl("show", NAME, f"--property={','.join(wanted)}")
        pairs = (line.partition("=") for line in shown.splitlines())
        return msgspec.convert({name: value for name, _, value in pairs}, State)

    def report(self, clock: Clock) -> Iterator[tuple[str, str]]:
        """What a person wants to know: a word and a line each."""
        state = self.state()
        if state.load_state == "not-found":
            raise ConfigurationError(
                f"there is no {NAME}. Install it with: {self._again('install')}."
            )
        yield "state", self._state_words(state, clock)
        if state.status_text:
            yield "says", state.status_text
        yield from self._told(clock)
        yield "restarts", state.n_restarts
        if state.active_state != "active":
            yield "log", self._last_log_line()

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self.state().active_state == "active"

    # Before

    def _need_rights(self, verb: str) -> None:
        if not self._scope.user and os.geteuid() != 0:
            raise ConfigurationError(
                f"`beepwatch service {verb}` changes the system and needs root. Run "
                f"`{self._again(verb)}`, or add --user for a service of your own session."
            )

    def _again(self, verb: str) -> str:
        return f"{self._program()} service {verb}{' --user' if self._scope.user else ''}"

    def _program(self) -> str:
        """As it is typed here."""
        path = shlex.quote(str(own_installation().python.with_name("beepwatch")))
        return path if self._scope.user else f"sudo {path}"

    def _configuration(self) -> Loaded:
        """The one that the service will read, in order and readable for it."""
        if self._scope.user:
            return load()
        if not SYSTEM_FILE.exists():
            if not SYSTEM_FILE.parent.exists():
                SYSTEM_FILE.parent.mkdir(parents=True)
                SYSTEM_FILE.parent.chmod(0o755)  # whatever the umask
            SYSTEM_FILE.write_text(_STARTER, encoding="utf-8")
            SYSTEM_FILE.chmod(0o644)
            self._say(f"wrote {SYSTEM_FILE}")
        for path, needed in ((SYSTEM_FILE.parent, 0o005), (SYSTEM_FILE, 0o004)):
            if path.stat().st_mode & needed != needed:
                raise ConfigurationError(
                    f"{path} has mode {path.stat().st_mode & 0o777:04o}, so the service, which is "
                    f"not root, cannot read it. Run: chmod o+rX {path}"
                )
        return self._system_configuration()

    def _system_configuration(self) -> Loaded:
        return load(SYSTEM_FILE, environment={"STATE_DIRECTORY": str(STATE_DIRECTORY)})

    def _version(self) -> int:
        words = self._systemctl("--version").split()
        return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0

    def _verify(self, text: str) -> None:
        """Let systemd read it before it lies where systemd reads it."""
        with tempfile.TemporaryDirectory(prefix="beepwatch-") as directory:
            file = Path(directory) / NAME
            file.write_text(text, encoding="utf-8")
            done = self._run("systemd-analyze", "verify", "--man=no", *self._scope.flags, str(file))
        # It may name other units too, whose trouble is not ours.
        complaints = [line for line in done.stderr.splitlines() if NAME in line]
        if complaints:
            raise BeepwatchError(f"systemd does not take {NAME}: {' '.join(complaints)}")
        self._say(f"verified {NAME}")

    # Doing

    def _write(self, text: str) -> bool:
        """Write the unit file, all of it or nothing; False when it is there already."""
        if self._file.is_file() and self._file.read_text(encoding="utf-8") == text:
            self._say(f"{self._file} is up to date")
            return False
        unfinished = self._file.with_name(f".{NAME}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(text, encoding="utf-8")
            unfinished.chmod(0o644)
            unfinished.replace(self._file)
        except OSError as error:
            raise ConfigurationError(
                f"{self._file} cannot be written: {error.strerror}. Is the disk full or read-only?"
            ) from error
        self._say(f"wrote {self._file}")
        return True

    def _wait_until_active(self) -> None:
        tries = round(ACTIVE_WITHIN_S / _LOOKS_EVERY_S)
        for _ in range(tries):
            state = self.state()
            if state.active_state == "active":
                return
            if state.failing:
                break
            threading.Event().wait(_LOOKS_EVERY_S)
        raise BeepwatchError(
            f"{NAME} is installed, but does not come up ({state.active_state}, {state.result}, "
            f"exit code {state.exec_main_status}): {self._last_log_line()}. systemd keeps trying; "
            f"all of its log: {' '.join(self._scope.journal)}"
        )

    def _next_steps(self, loaded: Loaded) -> Iterator[str]:
        where = "" if self._scope.user else f" --config {SYSTEM_FILE}"
        yield "what next:"
        if not loaded.config.notify.telegram.chat_ids:
            yield (
                f"  {self._program()} telegram pair{where}, then {self._scope.command('restart')} "
                "beepwatch: connects your phone"
            )
        yield f"  {self._again('status')}: what it hears"
        file = default_file() if self._scope.user else SYSTEM_FILE
        yield f"  {file}: its settings; then {self._scope.command('reload')} beepwatch"
        if self._scope.user:
            yield "  loginctl enable-linger: it runs without your being logged in, too"

    # Telling

    def _state_words(self, state: State, clock: Clock) -> str:
        at_start = (
            f"starts {self._scope.boot}"
            if state.unit_file_state == "enabled"
            else (f"does not start {self._scope.boot}")
        )
        if state.active_state != "active":
            return f"not running ({state.active_state}, {state.result}); {at_start}"
        for_s = clock.mono_s() - int(state.active_enter_timestamp_monotonic) / 1e6
        since = clock.utc() - timedelta(seconds=for_s)
        return f"running since {_local(since)} ({_length(for_s)}); {at_start}"

    def _told(self, clock: Clock) -> Iterator[tuple[str, str]]:
        """From the database, if there is one; it is not made by looking."""
        directory = STATE_DIRECTORY
        try:
            directory = self._state_directory()
            found = (directory / FILE_NAME).is_file()
        except PermissionError:
            found = False
        except ConfigurationError as error:
            yield "settings", without_secrets(str(error))
            return
        if not found and not self._scope.user and os.geteuid() != 0:
            yield "heard", f"only root can look: {self._again('status')}"
            return
        if not found:
            yield "heard", f"nothing yet; {directory} has no {FILE_NAME}"
            return
        try:
            with closing(Database(directory)) as database:
                now = standing(database)
        except StoreError as error:
            yield "heard", f"cannot be looked up: {error}"
            return
        if now.heard is None:
            yield "heard", "nothing yet"
        else:
            # A machine's event has no pulses.
            pulses = counted(now.heard.pulses, "pulse") if now.heard.pulses else "unusual"
            ago = _length((clock.utc() - now.heard.onset).total_seconds())
            yield "heard", f"{now.heard.label}, {pulses}, {_local(now.heard.onset)} ({ago} ago)"
        yield "waiting", f"{counted(now.waiting, 'alert')} to be told"

    def _state_directory(self) -> Path:
        """As it is configured by now. Raises ConfigurationError."""
        if self._scope.user:
            return load().config.store.path
        configured = self._system_configuration() if SYSTEM_FILE.exists() else None
        return _in_use(configured.config.store.path if configured else STATE_DIRECTORY)

    def _last_log_line(self) -> str:
        done = self._run(*self._scope.journal, "--lines=20", "--output=cat")
        own = [line for line in done.stdout.splitlines() if line.startswith("beepwatch: ")]
        lines = own or done.stdout.splitlines() or ["nothing in its log"]
        return lines[-1].removeprefix("beepwatch: ").rstrip(".")

    # Programs

    def _systemctl(self, *words: str) -> str:
        done = self._run("systemctl", *self._scope.flags, *words)
        if done.returncode != 0:
            said = " ".join(done.stderr.split()).rstrip(".") or f"exit code {done.returncode}"
            raise BeepwatchError(f"systemctl {' '.join(words)}: {said}.{self._hint(said)}")
        return done.stdout

    def _hint(self, said: str) -> str:
        if "Failed to connect to bus" in said and self._scope.user:
            return " Log in as that user; su and sudo do not open a session."
        return ""

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                words, capture_output=True, text=True, timeout=PROGRAM_WITHIN_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BeepwatchError(
                f"{words[0]} could not be run: {error}. Is systemd in order on this machine?"
            ) from error


def _holds_something(directory: Path) -> bool:
    """Whether a state that no disk has is in there."""
    return directory.is_dir() and any(directory.iterdir())


def _in_use(directory: Path) -> Path:
    """Where the state is just now: in memory, while its disk cannot be written."""
    kept = next(RUNTIME_DIRECTORY.glob(f"*/{FILE_NAME}"), None)
    return directory if kept is None else kept.parent


def _local(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"


def _length(for_s: float) -> str:
    minutes = max(0, round(for_s)) // 60
    if minutes < 1:
        return f"{max(0, round(for_s))} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 2 * 1_440:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1_440} days"
