"""What a life of the messenger leaves in memory for the next, whenever it dies."""

import os
from collections.abc import Iterator

import pytest

from beepwatch.daemon.memo import Memo, Untold, open_memo
from beepwatch.messages import Alert, AlertKind
from tests.daemon.parts import NOON


@pytest.fixture
def descriptor() -> Iterator[int]:
    one = open_memo()
    yield one
    os.close(one)


def untold(*keys: str) -> list[Untold]:
    return [
        Untold(
            alert=Alert(
                kind=AlertKind.HEARD, text=key, created_at=NOON, due_at=NOON, dedupe_key=key
            ),
            channels=("console",),
        )
        for key in keys
    ]


def test_the_next_life_finds_what_was_written_last(descriptor: int) -> None:
    assert Memo(descriptor).untold == []
    for keys in (("a", "b"), ("a" * 10_000, "b", "c"), ("b",), ()):
        Memo(descriptor).write(untold(*keys))
        assert Memo(descriptor).untold == untold(*keys)


def test_what_was_being_written_at_the_death_leaves_what_was_there_before(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of the calls that a write is made of."""
    pwrite = os.pwrite
    Memo(descriptor).write(untold("first"))
    for calls in range(3):
        left = [calls]

        def dies(handle: int, data: bytes, at: int, left: list[int] = left) -> int:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return pwrite(handle, data, at)

        memo = Memo(descriptor)
        monkeypatch.setattr(os, "pwrite", dies)
        with pytest.raises(KeyboardInterrupt):
            memo.write(untold("second", "third"))
        assert Memo(descriptor).untold == untold("first")
