"""A stand-in of the Bot API that fails in every way it knows, and searches what it is sent."""

import random
import threading
from collections import Counter
from collections.abc import Mapping

from benchmarks.soak import ForgetfulApi
from tests.bot_api import (
    BAD_GATEWAY,
    BLOCKED,
    INTERNAL,
    RESET_AFTER,
    RESET_BEFORE,
    UNAUTHORIZED,
    flood,
)
from tests.bot_api import Fault as Answer
from tests.bot_http import Handler, Request
from tests.security.canary import Search

_GOOD_ANSWERS = 48  # of a deck
ANSWERS = {  # the fault, and how often it is in a deck: who is refused asks again after minutes
    "500": (INTERNAL, 6),
    "HTML 502": (BAD_GATEWAY, 6),
    "429": (flood(2), 6),
    "reset before": (RESET_BEFORE, 6),
    "reset after": (RESET_AFTER, 6),
    "401": (UNAUTHORIZED, 1),
    "403": (BLOCKED, 1),
    "hangs": (Answer(hang_s=30.0), 2),
}


class Deck:
    """Names that are drawn in an order of chance, each so often before all are shuffled again."""

    def __init__(self, times: Mapping[str, int], chance: random.Random) -> None:
        self._whole = [name for name, count in times.items() for _ in range(count)]
        self._chance = chance
        self._left: list[str] = []

    def draw(self) -> str:
        """The next name."""
        if not self._left:
            self._left = list(self._whole)
            self._chance.shuffle(self._left)
        return self._left.pop()


class Searched(Handler):
    """The token belongs into the path of a request, before the method, and nowhere else."""

    def parse_request(self) -> bool:
        """As ever, with a look at the line and the headers."""
        whole = super().parse_request()
        api = self.server.api
        if whole and isinstance(api, FaultyApi):
            _, _, method = self.path.removeprefix("/bot").partition("/")
            api.search.look("wire: headers", f"{method}\r\n{self.headers}".encode())
        return whole


class FaultyApi(ForgetfulApi):
    """Fails in every way it knows, in an order that the seed gives; searches what it is sent."""

    def __init__(self, search: Search, chance: random.Random) -> None:
        super().__init__()
        self.token = search.canary.token
        self.search = search
        self.given: Counter[str] = Counter()  # faults
        self.with_token = 0
        faults = {name: times for name, (_, times) in ANSWERS.items()}
        self._deck = Deck({**faults, "": _GOOD_ANSWERS}, chance)
        self._dealing = threading.Lock()
        self._server.RequestHandlerClass = Searched

    @property
    def unread(self) -> int:
        """Messages to the bot."""
        return len(self._updates)

    def fault_for(self, method: str) -> Answer | None:
        """The next of the deck."""
        with self._dealing:
            name = self._deck.draw()
            if not name:
                return None
            self.given[name] += 1
        return ANSWERS[name][0]

    def remember(self, request: Request) -> None:
        """Count it, and search what it carries."""
        super().remember(request)
        self.with_token += request.token == self.token
        words = [*request.fields, *request.fields.values(), *request.files]
        words += request.file_names.values()
        self.search.look("wire: bodies", "\n".join(words).encode(), request.method)
        for content in request.files.values():
            self.search.look("wire: bodies", content, request.method)
