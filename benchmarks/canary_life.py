"""A daemon of benchmarks/canary.py, begun again after each of its ends on the same pipe."""

import signal
import subprocess
import sys
import time
from collections import Counter

from benchmarks.canary_watch import Looker
from benchmarks.soak import ENDS_WITHIN_S
from benchmarks.soak_verdict import process_of
from tests.end_to_end.daemon import Daemon

_STARTS_WITHIN_S = 180.0


class Life:
    """One daemon, one life after the other."""

    def __init__(self, one: Daemon, looker: Looker, sound: int) -> None:
        self.one = one
        self.looker = looker
        self.ends: Counter[int] = Counter()  # exit codes
        self._sound = sound

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return process_of(self.one).poll() is not None

    def begin(self) -> None:
        """Start it, and wait until it is ready or has ended, which it may on a full disk."""
        before = self.looker.log.events["ready"]
        if self.one.process is not None:
            self._note_the_end()
        work = self.one.directory / "work"  # where a core would be written
        self.one.start(
            *("--source", "stdin", "--speed", "max", "--debug"),
            command=("env", "-C", str(work), sys.executable, "-m", "beepwatch"),
            stdin=self._sound,
        )
        self.looker.watch(self.one.pid)
        give_up_s = time.monotonic() + _STARTS_WITHIN_S
        while self.looker.log.events["ready"] == before and not self.is_over:
            if time.monotonic() > give_up_s:
                raise SystemExit(f"the daemon did not start; its log is {self.one.log}")
            time.sleep(0.05)

    def end(self) -> None:
        """When it has heard all, by itself; if it is too slow, by a signal."""
        process = process_of(self.one)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait(ENDS_WITHIN_S)
        self._note_the_end()

    def _note_the_end(self) -> None:
        self.looker.forget(self.one.pid)
        self.ends[process_of(self.one).returncode] += 1
