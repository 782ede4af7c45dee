"""`beepwatch dataset label`, the real program, for as long as it is needed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_END_WITHIN_S = 60


class LabellingProgram:
    """The program as a child process; it serves its page when this exists."""

    def __init__(self, directory: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beepwatch", "dataset", "label", str(directory), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TERM": "dumb"},  # noqa: TID251 - it inherits it
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        if "http://" not in self.said:
            _, complaint = self.process.communicate()
            raise RuntimeError(f"dataset label ended with {self.process.returncode}: {complaint}")
        self.url = self.said.split()[-1]
        self.complained = ""  # on standard error, once it has ended

    def end(self, number: int = signal.SIGINT) -> int:
        """As ^C does; the exit code."""
        self.process.send_signal(number)
        _, self.complained = self.process.communicate(timeout=_END_WITHIN_S)
        return self.process.returncode


@contextmanager
def labelling_program(directory: Path, *words: str) -> Iterator[LabellingProgram]:
    """The program on any free port, unless `words` choose one; ended afterwards."""
    program = LabellingProgram(directory, "--port", "0", *words)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.end()
