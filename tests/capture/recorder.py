"""A program that listens and prints what it hears, for sound that only a process of its own hears.

PortAudio takes its configuration from the environment.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHILD = """\
import json, sys, threading
import msgspec
from beepwatch.capture import health
from beepwatch.capture.listening import Listener
from beepwatch.clock import SystemClock
from beepwatch.sections import Capture
from beepwatch.messages import Window
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
health.ALL_ZERO_AFTER_S = float(sys.argv[2])
listener = Listener(
    Capture(source=sys.argv[1], gate=False), rate_hz=16_000, clock=SystemClock(), stop=stop
)
for heard in listener:
    if heard is None:
        continue
    told = msgspec.to_builtins(heard)
    told["counts"] = listener.counts.as_dict()
    told["mono_s"] = SystemClock().mono_s()
    print(json.dumps(told), flush=True)
"""


class Recorder:
    """The listening program; its messages as dictionaries."""

    def __init__(
        self,
        environment: Mapping[str, str],
        source: str = "microphone",
        *,
        all_zero_after_s: float = 30.0,
        before: Sequence[str] = (),
        stderr: Path | None = None,
    ) -> None:
        """`before` is what comes before the program on the command line."""
        with (stderr or Path("/dev/null")).open("ab") as log:
            self._process = subprocess.Popen(
                [*before, sys.executable, "-c", CHILD, source, str(all_zero_after_s)],
                env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def next(self, kind: str) -> dict[str, Any]:
        """The next message of this type; those before it are passed over."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["type"] == kind:
                return told
        raise AssertionError(f"the recorder ended before any {kind}")

    def close(self) -> None:
        """Let it end, whatever it is in."""
        self._process.communicate()
