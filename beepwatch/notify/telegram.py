"""Telegram: the clip as a voice message with the words under it, to one chat."""

import warnings
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from telegram import Bot, InputFile, Message
from telegram.constants import FileSizeLimit, MessageLimit
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    NetworkError,
    TelegramError,
)
from telegram.error import RetryAfter as FloodControl
from telegram.request import HTTPXRequest
from telegram.warnings import PTBDeprecationWarning

from beepwatch.notify.channels import (
    CannotEdit,
    NotSent,
    Outgoing,
    Refused,
    RetryAfter,
    Sound,
    Unreachable,
)
from beepwatch.secrecy import Secret

_log = structlog.get_logger()

#: What the server says when it is the chat that is wrong, and not the kind of message.
_NO_SUCH_CHAT = ("chat not found", "chat_id is empty", "peer_id_invalid", "user not found")
_NO_JSON = "Parsing the server response"
_LONGEST_ANSWER = 200  # characters of a page that end up in the log
#: Kinds that a chat's owner can forbid one by one, as they appear in the server's words.
_KIND_WORDS = ("voice", "audio", "document", "media", "music", "file")


def redact(text: str, secret: Secret) -> str:
    """The text without the secret: httpx and the server's own words repeat the URL it sits in."""
    revealed = secret.reveal()
    return text.replace(revealed, "[token]") if revealed else text


def open_bot(
    token: Secret,
    base_url: str,
    *,
    connect_s: float = 10.0,
    answer_s: float = 20.0,
    upload_s: float = 60.0,
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
        connection_pool_size=2,
        connect_timeout=connect_s,
        read_timeout=answer_s,
        write_timeout=answer_s,
        media_write_timeout=upload_s,
        pool_timeout=answer_s,
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

    def __init__(
        self,
        token: Secret,
        chat_id: int,
        base_url: str = "https://api.telegram.org/bot",
        *,
        connect_s: float = 10.0,
        answer_s: float = 20.0,
        upload_s: float = 60.0,
    ) -> None:
        self.name = f"telegram:{chat_id}"
        self.fallbacks = 0  # kinds of message that were refused while a later one may be taken
        self._chat_id = chat_id
        self._token = token
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
        """Send once, by the best kind that the chat takes."""
        try:
            return await self._send(message)
        except ChatMigrated as error:
            _log.warning("chat_moved", channel=self.name, new_chat_id=error.new_chat_id)
            self._chat_id = error.new_chat_id
            raise Unreachable(
                f"the chat has become {error.new_chat_id}; set notify.telegram.chat_ids to it"
            ) from None
        except TelegramError as error:
            raise self._explained(error) from None

    async def edit(self, reference: str | None, message: Outgoing) -> None:
        """Bring caption or text up to date; one that says the same already is done."""
        kind, _, message_id = (reference or "").partition(":")
        if not message_id.isdecimal():
            raise CannotEdit(f"{reference!r} names no message")
        try:
            if kind == "text":
                await self._bot.edit_message_text(
                    _short(message.text, MessageLimit.MAX_TEXT_LENGTH),
                    chat_id=self._chat_id,
                    message_id=int(message_id),
                )
            else:
                await self._bot.edit_message_caption(
                    chat_id=self._chat_id,
                    message_id=int(message_id),
                    caption=_short(message.text, MessageLimit.CAPTION_LENGTH),
                )
        except BadRequest as error:
            if "not modified" not in error.message.lower():
                raise CannotEdit(self._redacted(error)) from None
        except TelegramError as error:
            raise self._explained(error) from None

    async def _send(self, message: Outgoing) -> str:
        for kind, send in self._kinds(message):
            try:
                sent = await send()
            except TelegramError as error:
                if not _refuses_kind(error):
                    raise
                self.fallbacks += 1
                _log.warning("kind_refused", channel=self.name, kind=kind, error=error.message)
            else:
                return f"{kind}:{sent.message_id}"
        sent = await self._bot.send_message(
            self._chat_id, _short(message.text, MessageLimit.MAX_TEXT_LENGTH)
        )
        return f"text:{sent.message_id}"

    def _kinds(self, message: Outgoing) -> list[tuple[str, Callable[[], Awaitable[Message]]]]:
        """Ways to send the sound, best first. Telegram plays mp3, and takes a WAV as a file."""
        sound = message.sound
        if sound is None or len(sound.content) > FileSizeLimit.FILESIZE_UPLOAD:
            return []
        bot, chat_id = self._bot, self._chat_id
        caption = _short(message.text, MessageLimit.CAPTION_LENGTH)
        length_s = round(sound.duration_s) if sound.duration_s is not None else None
        file = InputFile(sound.content, filename=_file_name(message, sound))
        as_document = (
            "document",
            lambda: bot.send_document(chat_id, document=file, caption=caption),
        )
        if sound.suffix != ".mp3":
            return [as_document]
        return [
            ("voice", lambda: bot.send_voice(chat_id, file, duration=length_s, caption=caption)),
            ("audio", lambda: bot.send_audio(chat_id, file, duration=length_s, caption=caption)),
            as_document,
        ]

    def _explained(self, error: TelegramError) -> NotSent:
        """What the server's answer means for the message."""
        said = self._redacted(error)
        if isinstance(error, FloodControl):
            wait = error.retry_after
            return RetryAfter(wait.total_seconds() if isinstance(wait, timedelta) else float(wait))
        if _NO_JSON in said:
            # A captive portal or a proxy answers with a page and any code: not Telegram's word.
            return Unreachable(_short(said, _LONGEST_ANSWER))
        if isinstance(error, InvalidToken):
            return Refused(f"{_WRONG_TOKEN} It said: {said}.")
        if isinstance(error, Forbidden):
            return Refused(
                f"chat {self._chat_id} does not let the bot write: {said}. "
                "Unblock the bot, or write to it first; then run `beepwatch telegram test`."
            )
        if isinstance(error, BadRequest):
            return Refused(
                f"Telegram refused the message to chat {self._chat_id}: {said}. "
                "Check notify.telegram.chat_ids, or run `beepwatch telegram pair`."
            )
        return Unreachable(said)

    def _redacted(self, error: TelegramError) -> str:
        return redact(error.message, self._token)


_WRONG_TOKEN = (
    "Telegram does not know this bot token. Copy it again from @BotFather and run "  # noqa: S105
    "`beepwatch telegram pair`."
)


def _refuses_kind(error: TelegramError) -> bool:
    """Whether the answer is about voice, audio or document, so that the next kind may be taken."""
    said = error.message.lower()
    if isinstance(error, BadRequest):
        return not any(words in said for words in _NO_SUCH_CHAT)
    if isinstance(error, Forbidden):
        return any(word in said for word in _KIND_WORDS)
    return isinstance(error, NetworkError) and "too large" in said


def _short(text: str, most_characters: int) -> str:
    return text if len(text) <= most_characters else text[: most_characters - 1] + "…"


def _file_name(message: Outgoing, sound: Sound) -> str:
    if sound.path is not None:
        return sound.path.name
    return f"beepwatch-{message.alert.id or 0}{sound.suffix}"
