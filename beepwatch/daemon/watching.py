"""Notices that somebody has taught, changed or removed a sound while the daemon runs."""

from beepwatch.classify.shelf import Shelf

EVERY_S = 1.0  # a look costs one stat


class ShelfWatch:
    """Compares the shelf with how it was when this was made, and then with the last look."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._seen = shelf.generation()
        self._looked_s = float("-inf")

    def changed(self, now_s: float) -> bool:
        """Whether it has changed since the last look; `now_s` is monotonic."""
        if now_s - self._looked_s < EVERY_S:
            return False
        self._looked_s = now_s
        before, self._seen = self._seen, self._shelf.generation()
        return self._seen != before
