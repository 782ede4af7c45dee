"""A state directory, a server and a dispatcher between them: what the dispatcher's tests need."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from beepwatch.clock import Clock, SystemClock
from beepwatch.messages import Clip, Fault
from beepwatch.notify.backoff import Waits
from beepwatch.notify.channels import Channel, Outgoing, Sound
from beepwatch.notify.clips import Encoder
from beepwatch.notify.dispatcher import Dispatcher
from beepwatch.notify.telegram import TelegramChannel
from beepwatch.secrecy import Secret
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows, notice_rows
from beepwatch.store.outbox import Outbox
from tests.bot_api import TOKEN, BotApi
from tests.notify.laundry import SHORT_WAITS, at, beep, heard, notice, tone

CHAT = 123456
TELEGRAM = f"telegram:{CHAT}"
NOW = SystemClock().utc()

MP3 = Sound(content=b"ID3 a beep", suffix=".mp3", duration_s=1.0)


def as_mp3(_clip: Clip) -> Sound:
    """At once, so that only the sending takes time."""
    return MP3


class Office:
    """A state directory and what is needed to tell what is in it."""

    def __init__(self, directory: Path, api: BotApi) -> None:
        self.database = Database(directory, busy_timeout_s=0.05)
        self.outbox = Outbox(self.database)
        self.library = Library(self.database)
        self.api = api
        self.console = io.StringIO()
        self.reported: list[Fault] = []
        self.beats = 0
        self.dispatcher: Dispatcher

    def beat(self) -> None:
        self.beats += 1

    def telegram(
        self, base_url: str = "", chat_id: int = CHAT, **limits_s: float
    ) -> TelegramChannel:
        limits_s = {"answer_s": 1.0, **limits_s}
        url = base_url or self.api.base_url
        return TelegramChannel(
            Secret(TOKEN), chat_id, url, buttons=True, collects=False, **limits_s
        )

    @asynccontextmanager
    async def open(
        self,
        *channels: Channel,
        waits: Waits = SHORT_WAITS,
        encode: Callable[[Clip], Sound] | None = None,
        finish_within_s: float = 2.0,
        clock: Clock | None = None,
    ) -> AsyncIterator[Dispatcher]:
        self.dispatcher = Dispatcher(
            self.outbox,
            self.library,
            channels or (self.telegram(),),
            clock=clock or SystemClock(),
            encode=encode or Encoder().encode,
            room="laundry room",
            waits=waits,
            report=lambda _channel, fault: self.reported.append(fault),
            beat=self.beat,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(self.dispatcher.run(stop, finish_within_s))
        try:
            yield self.dispatcher
        finally:
            stop.set()
            await running

    def hear(self, key: str = "first") -> int:
        written = self.outbox.write(
            event=beep(), clip=tone(), alert=heard(key, SystemClock().utc()), channels=[TELEGRAM]
        )
        assert written.event_id is not None
        return written.event_id

    def say(self, key: str, channel: str = TELEGRAM) -> None:
        self.outbox.write(alert=notice(key, SystemClock().utc()), channels=[channel])

    def states(self) -> list[str]:
        told = [told for row in event_rows(self.database) for told in row.alerts]
        told += [told for row in notice_rows(self.database) for told in row.alerts]
        return [one.state.value for one in told]

    async def until(self, holds: Callable[[], bool], within_s: float = 30.0) -> None:
        async def look() -> None:
            while not holds():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(look(), within_s)


def hear(office: Office, count: int, channels: tuple[str, ...] = (TELEGRAM,)) -> list[str]:
    """Beeps a minute apart, just told; their times as the chat shows them."""
    for number in range(count):
        office.outbox.write(
            event=beep(60 * number, final=True),
            clip=tone(0.1),
            alert=heard(f"beep {number}", SystemClock().utc()),
            channels=channels,
        )
    return times(*range(count))


def times(*minutes: int) -> list[str]:
    """How a caption names these minutes after noon, in the machine's zone."""
    return [f"{at(60 * minute).astimezone():%H:%M:%S}" for minute in minutes]


def day_of(moment: datetime) -> str:
    """How captions and lists name a moment."""
    local = moment.astimezone()
    return f"{local:%a} {local.day} {local:%b %H:%M:%S}"


def arrived(api: BotApi, chat_id: int = CHAT) -> list[str]:
    """The time of every beep that the chat was told of, in order."""
    texts = [posted.text for posted in api.messages if posted.chat_id == chat_id]
    return re.findall(r"\d\d:\d\d:\d\d", "\n".join(texts))


class Rerouted:
    """One chat, behind one way to it after another."""

    name = TELEGRAM
    can_edit = True
    digest_characters = 4_096

    def __init__(self, *ways: TelegramChannel) -> None:
        self._ways = ways
        self.way = ways[0]

    async def open(self) -> None:
        for way in self._ways:
            await way.open()

    async def close(self) -> None:
        for way in self._ways:
            await way.close()

    async def send(self, message: Outgoing) -> str | None:
        return await self.way.send(message)

    async def edit(self, reference: str | None, message: Outgoing) -> None:
        await self.way.edit(reference, message)
