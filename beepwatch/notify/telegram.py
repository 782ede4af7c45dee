"""Telegram: the clip as a voice message with the words under it, to one chat."""

import asyncio
import gc
import socket
import struct
import warnings
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar
from urllib.request import getproxies

import structlog
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import MessageLimit
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, TelegramError
from telegram.error import RetryAfter as FloodControl
from telegram.request import HTTPXRequest
from telegram.warnings import PTBDeprecationWarning

from beepwatch.notify.channels import (
    CannotEdit,
    Moved,
    NotSent,
    Outgoing,
    Refused,
    RetryAfter,
    Shut,
    Sound,
    Unreachable,
)
from beepwatch.notify.network import is_a_page, redact, why
from beepwatch.notify.posting import NO_SUCH_CHAT, Parcel, post, short
from beepwatch.secrecy import Secret

_Answer = TypeVar("_Answer")
_log = structlog.get_logger()

#: What the server says when it is the chat that is wrong, or what the bot may do there: nothing is
#: taken until somebody mends that.
_ABOUT_THE_CHAT = (*NO_SUCH_CHAT, "chat", "right", "peer", "topic")
#: What httpx calls an end that came after the request had begun to leave, and before an answer.
_NO_ANSWER = ("ReadError", "ReadTimeout", "RemoteProtocolError", "WriteError", "WriteTimeout")
#: A connection that is closed is reset: what the kernel has not brought by then, over a wifi that
#: is gone just now, it does not bring any more. The message is sent again, and would come twice.
_NOTHING_LATER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
#: Where httpx is given options it does not look for these: they are more urgent.
_PROXIES = frozenset({"http", "https", "all"})
_TRIES_WITH_CLIP = 3  # that end without an answer; then the words go alone rather than nothing


def open_bot(
    token: Secret,
    base_url: str,
    *,
    connect_s: float = 10.0,
    answer_s: float = 20.0,
    upload_s: float = 60.0,
    connections: int = 2,
) -> Bot:
    """A client with its own limits on waiting; does not touch the network.

    Raises Refused when the token is empty or is none by its looks.
    """
    # Flood control warns of a change in the type of its own attribute when the server asks to
    # wait; `_explained` copes with both types.
    warnings.filterwarnings(
        "ignore", message=".*retry_after", category=PTBDeprecationWarning, append=False
    )
    request = HTTPXRequest(
        connection_pool_size=connections,
        connect_timeout=connect_s,
        read_timeout=answer_s,
        write_timeout=answer_s,
        media_write_timeout=upload_s,
        pool_timeout=answer_s,
        socket_options=None if getproxies().keys() & _PROXIES else [_NOTHING_LATER],
    )
    try:
        return Bot(token.reveal(), base_url=base_url, request=request, get_updates_request=request)
    except InvalidToken:
        raise Refused(_WRONG_TOKEN) from None


class TelegramChannel:
    """One chat. Each kind of message is tried until the chat takes one: voice, audio, document,
    text; the words go with every kind.
    """

    can_edit = True
    digest_characters = int(MessageLimit.MAX_TEXT_LENGTH)

    def __init__(
        self,
        token: Secret,
        chat_id: int,
        base_url: str = "https://api.telegram.org/bot",
        *,
        connect_s: float = 10.0,
        answer_s: float = 20.0,
        upload_s: float = 60.0,
        whole_s: float = 120.0,
        buttons: bool = True,
        collects: bool = False,
    ) -> None:
        """With `collects`, garbage goes after each request, which takes as long as there are
        objects that may be some.
        """
        self.name = f"telegram:{chat_id}"
        self.fallbacks = 0  # kinds of message, and pictures, that were not taken
        self._chat_id = chat_id
        self._buttons = buttons
        self._collects = collects
        self._token = token
        self._unanswered = 0  # tries in a row whose fate is unknown
        self._whole_s = whole_s  # of one message: the other limits begin anew with every byte
        self._bot = open_bot(
            token, base_url, connect_s=connect_s, answer_s=answer_s, upload_s=upload_s
        )

    async def open(self) -> None:
        """Make the HTTP client; the first request goes out with the first message."""
        await self._bot.request.initialize()

    async def close(self) -> None:
        """Close the kept-alive connection."""
        await self._bot.request.shutdown()

    async def send(self, message: Outgoing) -> str | None:
        """Send once, by the best kind that the chat takes.

        After a try whose fate is unknown the server has to answer a harmless question first: where
        only answers are lost, every further try would appear in the chat.
        """
        if self._unanswered:
            await self._ask()
        try:
            reference = await self._answered(self._send(message))
        except Unreachable as error:
            self._unanswered += error.in_doubt
            raise
        self._unanswered = 0
        if message.picture is not None:
            await self._send_picture(message.picture)
        return reference

    async def _send_picture(self, picture: bytes) -> None:
        """After the words, once: what becomes of it does not touch the alert, which was taken."""
        try:
            await self._answered(self._bot.send_photo(self._chat_id, picture))
        except NotSent as error:
            self.fallbacks += 1
            _log.warning("picture_not_sent", channel=self.name, error=str(error))

    async def edit(self, reference: str | None, message: Outgoing) -> None:
        """Bring caption or text up to date; one that says the same already is done."""
        kind, _, message_id = (reference or "").partition(":")
        if not message_id.isdecimal():
            raise CannotEdit(f"{reference!r} names no message")
        await self._answered(self._edit(kind, int(message_id), message))

    async def _ask(self) -> None:
        try:
            await self._answered(self._bot.get_me())
        except Unreachable as error:
            raise Unreachable(str(error)) from None  # no message was on its way

    async def _answered(self, call: Awaitable[_Answer]) -> _Answer:
        """What the server says, in time; NotSent's kinds otherwise."""
        try:
            async with asyncio.timeout(self._whole_s):
                return await call
        except ChatMigrated as error:
            _log.warning("chat_moved", channel=self.name, new_chat_id=error.new_chat_id)
            self._chat_id = error.new_chat_id
            raise Moved(
                f"the chat has become {error.new_chat_id}; set notify.telegram.chat_ids to it"
            ) from None
        except TelegramError as error:
            raise self._explained(error) from None
        except TimeoutError:
            text = f"no whole answer within {self._whole_s:g} s"
            raise Unreachable(text, in_doubt=True) from None
        finally:
            # httpx's request and response refer to each other and hold the clip. Python would
            # find that out hundreds of messages later, with their clips all over the heap.
            if self._collects:
                gc.collect()

    async def _edit(self, kind: str, message_id: int, message: Outgoing) -> None:
        text, markup = message.text, self._markup(message)
        try:
            if kind == "text":
                await self._bot.edit_message_text(
                    short(text, MessageLimit.MAX_TEXT_LENGTH),
                    chat_id=self._chat_id,
                    message_id=message_id,
                    reply_markup=markup,  # without, the buttons would go
                )
            else:
                await self._bot.edit_message_caption(
                    chat_id=self._chat_id,
                    message_id=message_id,
                    caption=short(text, MessageLimit.CAPTION_LENGTH),
                    reply_markup=markup,
                )
        except BadRequest as error:
            if "not modified" not in error.message.lower():
                raise CannotEdit(self._redacted(error)) from None

    async def _send(self, message: Outgoing) -> str:
        sound = message.sound
        if sound is not None and self._unanswered >= _TRIES_WITH_CLIP:
            _log.warning("clip_left_out", channel=self.name, size_bytes=len(sound.content))
            sound = None
        parcel = Parcel(
            text=message.text,
            sound=sound,
            file_name=_file_name(message, sound) if sound else "",
            markup=self._markup(message),
        )
        return await post(self._bot, self._chat_id, parcel, self._note_refused)

    def _note_refused(self, kind: str, error: TelegramError) -> None:
        self.fallbacks += 1
        _log.warning("kind_refused", channel=self.name, kind=kind, error=error.message)

    def _markup(self, message: Outgoing) -> InlineKeyboardMarkup | None:
        if not self._buttons or not message.buttons:
            return None
        return InlineKeyboardMarkup(
            [
                [InlineKeyboardButton(one.text, callback_data=one.data) for one in row]
                for row in message.buttons
            ]
        )

    def _explained(self, error: TelegramError) -> NotSent:
        """What the server's answer means for the message."""
        said = self._redacted(error)
        if isinstance(error, FloodControl):
            wait = error.retry_after
            return RetryAfter(wait.total_seconds() if isinstance(wait, timedelta) else float(wait))
        if is_a_page(error):
            return Unreachable(why(error, self._token))
        if isinstance(error, InvalidToken):
            return Shut(f"{_WRONG_TOKEN} It said: {said}.")
        if isinstance(error, Forbidden):
            return Shut(
                f"chat {self._chat_id} does not let the bot write: {said}. "
                "Unblock the bot, or write to it first; then run `beepwatch telegram test`."
            )
        if isinstance(error, BadRequest):
            about_the_chat = any(words in said.lower() for words in _ABOUT_THE_CHAT)
            kind = Shut if about_the_chat else Refused
            return kind(
                f"Telegram refused the message to chat {self._chat_id}: {said}. "
                "Check notify.telegram.chat_ids, or run `beepwatch telegram pair`."
            )
        in_doubt = type(error.__cause__).__name__ in _NO_ANSWER
        return Unreachable(why(error, self._token), in_doubt=in_doubt)

    def _redacted(self, error: TelegramError) -> str:
        return redact(error.message, self._token)


_WRONG_TOKEN = (
    "Telegram does not know this bot token. Copy it again from @BotFather and run "  # noqa: S105
    "`beepwatch telegram pair`."
)


def _file_name(message: Outgoing, sound: Sound) -> str:
    if sound.path is not None:
        return sound.path.name
    return f"beepwatch-{message.alert.id or 0}{sound.suffix}"
