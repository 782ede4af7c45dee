"""^C and SIGTERM during a training: what is under way is finished, the run goes on another day."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from beepwatch.errors import BeepwatchError
from beepwatch.train.checkpoints import Progress


class TrainingInterrupted(BeepwatchError):
    """Somebody or the system ended a training before its time."""

    exit_code = 130


class Interruption:
    """While entered, SIGINT and SIGTERM raise KeyboardInterrupt, at once or after what is put off.

    On the way out it becomes TrainingInterrupted, which names the step. In a thread other than
    the main one no signal arrives, and nothing is changed.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._waits = False
        self._asked = False

    def __enter__(self) -> Self:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is KeyboardInterrupt:
            raise TrainingInterrupted(
                f"interrupted at step {self._progress.step}; the same command goes on"
            ) from None

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """What is done within is done as a whole; a signal counts when it ends."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self._asked:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True
        if not self._waits:
            raise KeyboardInterrupt
