"""What a training shows of itself: a bar on a terminal, plain lines anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

STEPS_A_LINE = 50


class Display(Protocol):
    """Is told how far a training has come."""

    def say(self, line: str) -> None:
        """Something happened."""

    def composed(self, clips: int, of: int) -> None:
        """So many clips of those wanted are there."""

    def stepped(self, step: int, of: int, loss: float) -> None:
        """So many steps are done; the last one's loss."""


class Lines:
    """A line for what happens, and for every so many steps."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def say(self, line: str) -> None:
        """Write it."""
        self._write(line)

    def composed(self, clips: int, of: int) -> None:
        """Nothing: it was said before."""

    def stepped(self, step: int, of: int, loss: float) -> None:
        """Write it now and then."""
        if step % STEPS_A_LINE == 0:
            self._write(f"step {step}/{of} loss {loss:.4f}")


class Bar:
    """A bar with rate and time left; what happens is written above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def say(self, line: str) -> None:
        """Write it above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def composed(self, clips: int, of: int) -> None:
        """Move a bar that goes when all clips are there."""
        task = self._move("composing", "clips/s", clips, of)
        if clips == of:
            self._progress.remove_task(task)
            del self._tasks["composing"]

    def stepped(self, step: int, of: int, loss: float) -> None:
        """Move the bar."""
        task = self._move("training", "steps/s", step, of)
        self._progress.update(task, loss=f"loss {loss:.4f}")

    def _move(self, what: str, unit: str, done: int, of: int) -> TaskID:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(
                what, total=of, completed=done, unit=unit, loss=""
            )
        self._progress.update(self._tasks[what], completed=done)
        return self._tasks[what]


class RateColumn(ProgressColumn):
    """How many a second, lately."""

    def render(self, task: Task) -> Text:
        """Nothing until it is known."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:.1f} {task.fields['unit']}" if rate else "")


def rated(console: Console, *more: ProgressColumn) -> Progress:
    """Bars with rate and time left, nothing where nobody watches; each task says its `unit`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        RateColumn(),
        TimeRemainingColumn(compact=True),
    )
    return Progress(
        *columns, console=console, disable=not console.is_terminal, refresh_per_second=4
    )


@contextmanager
def display_on(console: Console) -> Iterator[Display]:
    """A bar if somebody watches, else lines."""
    if not console.is_terminal:
        yield Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        return
    with rated(console, TextColumn("{task.fields[loss]}")) as progress:
        yield Bar(progress)
