"""`beepwatch run` as a user starts it: a process of its own, a configuration file, a state."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.bot_api import TOKEN, BotApi

WITHIN_S = 60.0
CHAT_ID = 4711


class Daemon:
    """A running daemon and its state directory."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.config = directory / "config.toml"
        self.log = directory / "beepwatch.log"
        self.environment = {
            **(environment or os.environ),  # noqa: TID251 - the child's, with a token added
            "BEEPWATCH_TELEGRAM_TOKEN": TOKEN,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, text: str, api: BotApi | None = None) -> None:
        """Write the configuration: `text`, the state directory, and the chat if there is an API."""
        text += f'\n[store]\ndirectory = "{self.state}"\nmin_free_mb = 1\n'
        if api is not None:
            text += f'[notify.telegram]\nchat_ids = [{CHAT_ID}]\nbase_url = "{api.base_url}"\n'
        self.config.write_text(text)

    def start(
        self,
        *arguments: str,
        program: Path | None = None,
        command: Sequence[str] = (sys.executable, "-m", "beepwatch"),
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """`beepwatch run` with the configuration; `program` is another installation's script.

        `command` is what comes before the verb, if it is not the plain program.
        """
        begin = [program] if program else command
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*begin, "run", "--config", self.config, *arguments],
                env=self.environment,
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[int]:
        """Process ids of recorder, classifier and messenger."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def wait(self) -> int:
        """Until it ends by itself; the exit code."""
        assert self.process is not None
        return self.process.wait(2 * WITHIN_S)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def cut_power(self) -> None:
        """SIGKILL to all its processes; its children lead groups of their own, in its session.

        They are stopped before, so that none sees another's end and acts upon it; and it goes last,
        since the kernel lets groups go on whose last parent has died, setpgid(2).
        """
        stopped: set[int] = set()
        while running := _session(self.pid) - stopped:
            _send(running, signal.SIGSTOP)
            stopped |= running
        _send(stopped - {self.pid}, signal.SIGKILL)
        _send({self.pid}, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(WITHIN_S)
        while _session(self.pid):
            time.sleep(0.002)  # noqa: TID251 - a test may wait

    def events(self) -> list[dict[str, Any]]:
        """What `beepwatch events --json` prints."""
        return [json.loads(line) for line in self.verb("events", "--json").splitlines()]

    def verb(self, *arguments: str) -> str:
        """Standard output of another verb on the same state."""
        done = subprocess.run(
            [sys.executable, "-m", "beepwatch", *arguments, "--config", self.config],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Until the log holds `text` so often."""
        self.wait_until(lambda: self.log.read_text().count(text) >= times, repr(text))

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        """Until `true()` holds; the log is shown if it does not in time, or if the daemon ends."""
        deadline_s = time.monotonic() + WITHIN_S
        while not true():
            ended = self.process is not None and self.process.poll() is not None
            if (ended and not true()) or time.monotonic() > deadline_s:
                raise AssertionError(f"no {what} in time; the log:\n{self.log.read_text()}")
            time.sleep(0.05)  # noqa: TID251 - a test may wait


def _session(leader: int) -> set[int]:
    """Its processes that are not dead already, proc_pid_stat(5)."""
    pids = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = status.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == leader and state != "Z":
            pids.add(int(status.parent.name))
    return pids


def _send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def daemon(directory: Path, environment: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon that is killed, with its children, if it still runs at the end.

    What it had to say is printed when the test fails.
    """
    one = Daemon(directory, environment)
    try:
        yield one
    except BaseException:
        if one.log.exists():
            print(one.log.read_text())  # noqa: T201 - for whoever reads the failure
        raise
    finally:
        if one.process is not None and one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()
