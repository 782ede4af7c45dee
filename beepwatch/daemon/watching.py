"""Notices that somebody has taught, changed or removed something while the daemon runs."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beepwatch.classify.cabinet import Cabinet

EVERY_S = 1.0  # a look costs one stat


class ShelfWatch:
    """Compares taught sounds, or learned machines, with how they were when this was made, and then
    with the last look.
    """

    def __init__(self, shelf: "Cabinet") -> None:
        self._shelf = shelf
        self._seen = shelf.generation()
        self._looked_s = float("-inf")

    def changed(self, now_s: float) -> bool:
        """Whether it has changed since the last look; `now_s` is monotonic."""
        if now_s - self._looked_s < EVERY_S:
            return False
        self._looked_s = now_s
        now = self._shelf.generation()
        if now is None and not _can_be_read(self._shelf.directory.parent):
            return False  # the disk is gone, and nobody has taken anything away
        before, self._seen = self._seen, now
        return self._seen != before


def _can_be_read(state: Path) -> bool:
    """Whether there is a state; of a disk that is not there, an empty directory may be left."""
    try:
        return any(state.iterdir())
    except OSError:
        return False


class MachinesThere:
    """Whether there are learned machines in a state directory, damaged ones included."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._watch: ShelfWatch | None = None
        self._looked_s = float("-inf")
        self._are = False

    def look(self, now_s: float) -> bool:
        """As of the last look; `now_s` is monotonic."""
        if now_s - self._looked_s < EVERY_S:
            return self._are
        self._looked_s = now_s
        if self._watch is None and not self._is_folder():
            return False
        # Nobody who has none pays for the rest.
        from beepwatch.classify.machines import Machines

        shelf = Machines(self._state)
        first = self._watch is None
        self._watch = self._watch or ShelfWatch(shelf)
        if first or self._watch.changed(now_s):
            self._are = bool(shelf.digests())
        return self._are

    def _is_folder(self) -> bool:
        try:
            return (self._state / "machines").is_dir()
        except OSError:  # of a disk that is gone
            return False
