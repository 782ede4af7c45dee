"""The bot's ear: a configured chat that asks gets an answer, strangers are counted and ignored."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog
from telegram import Chat, Message, Update
from telegram.error import Conflict, TelegramError

from beepwatch.clock import Clock
from beepwatch.errors import StoreError
from beepwatch.notify.telegram import open_bot
from beepwatch.secrecy import Secret

_log = structlog.get_logger()
_KINDS = ["message", "channel_post"]


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Every wait of the door; tests make them short."""

    poll_s: float = 50.0  # the server holds its answer until something comes
    pause_s: float = 1.0  # between two questions, so that a flood of messages is no flood of ours
    again_s: float = 300.0  # after a failure; the alerts' own lane says what is wrong
    elsewhere_s: float = 600.0  # another program reads: `telegram pair` does, for five minutes
    strangers_every_s: float = 3_600.0  # at most one line about strangers in this time


class Door:
    """Reads what people write to the bot. Whatever goes wrong here never touches the alerts.

    `answer` makes what a configured chat is told. `run` ends when it is cancelled.
    """

    def __init__(
        self,
        token: Secret,
        base_url: str,
        chat_ids: Sequence[int],
        *,
        clock: Clock,
        answer: Callable[[], str],
        hours: Hours | None = None,
    ) -> None:
        self._bot = open_bot(token, base_url)
        self._chat_ids = frozenset(chat_ids)
        self._clock = clock
        self._answer = answer
        self._hours = hours or Hours()
        self._offset = 0
        self._elsewhere = False
        self._answered = self._strangers = 0
        self._strangers_logged = 0
        self._last_stranger: int | None = None
        self._logged_s = float("-inf")

    @property
    def counts(self) -> dict[str, int]:
        """Questions answered and strangers' messages ignored."""
        return {"answered": self._answered, "strangers": self._strangers}

    async def run(self) -> None:
        """Until cancelled."""
        await self._bot.request.initialize()
        try:
            while True:
                wait_s = await self._turn()
                self._log_strangers()
                await asyncio.sleep(wait_s)
        finally:
            await self._bot.request.shutdown()

    async def _turn(self) -> float:
        """One question to the server and the answers to people; seconds until the next."""
        hours = self._hours
        try:
            async with asyncio.timeout(hours.poll_s + 60):
                for chat_id in self._asking(await self._updates()):
                    await self._bot.send_message(chat_id, self._answer())
                    self._answered += 1
        except Conflict:
            if not self._elsewhere:
                _log.info("bot_read_elsewhere", again_in_s=hours.elsewhere_s)
            self._elsewhere = True  # said once: two boxes may share a bot for good
            return hours.elsewhere_s
        except (TelegramError, TimeoutError, StoreError) as error:
            _log.debug("bot_not_read", error_type=type(error).__name__)
            return hours.again_s
        except Exception as error:  # noqa: BLE001 - a stranger's message must end nothing
            # The type only: the text is not known to be free of secrets.
            _log.error("bot_bug", error_type=type(error).__name__)
            return hours.again_s
        return hours.pause_s

    async def _updates(self) -> Sequence[Update]:
        updates = await self._bot.get_updates(
            offset=self._offset, timeout=round(self._hours.poll_s), allowed_updates=_KINDS
        )
        if updates:  # not seen again, whatever becomes of them here
            self._offset = updates[-1].update_id + 1
        return updates

    def _asking(self, updates: Sequence[Update]) -> list[int]:
        """The configured chats that ask something, each once; strangers are counted."""
        asking: dict[int, None] = {}
        for update in updates:
            message = update.effective_message
            if message is None:
                continue
            if message.chat_id not in self._chat_ids:
                self._strangers += 1
                self._last_stranger = message.chat_id
            elif _is_question(message):
                asking[message.chat_id] = None
        return list(asking)

    def _log_strangers(self) -> None:
        """One line for all that came since the last one, and seldom."""
        fresh = self._strangers - self._strangers_logged
        if not fresh or self._clock.mono_s() - self._logged_s < self._hours.strangers_every_s:
            return
        _log.warning("strangers_ignored", messages=fresh, last_chat_id=self._last_stranger)
        self._strangers_logged = self._strangers
        self._logged_s = self._clock.mono_s()


def _is_question(message: Message) -> bool:
    """Anything in a private chat; in a group or channel only commands, people talk there."""
    return message.chat.type == Chat.PRIVATE or (message.text or "").startswith("/")
