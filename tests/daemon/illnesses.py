"""The real classifier with an illness that a test has named in the state directory.

How often it broke out stands beside it, so that a next life knows.
"""

import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from beepwatch.daemon import classifier
from beepwatch.daemon.pipeline import Note, Pipeline
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.messages import Window
from beepwatch.store.outbox import Outbox, Written

DEADLY_WINDOW = 25  # in the middle of a beep; its neighbours hold that too
SLOWER = 10
OUTBREAKS = 4  # of what is deadly whenever it happens


def main(connection: Connection, settings: ClassifierSettings) -> None:
    """`classifier.main`, after the illness has been caught."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    illness = (settings.directory / "illness").read_text()
    ILLNESSES[illness](settings)
    classifier.main(connection, settings)


def breaks_out(settings: ClassifierSettings, times: int) -> bool:
    """Whether it is to happen once more; remembered before it does."""
    record = settings.directory / "outbreaks"
    with record.open("ab", buffering=0) as outbreaks:
        if outbreaks.tell() >= times:
            return False
        outbreaks.write(b"x")
    return True


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def _around_writes(settings: ClassifierSettings, *, before: bool) -> None:
    write = Outbox.write

    def deadly(self: Outbox, **what: Any) -> Written:  # noqa: ANN401 - whatever is to be written
        if before and breaks_out(settings, OUTBREAKS):
            _die()
        written = write(self, **what)
        if not before and breaks_out(settings, OUTBREAKS):
            _die()
        return written

    Outbox.write = deadly  # type: ignore[method-assign] # this process is for nothing else


def _at_a_window(settings: ClassifierSettings, act: Callable[[], None], times: int) -> None:
    hear = Pipeline.hear

    def ill(self: Pipeline, window: Window) -> list[Note]:
        if window.sequence == DEADLY_WINDOW and breaks_out(settings, times):
            act()
        return hear(self, window)

    Pipeline.hear = ill  # type: ignore[method-assign] # this process is for nothing else


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang() -> None:
    threading.Event().wait()


def _raise() -> None:
    raise RuntimeError("this window is too much for me")


def _slow(_settings: ClassifierSettings) -> None:
    module: Any = classifier
    open_taught = module.open_taught

    def opened(*arguments: Any) -> Any:  # noqa: ANN401 - as open_taught takes and gives them
        engine, problems = open_taught(*arguments)
        answers = engine.answers

        def slowly(pcm: Any) -> Any:  # noqa: ANN401 - as answers takes and gives them
            begun_s = time.monotonic()
            answer = answers(pcm)
            threading.Event().wait((SLOWER - 1) * (time.monotonic() - begun_s))
            return answer

        engine.answers = slowly  # nobody else has this engine
        return engine, problems

    module.open_taught = opened


ILLNESSES: dict[str, Callable[[ClassifierSettings], None]] = {
    "dies before it writes": lambda settings: _around_writes(settings, before=True),
    "dies after it has written": lambda settings: _around_writes(settings, before=False),
    "crashes": lambda settings: _at_a_window(settings, _crash, times=100),
    "raises": lambda settings: _at_a_window(settings, _raise, times=100),
    "hangs": lambda settings: _at_a_window(settings, _hang, times=1),
    "is slow": _slow,
}
