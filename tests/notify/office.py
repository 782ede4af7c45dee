"""A state directory, a server and a dispatcher between them: what the dispatcher's tests need."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from beepwatch.clock import SystemClock
from beepwatch.messages import Clip, Fault
from beepwatch.notify.backoff import Waits
from beepwatch.notify.channels import Channel, Sound
from beepwatch.notify.clips import Encoder
from beepwatch.notify.dispatcher import Dispatcher
from beepwatch.notify.telegram import TelegramChannel
from beepwatch.secrecy import Secret
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows, notice_rows
from beepwatch.store.outbox import Outbox
from tests.bot_api import TOKEN, BotApi
from tests.notify.laundry import SHORT_WAITS, beep, heard, notice, tone

CHAT = 123456
TELEGRAM = f"telegram:{CHAT}"
NOW = SystemClock().utc()


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

    def telegram(self) -> TelegramChannel:
        return TelegramChannel(Secret(TOKEN), CHAT, self.api.base_url, answer_s=1.0)

    @asynccontextmanager
    async def open(
        self,
        *channels: Channel,
        waits: Waits = SHORT_WAITS,
        encode: Callable[[Clip], Sound] | None = None,
        finish_within_s: float = 2.0,
    ) -> AsyncIterator[Dispatcher]:
        self.dispatcher = Dispatcher(
            self.outbox,
            self.library,
            channels or (self.telegram(),),
            clock=SystemClock(),
            encode=encode or Encoder().encode,
            room="laundry room",
            waits=waits,
            report=self.reported.append,
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
            event=beep(), clip=tone(), alert=heard(key, NOW), channels=[TELEGRAM]
        )
        assert written.event_id is not None
        return written.event_id

    def say(self, key: str, channel: str = TELEGRAM) -> None:
        self.outbox.write(alert=notice(key, NOW), channels=[channel])

    def states(self) -> list[str]:
        told = [told for row in event_rows(self.database) for told in row.alerts]
        told += [told for row in notice_rows(self.database) for told in row.alerts]
        return [one.state.value for one in told]

    async def until(self, holds: Callable[[], bool], within_s: float = 5.0) -> None:
        async def look() -> None:
            while not holds():
                await asyncio.sleep(0.005)

        await asyncio.wait_for(look(), within_s)
