"""A machine with a real systemd as its first process, in a container that systemd-nspawn boots.

It shares the network with this machine, so that what listens on loopback here is heard there. Its
disk is a layer of its own over those of `debian.py`, and outlives a reboot. All that is mounted is
in namespaces that end with it, and it is ended by its own process id.
"""

import errno
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.service.namespace import alone

BOOTS_WITHIN_S = 60.0
PATIENCE_S = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_numbers = itertools.count(1)
# What waits at the pipe shuts the machine down when the test is gone, even if that was killed. The
# machine has a hierarchy of control groups to itself, whatever this one uses.
_BOOT = """
exec 3<&0
( ( cat <&3 >/dev/null; kill -TERM $$ 2>/dev/null ) & )
exec 3<&- </dev/null
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$5"
echo $$ >"/sys/fs/cgroup/$5/cgroup.procs"
exec systemd-nspawn --quiet --boot --settings=no --directory="$4" --machine="$5" \
    --register=no --keep-unit --console=read-only --link-journal=no --resolv-conf=off \
    --timezone=off --capability=all --system-call-filter=bpf --bind="$6:/shared"
"""


class Machine:
    """Starts off. `shared` is its /shared; its disk is its own business."""

    def __init__(self, layers: Sequence[Path], directory: Path) -> None:
        self.shared = directory / "shared"
        self._layers = ":".join(str(layer) for layer in layers)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._name = f"beepwatch-{os.getpid()}-{next(_numbers)}"
        for name in ("disk", "work", "root", "shared"):
            (directory / name).mkdir(parents=True)

    def boot(self) -> None:
        """Start it and wait until all that it starts at boot has been started."""
        with (self._directory / "console.log").open("ab") as console:
            self._process = subprocess.Popen(
                alone(
                    _BOOT,
                    *(self._layers, *(str(self._directory / name) for name in ("disk", "work"))),
                    *(str(self._directory / "root"), self._name, str(self.shared)),
                ),
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=console,
            )
        self.wait_until(self._booted, "a booted systemd", BOOTS_WITHIN_S)

    def reboot(self) -> None:
        """As a person does it."""
        self.run("systemctl", "reboot")
        assert self._process is not None
        self._process.wait(PATIENCE_S)
        self._tidy()
        self.boot()

    def pull_the_plug(self) -> None:
        """End it at once."""
        if self._process is not None:
            for pid in (self._leader, self._process.pid):
                if pid and self._process.poll() is None:
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._tidy()

    def attempt(
        self, *words: str, user: int | None = None, within_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in it, as root or as a user whose session has been started."""
        environment = [f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8"]
        switch: list[str] = []
        if user is not None:
            switch = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            environment[1:2] = [f"HOME=/home/{user}", f"XDG_RUNTIME_DIR=/run/user/{user}"]
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        return subprocess.run(
            [
                *("nsenter", f"--target={self._leader}", *spaces),
                *("env", "-i", *environment, *switch, *words),
            ],
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def run(self, *words: str, user: int | None = None) -> str:
        """What a program printed; AssertionError when it fails."""
        done = self.attempt(*words, user=user)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file of its; the directory is made."""
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1" && chmod "$3" "$1"'
        self.run("sh", "-c", script, "sh", path, text, f"{mode:o}")

    def wait_until(self, true: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        """Until something is so; AssertionError with the console and the journal when not."""
        give_up_s = time.monotonic() + within_s
        while not true():
            if time.monotonic() > give_up_s:
                raise AssertionError(f"waited {within_s:.0f} s in vain for {what}\n{self._told()}")
            threading.Event().wait(0.1)

    def _booted(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended: {self._told()}")
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._leader = int(children[0]) if children else 0
        if not self._leader:
            return False
        asked = self.attempt("systemctl", "is-system-running")
        return asked.stdout.strip() in ("running", "degraded")

    def _told(self) -> str:
        console = (self._directory / "console.log").read_text(errors="replace")[-2_000:]
        journal = self.attempt("journalctl", "--no-pager", "--lines=60").stdout
        return f"{console}\n{journal}"

    def _tidy(self) -> None:
        """Remove its control groups, which are empty now."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process, self._leader = None, 0
        for line in Path("/proc/mounts").read_text().splitlines():
            place, kind = line.split()[1:3]
            own = Path(place) / self._name
            if kind == "cgroup2" and own.is_dir():
                self.wait_until(partial(_removed, own), "its processes to be gone")


def _removed(group: Path) -> bool:
    """Whether a control group and those below it are gone; one with a dying process stays."""
    try:
        for directory, _, _ in os.walk(group, topdown=False):
            Path(directory).rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    return not group.exists()
