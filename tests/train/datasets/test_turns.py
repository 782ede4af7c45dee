"""Who writes into a folder is alone there."""

import threading
from pathlib import Path

import pytest

from beepwatch.train.datasets.turns import alone_in


def test_the_second_comes_when_the_first_has_gone(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with alone_in(tmp_path):
            order.append("second")

    with alone_in(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)  # as long as the first is there it does not come
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_an_error_ends_the_turn(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), alone_in(tmp_path):
        raise RuntimeError
    with alone_in(tmp_path):
        pass
    with pytest.raises(FileNotFoundError), alone_in(tmp_path / "gone"):
        pass
