"""The bot's door: configured chats are let in to the desk, strangers are counted and ignored."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
import structlog
from telegram import BotCommand, BotCommandScopeChat, CallbackQuery, Chat, Message, Update
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)

from beepwatch.clock import Clock
from beepwatch.notify.channels import Sound
from beepwatch.notify.commands import DESCRIPTIONS
from beepwatch.notify.posting import Parcel, post
from beepwatch.notify.telegram import open_bot
from beepwatch.secrecy import Secret

_log = structlog.get_logger()
_KINDS = ["message", "channel_post", "callback_query"]
_ERRANDS = 16  # at once; what is asked beyond that is ignored
_ERRAND_WITHIN_S = 180.0  # 30 s of sound over a slow line; a server may drip for ever
_CONNECTIONS = 4  # a long poll, a slow upload, and what is quick
_LONGEST_NOTICE = 200  # characters, of the answer to a tap
_COMMAND = re.compile(r"(/[^\s@]*)(?:@(\S*))?")  # and the bot that it is for


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Every wait of the door; tests make them short."""

    poll_s: float = 50.0  # the server holds its answer until something comes
    pause_s: float = 1.0  # between two questions, so that a flood of messages is no flood of ours
    soon_s: float = 2.0  # after a failure, then twice as long each time …
    again_s: float = 300.0  # … up to this; the alerts' own lane says what is wrong
    elsewhere_s: float = 600.0  # another program reads: `telegram pair` does, for five minutes
    strangers_every_s: float = 3_600.0  # at most one line about strangers in this time


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote in a configured chat."""

    chat_id: int
    text: str
    asked_at: datetime  # UTC, by the server's clock


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to it."""

    text: str
    sound: Sound | None = None


class Desk(Protocol):
    """Who knows the answers. Whatever is raised is logged, and nothing is answered."""

    async def answer(self, question: Question) -> Answer:
        """The answer; what changes something is done before the first wait."""
        ...

    def tapped(self, chat_id: int, data: str) -> str:
        """A button was tapped: do what it says, and a few words of it."""
        ...


class Door:
    """Reads what people write to the bot, and their taps. Whatever goes wrong here never touches
    the alerts. `run` ends when it is cancelled.

    The server hands out again what was not asked on from: what was read by a life that died before
    its next question is dealt with once more.
    """

    def __init__(
        self,
        token: Secret,
        base_url: str,
        chat_ids: Sequence[int],
        *,
        clock: Clock,
        desk: Desk,
        hours: Hours | None = None,
    ) -> None:
        self._bot = open_bot(token, base_url, connections=_CONNECTIONS)
        self._chat_ids = frozenset(chat_ids)
        self._clock = clock
        self._desk = desk
        self._hours = hours or Hours()
        self._offset = 0
        self._failures = 0  # in a row
        self._elsewhere = False
        self._name: str | None = None  # of the bot, once it is known
        self._unlisted = list(self._chat_ids)  # chats that have not got the list of commands
        self._errands: set[asyncio.Task[None]] = set()
        self._answered = self._taps = self._strangers = 0
        self._strangers_logged = 0
        self._last_stranger: int | None = None
        self._logged_s = float("-inf")

    @property
    def counts(self) -> dict[str, int]:
        """Questions answered, taps taken, and what strangers have sent in vain."""
        return {"answered": self._answered, "taps": self._taps, "strangers": self._strangers}

    async def run(self) -> None:
        """Until cancelled."""
        await self._bot.request.initialize()
        try:
            while True:
                wait_s = await self._turn()
                self._log_strangers()
                await asyncio.sleep(wait_s)
        finally:
            for errand in self._errands:
                errand.cancel()
            await asyncio.gather(*self._errands, return_exceptions=True)
            await self._bot.request.shutdown()

    async def _turn(self) -> float:
        """One question to the server, and errands for what came; seconds until the next."""
        hours = self._hours
        try:
            async with asyncio.timeout(hours.poll_s + 60):
                await self._introduce()
                self._deal_with(await self._updates())
        except Conflict:
            if not self._elsewhere:
                _log.info("bot_read_elsewhere", again_in_s=hours.elsewhere_s)
            self._elsewhere = True  # said once: two boxes may share a bot for good
            return hours.elsewhere_s
        except (TelegramError, TimeoutError) as error:
            _log.debug("bot_not_read", error_type=type(error).__name__)
            if isinstance(error, InvalidToken | RetryAfter):
                return hours.again_s
            self._failures += 1
            return min(hours.again_s, hours.soon_s * 2.0 ** min(self._failures - 1, 30))
        except Exception as error:  # noqa: BLE001 - a stranger's message must end nothing
            # The type only: the text is not known to be free of secrets.
            _log.error("bot_bug", error_type=type(error).__name__)
            return hours.again_s
        self._failures = 0
        return hours.pause_s

    async def _introduce(self) -> None:
        """The bot's own name, and the list of commands for those who may use them; once."""
        if self._name is None:
            self._name = ((await self._bot.get_me()).username or "").lower()
        commands = [BotCommand(command.value, text) for command, text in DESCRIPTIONS.items()]
        while self._unlisted:
            try:
                scope = BotCommandScopeChat(self._unlisted[0])
                await self._bot.set_my_commands(commands, scope=scope)
            except (BadRequest, Forbidden) as error:  # of this chat: it works without a list too
                _log.debug("commands_not_listed", error_type=type(error).__name__)
            self._unlisted.pop(0)

    async def _updates(self) -> Sequence[Update]:
        updates = await self._bot.get_updates(
            offset=self._offset, timeout=round(self._hours.poll_s), allowed_updates=_KINDS
        )
        if updates:  # not seen again, whatever becomes of them here
            self._offset = updates[-1].update_id + 1
        return updates

    def _deal_with(self, updates: Sequence[Update]) -> None:
        """Each question of a chat once, however often it was asked meanwhile."""
        asked: set[tuple[int, str]] = set()
        for update in updates:
            if update.callback_query is not None:
                self._take(update.callback_query)
                continue
            message = update.effective_message
            if message is None or not self._may_ask(message.chat) or not self._is_asked(message):
                continue
            text = _without_name(message.text or "")
            if (message.chat_id, text) not in asked:
                asked.add((message.chat_id, text))
                question = Question(chat_id=message.chat_id, text=text, asked_at=message.date)
                self._send_for(self._answer(question))

    def _take(self, query: CallbackQuery) -> None:
        """Done at once; the words of it are on their way while the next one is dealt with."""
        if query.message is None or not self._may_ask(query.message.chat):
            return
        try:
            text = self._desk.tapped(query.message.chat.id, query.data or "")
        except Exception as error:  # noqa: BLE001 - the other taps of this batch are not lost
            _log.error("bot_bug", error_type=type(error).__name__)
            return
        self._taps += 1
        self._send_for(self._acknowledge(query.id, text))

    async def _acknowledge(self, query_id: str, text: str) -> None:
        await self._bot.answer_callback_query(query_id, text[:_LONGEST_NOTICE])

    async def _answer(self, question: Question) -> None:
        answer = await self._desk.answer(question)
        sound = answer.sound
        name = ""
        if sound is not None:
            name = sound.path.name if sound.path else f"beepwatch{sound.suffix}"
        parcel = Parcel(text=answer.text, sound=sound, file_name=name)
        await post(self._bot, question.chat_id, parcel, _note_refused)
        self._answered += 1

    def _send_for(self, errand: Coroutine[Any, Any, None]) -> None:
        if len(self._errands) >= _ERRANDS:
            errand.close()
            _log.debug("bot_overrun", errands=_ERRANDS)
            return
        task = asyncio.create_task(_run(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _may_ask(self, chat: Chat) -> bool:
        """Whether this chat is configured; strangers are counted."""
        if chat.id in self._chat_ids:
            return True
        self._strangers += 1
        self._last_stranger = chat.id
        return False

    def _is_asked(self, message: Message) -> bool:
        """Anything in a private chat; in a group or channel, where people and other bots talk,
        only commands that name no other bot.
        """
        if command := _COMMAND.match(message.text or ""):
            return command[2] is None or command[2].lower() == self._name
        return message.chat.type == Chat.PRIVATE

    def _log_strangers(self) -> None:
        """One line for all that came since the last one, and seldom."""
        fresh = self._strangers - self._strangers_logged
        if not fresh or self._clock.mono_s() - self._logged_s < self._hours.strangers_every_s:
            return
        _log.warning("strangers_ignored", messages=fresh, last_chat_id=self._last_stranger)
        self._strangers_logged = self._strangers
        self._logged_s = self._clock.mono_s()


async def _run(errand: Coroutine[Any, Any, None]) -> None:
    """What cannot be said is not tried again: whoever asked sees that, and asks again."""
    try:
        async with asyncio.timeout(_ERRAND_WITHIN_S):
            await errand
    except (TelegramError, TimeoutError) as error:
        _log.debug("bot_not_answered", error_type=type(error).__name__)
    except Exception as error:  # noqa: BLE001 - a question must end nothing
        _log.error("bot_bug", error_type=type(error).__name__)


def _note_refused(kind: str, error: TelegramError) -> None:
    _log.debug("kind_refused", kind=kind, error_type=type(error).__name__)


def _without_name(text: str) -> str:
    """ "/listen@laundry_bot 5" is "/listen 5"."""
    command = _COMMAND.match(text)
    return command[1] + text[command.end() :] if command else text
