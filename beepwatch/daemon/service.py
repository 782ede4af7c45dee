"""`beepwatch service`: the daemon as a systemd unit, of the system or of a user's session."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from beepwatch.classify.bundle import find_bundle, load_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import usable_heads
from beepwatch.clock import Clock
from beepwatch.config import SYSTEM_FILE, Loaded, default_file, load
from beepwatch.daemon.systemctl import Scope, State, Systemctl, runs_here
from beepwatch.daemon.units import NAME, own_installation, rendered, shipped
from beepwatch.errors import BeepwatchError, ConfigurationError, StoreError
from beepwatch.secrecy import without_secrets
from beepwatch.sections import Config
from beepwatch.store.database import FILE_NAME, Lookout
from beepwatch.store.standing import standing
from beepwatch.whole_files import write_whole
from beepwatch.wording import counted

STATE_DIRECTORY = Path("/var/lib/beepwatch")  # what StateDirectory= makes
RUNTIME_DIRECTORY = Path("/run/beepwatch")  # what RuntimeDirectory= makes
ACTIVE_WITHIN_S = 180.0  # a Pi Zero takes one minute
_LOOKS_EVERY_S = 0.2
_EVERYBODY_READS = 0o644  # whatever the umask: the service is not root
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


class Service:
    """The unit, as this machine's systemd has it. Raises ConfigurationError where there is none."""

    def __init__(self, scope: Scope, say: Say) -> None:
        self._scope = scope
        self._say = say
        self._file = scope.file
        self._systemctl = Systemctl(scope)
        if not runs_here():
            raise ConfigurationError(
                "systemd does not run on this machine. Let what starts programs here start "
                "`beepwatch run`."
            )

    def install(self) -> None:
        """Write, verify, enable and start the unit; what is so already is left as it is."""
        self._need_rights("install")
        self._systemctl.state()  # where systemd does not answer, nothing is begun
        loaded = self._configuration()
        text = rendered(shipped(user=self._scope.user), own_installation(), self._version())
        self._verify(text)
        changed = self._write(text)
        # systemd has the unit of before where a run before this was broken off.
        if changed or self._systemctl.state().need_daemon_reload == "yes":
            changed = True
            self._systemctl("daemon-reload")
        if self._systemctl.state().unit_file_state != "enabled":
            self._systemctl("enable", NAME)
            self._say(f"enabled: it starts {self._scope.boot}")
        if changed or self._systemctl.state().active_state != "active":
            self._systemctl("restart", "--no-block", NAME)
            self._wait_until_active()
        self._say(f"running: {self._systemctl.state().status_text or NAME}")
        for line in self._next_steps(loaded):
            self._say(line)

    def uninstall(self) -> None:
        """Stop and remove the unit; the user's settings and all that was heard stay."""
        self._need_rights("uninstall")
        if self._file.exists():
            self._systemctl("disable", "--now", NAME)
            if not self._scope.user and not _holds_something(RUNTIME_DIRECTORY):
                self._systemctl.attempt("systemctl", "clean", "--what=runtime", NAME)
            self._file.unlink()
            self._forget()
            self._say(f"stopped, disabled and removed {self._file}")
        elif self._lost_its_file():
            self._systemctl("stop", NAME)
            self._systemctl.attempt("systemctl", *self._scope.flags, "disable", NAME)  # its links
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
        state = self._systemctl.state()
        return state.active_state != "inactive" and state.fragment_path in ("", str(self._file))

    def _forget(self) -> None:
        self._systemctl("daemon-reload")
        # That it failed once.
        self._systemctl.attempt("systemctl", *self._scope.flags, "reset-failed", NAME)

    def report(self, clock: Clock) -> Iterator[tuple[str, str]]:
        """What a person wants to know: a word and a line each."""
        state = self._systemctl.state()
        if not state.installed:
            raise ConfigurationError(self._where_it_is())
        yield "state", self._state_words(state, clock)
        if state.says:
            yield "says", state.says
        yield from self._told(clock)
        yield "restarts", state.n_restarts
        if state.active_state != "active":
            yield "log", self._systemctl.last_log_line()

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self._systemctl.state().active_state == "active"

    # Before

    def _need_rights(self, verb: str) -> None:
        if not self._scope.user and os.geteuid() != 0:
            raise ConfigurationError(
                f"`beepwatch service {verb}` changes the system and needs root. Run "
                f"`{self._scope.verb(verb)}`, or add --user for a service of your own session."
            )

    def _where_it_is(self) -> str:
        other = self._scope.other
        if other.file.is_file():
            whose = "your session" if other.user else "the system"
            return f"it is {whose} that has a {NAME}. Ask for that: {other.verb('status')}."
        return f"there is no {NAME}. Install it with: {self._scope.verb('install')}."

    def _configuration(self) -> Loaded:
        """The one that the service will read, in order and readable for it."""
        if self._scope.user:
            return load()
        if not SYSTEM_FILE.exists():
            if not SYSTEM_FILE.parent.exists():
                SYSTEM_FILE.parent.mkdir(parents=True)
                SYSTEM_FILE.parent.chmod(0o755)  # whatever the umask
            write_whole(SYSTEM_FILE, _STARTER.encode(), mode=_EVERYBODY_READS)
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
            done = self._systemctl.attempt(
                "systemd-analyze", "verify", "--man=no", *self._scope.flags, str(file)
            )
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
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, text.encode(), mode=_EVERYBODY_READS)
        except OSError as error:
            raise ConfigurationError(
                f"{self._file} cannot be written: {error.strerror}. Is the disk full or read-only?"
            ) from error
        self._say(f"wrote {self._file}")
        return True

    def _wait_until_active(self) -> None:
        tries = round(ACTIVE_WITHIN_S / _LOOKS_EVERY_S)
        for _ in range(tries):
            state = self._systemctl.state()
            if state.active_state == "active":
                return
            if state.failing:
                break
            threading.Event().wait(_LOOKS_EVERY_S)
        raise BeepwatchError(
            f"{NAME} is installed, but does not come up ({state.active_state}, {state.result}, "
            f"exit code {state.exec_main_status}): {self._systemctl.last_log_line()}. "
            f"systemd keeps trying; all of its log: {' '.join(self._scope.journal)}"
        )

    def _next_steps(self, loaded: Loaded) -> Iterator[str]:
        where = "" if self._scope.user else f" --config {SYSTEM_FILE}"
        yield "what next:"
        if not loaded.config.notify.telegram.chat_ids:
            restart = self._scope.command("restart")
            yield (
                f"  {self._scope.program} telegram pair{where}, then {restart} beepwatch: "
                "connects your phone"
            )
        yield f"  {self._scope.verb('status')}: what it hears"
        for problem in _left_out(loaded.config):
            yield f"  {problem}{f' Give it{where}, too.' if where else ''}"
        file = default_file() if self._scope.user else SYSTEM_FILE
        yield f"  {file}: its settings; then {self._scope.command('reload')} beepwatch"
        if self._scope.other.file.is_file():
            yield f"  {self._scope.other.verb('uninstall')}: or two tell you of each beep"
        if self._scope.user:
            yield '  sudo loginctl enable-linger "$USER": it runs without your being logged in, too'

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
            yield "heard", f"only root can look: {self._scope.verb('status')}"
            return
        if not found:
            yield "heard", f"nothing yet; {directory} has no {FILE_NAME}"
            return
        try:
            with closing(Lookout(directory)) as database:
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


def _left_out(config: Config) -> list[str]:
    """Why which taught sounds are no use to the model, as after an update that brings another."""
    info = load_bundle(find_bundle(config.model.bundle)).info
    return usable_heads(Shelf(config.store.path), info.model_id, info.labels)[1]


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
