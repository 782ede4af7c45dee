"""What worker processes are given to do; imports little, as each of them imports it anew."""

import os
import signal
import threading
from pathlib import Path

from beepwatch.errors import BeepwatchError


def squared(number: int) -> int:
    return number * number


def after_another(item: tuple[int, str, str]) -> int:
    """A number, once the first path is there; then makes the second."""
    number, awaited, made = item
    while not Path(awaited).exists():
        threading.Event().wait(0.01)
    Path(made).touch()
    return number


def only_even(number: int) -> int:
    if number == 1:
        raise BeepwatchError("1 is odd. Take another.")
    if number % 2:
        raise ValueError(f"{number} in\ntwo lines")
    return number


def died_if_deadly(path: str) -> str:
    """Dies whenever it comes to a path that is called so."""
    if Path(path).name == "deadly":
        with Path(path).open("a") as file:
            file.write("tried\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return path


def died_once(path: str) -> str:
    """Dies the first time it comes to a path, as if somebody had killed it."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return path
    os.kill(os.getpid(), signal.SIGKILL)
    return path


def process_id(_item: int) -> int:
    return os.getpid()


def unpicklable(number: int) -> object:
    return (lambda: number) if number else 0


class Unloadable:
    """A function that no worker can make again, as if its module were broken there."""

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)
