"""A box with two chats: a store that a test writes into as the classifier does, the real messenger,
and the stand-in of the Bot API.
"""

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from beepwatch.clock import SystemClock
from beepwatch.messages import Alert, AlertKind, AnyMessage, Event, Finish, Poke, Ready, Verdict
from beepwatch.store.database import Database
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.bot_api import BotApi, Posted
from tests.daemon.conversation import Conversation, messaging
from tests.daemon.stage import PATIENCE_S
from tests.notify.laundry import tone

OURS, ALSO_OURS, STRANGER = 7, 8, 666
CHANNELS = ("telegram:7", "telegram:8")


class Box:
    """A state directory, a messenger that may be replaced, and two chats."""

    def __init__(self, directory: Path, api: BotApi) -> None:
        self.api = api
        self.database = Database(directory)
        self.outbox = Outbox(self.database)
        self.child: Conversation | None = None
        self.said: list[AnyMessage] = []
        self._directory = directory
        self._keys = itertools.count()

    def start(self, *, commands: bool = True) -> None:
        """Another life of the messenger."""
        if self.child is not None:
            self.child.say(Finish(within_s=5.0))
            list(self.child.hear())
        self.child = messaging(self._directory, self.api, (OURS, ALSO_OURS), commands=commands)
        self.said = self.child.hear_until(Ready)

    def end(self) -> None:
        if self.child is not None:
            self.child.close()
        self.database.close()

    def beeps(self) -> int:
        """The classifier has heard something; the event's number."""
        now = SystemClock().utc()
        event = Event(
            label="beep",
            onset=now - timedelta(seconds=1),
            offset=now,
            pulses=3,
            peak_score=0.9,
            model_id="beep-1",
            final=True,
        )
        alert = Alert(
            kind=AlertKind.HEARD,
            text="beep",
            created_at=now,
            due_at=now,
            dedupe_key=f"{next(self._keys)} {now}",
        )
        written = self.outbox.write(event=event, clip=tone(), alert=alert, channels=CHANNELS)
        assert written.event_id is not None
        self.say(Poke())
        return written.event_id

    def is_unusual(self, machine: str) -> int:
        """The classifier has heard that for long enough; the event's number."""
        now = SystemClock().utc()
        event = Event(
            label=machine,
            onset=now - timedelta(minutes=1),
            offset=now,
            pulses=0,
            peak_score=1.7,
            model_id="0123456789ab",
        )
        alert = Alert(
            kind=AlertKind.UNUSUAL,
            text=f"the {machine} has sounded unusual for 1 min",
            created_at=now,
            due_at=now,
            dedupe_key=f"machine:{machine}:{now}",
        )
        written = self.outbox.write(event=event, alert=alert, channels=CHANNELS)
        assert written.event_id is not None
        self.say(Poke())
        return written.event_id

    def posted(self, chat_id: int = OURS, number: int = 1) -> Posted:
        """The so-manieth message in a chat."""

        def there() -> list[Posted]:
            return [posted for posted in self.api.messages if posted.chat_id == chat_id]

        self.api.wait_until(lambda: len(there()) >= number, f"message {number}", PATIENCE_S)
        return there()[number - 1]

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Until something is true of the server."""
        self.api.wait_until(true, what, PATIENCE_S)

    def shows(self, posted: Posted, *labels: str) -> None:
        """Until the buttons under a message begin so."""

        def does() -> bool:
            return len(posted.labels) == len(labels) and all(
                shown.startswith(label) for shown, label in zip(posted.labels, labels, strict=True)
            )

        self.until(does, f"{labels} under {posted}")

    def answer(self, text: str, chat_id: int = OURS, age_s: float = 0.0) -> Posted:
        """What the chat is answered to what it wrote so long ago."""
        before = sum(posted.chat_id == chat_id for posted in self.api.messages)
        date = SystemClock().utc().timestamp() - age_s
        self.api.write_to_bot(chat_id, text, date=date)
        return self.posted(chat_id, before + 1)

    def asks(self, kind: type[AnyMessage]) -> AnyMessage:
        """The next message of this kind that the messenger has for the supervisor."""
        assert self.child is not None
        return self.child.hear_until(kind)[-1]

    def say(self, message: AnyMessage) -> None:
        assert self.child is not None
        self.child.say(message)

    def states(self, event_id: int) -> list[str]:
        (row,) = [row for row in event_rows(self.database) if row.id == event_id]
        return [told.state.value for told in row.alerts]

    def verdict(self, event_id: int) -> Verdict | None:
        (row,) = [row for row in event_rows(self.database) if row.id == event_id]
        return row.verdict


def eventually(true: Callable[[], bool]) -> None:
    """Until something is true of the store."""
    clock = SystemClock()
    give_up_s = clock.mono_s() + PATIENCE_S
    while not true():
        assert clock.mono_s() < give_up_s, "waited in vain"
        threading.Event().wait(0.02)
