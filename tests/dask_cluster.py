"""A real Dask scheduler and two worker processes of one thread each."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

Process = subprocess.Popen[str]


@contextmanager
def _dask(*words: str) -> Iterator[Process]:
    with subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # noqa: TID251 - what the process gets
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _said(process: Process, words: str) -> str:
    """The line of its log that has the words; waits for it."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line.strip()
    raise AssertionError(f"it ended without having said {words!r}")


@contextmanager
def cluster() -> Iterator[tuple[str, list[Process]]]:
    """The scheduler's address, and the workers, to be killed."""
    with ExitStack() as stack:
        of_scheduler = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter")
        scheduler = stack.enter_context(_dask("scheduler", *of_scheduler))
        address = _said(scheduler, "Scheduler at:").split()[-1]
        of_worker = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        workers = [stack.enter_context(_dask("worker", address, *of_worker)) for _ in range(2)]
        for worker in workers:
            _said(worker, "Registered to:")
        yield address, workers


def kill(worker: Process) -> None:
    """As if its machine had lost its power."""
    worker.kill()
    worker.wait()
