"""Who labels by the keyboard alone, and knows of every clip what it is."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tests.web.chromium import Page

_ARROWS = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End")
_SEEN = """
    [...document.querySelectorAll("#grid .card")].map((card) => [
      card.title.slice(0, card.title.lastIndexOf(" · ")),
      card.dataset.label ?? "",
      card.classList.contains("here"),
      card.offsetTop,
    ])
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A group as it lies on the screen."""

    paths: list[str]
    labels: list[str]
    here: int
    columns: int


class Person:
    """Takes the shortest way that a person who sees a group at a glance would take."""

    def __init__(self, page: Page, truth: Mapping[str, str], names: Sequence[str]) -> None:
        self.presses: Counter[str] = Counter()
        self._page = page
        self._truth = truth
        self._key_of = {name: str(number) for number, name in enumerate(names, start=1)}
        self._last = ""

    def label_everything(self) -> None:
        """Group after group, until no clip is left."""
        for _ in self.groups():
            pass

    def groups(self) -> Iterator[Seen]:
        """Label a group after the other; each as it was found."""
        while self._left():
            found = self.look()
            yield found
            self._label_group(found)

    def look(self) -> Seen:
        """What is on the screen."""
        cards = self._page.value(_SEEN)
        paths, labels, here, tops = zip(*cards, strict=True)
        return Seen(
            paths=list(paths),
            labels=list(labels),
            here=here.index(True),
            columns=tops.count(tops[0]),
        )

    def press(self, key: str) -> None:
        """A key, counted."""
        self.presses[key] += 1
        self._page.press(key)

    def _left(self) -> bool:
        return bool(self._page.value("document.querySelectorAll('nav button:not(.done)').length"))

    def _label_group(self, found: Seen) -> None:
        """The odd ones first, one by one; then all others at once."""
        truths = [self._truth[path] for path in found.paths]
        open_clips = [number for number, label in enumerate(found.labels) if not label]
        most = Counter(truths[number] for number in open_clips).most_common(1)[0][0]
        odd = [number for number in open_clips if truths[number] != most]
        for number in odd:
            self._go_to(number)
            self._say(truths[number])
        left = len(open_clips) - len(odd)
        if left == 1 or self._last != most:
            self._say(most)
            left -= 1
        if left:
            self.press("r")

    def _say(self, label: str) -> None:
        self.press(self._key_of[label])
        self._last = label

    def _go_to(self, number: int) -> None:
        seen = self.look()
        for key in _way(seen.here, number, len(seen.paths), seen.columns):
            self.press(key)


def _way(start: int, end: int, count: int, columns: int) -> list[str]:
    """The fewest keys from one card to another."""
    ways: dict[int, list[str]] = {start: []}
    waiting = deque([start])
    while end not in ways:
        here = waiting.popleft()
        down = min(here + columns, count - 1)
        up = here - columns if here >= columns else here
        places = (max(here - 1, 0), min(here + 1, count - 1), up, down, 0, count - 1)
        for key, place in zip(_ARROWS, places, strict=True):
            if place not in ways:
                ways[place] = [*ways[here], key]
                waiting.append(place)
    return ways[end]
