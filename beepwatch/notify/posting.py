"""One message to one chat, by the best kind that the chat takes: voice, audio, document, text."""

from collections.abc import Awaitable, Callable

import msgspec
from telegram import Bot, InlineKeyboardMarkup, InputFile, Message
from telegram.constants import FileSizeLimit, MessageLimit
from telegram.error import BadRequest, Forbidden, NetworkError, TelegramError

from beepwatch.notify.channels import Sound

#: What the server says when it is the chat that is wrong, and not the kind of message.
NO_SUCH_CHAT = ("chat not found", "chat_id is empty", "peer_id_invalid", "user not found")
#: Kinds that a chat's owner can forbid one by one, as they appear in the server's words.
_KIND_WORDS = ("voice", "audio", "document", "media", "music", "file")
#: … and what it says of buttons that it does not take.
_BUTTON_WORDS = ("button", "keyboard", "markup")

_Way = tuple[str, Callable[[], Awaitable[Message]]]


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent; the words go with every kind."""

    text: str
    sound: Sound | None = None
    file_name: str = ""
    markup: InlineKeyboardMarkup | None = None


async def post(
    bot: Bot, chat_id: int, parcel: Parcel, refused: Callable[[str, TelegramError], None]
) -> str:
    """Send it; what it became, as "voice:117". `refused` hears of each kind that was not taken.

    Raises TelegramError when it is not the kind that is wrong.
    """
    *others, (last_kind, last) = _ways(bot, chat_id, parcel)
    for kind, send in others:
        try:
            sent = await send()
        except TelegramError as error:
            if not _refuses_kind(kind, error):
                raise
            refused(kind, error)
        else:
            return f"{kind}:{sent.message_id}"
    sent = await last()
    return f"{last_kind}:{sent.message_id}"


def short(text: str, most_characters: int) -> str:
    """The text, cut off where it is too long."""
    return text if len(text) <= most_characters else text[: most_characters - 1] + "…"


def _ways(bot: Bot, chat_id: int, parcel: Parcel) -> list[_Way]:
    """Best first. No alert is lost for its buttons: the last way is the words alone."""
    text = short(parcel.text, MessageLimit.MAX_TEXT_LENGTH)
    ways = _ways_with_sound(bot, chat_id, parcel)
    if parcel.markup is not None:
        markup = parcel.markup
        ways.append(("text", lambda: bot.send_message(chat_id, text, reply_markup=markup)))
    return [*ways, ("text", lambda: bot.send_message(chat_id, text))]


def _ways_with_sound(bot: Bot, chat_id: int, parcel: Parcel) -> list[_Way]:
    """Telegram plays mp3, and takes a WAV as a file."""
    sound, markup = parcel.sound, parcel.markup
    if sound is None or len(sound.content) > FileSizeLimit.FILESIZE_UPLOAD:
        return []
    caption = short(parcel.text, MessageLimit.CAPTION_LENGTH)
    length_s = round(sound.duration_s) if sound.duration_s is not None else None
    file = InputFile(sound.content, filename=parcel.file_name)
    as_document = (
        "document",
        lambda: bot.send_document(chat_id, document=file, caption=caption, reply_markup=markup),
    )
    if sound.suffix != ".mp3":
        return [as_document]
    return [
        (
            "voice",
            lambda: bot.send_voice(
                chat_id, file, duration=length_s, caption=caption, reply_markup=markup
            ),
        ),
        (
            "audio",
            lambda: bot.send_audio(
                chat_id, file, duration=length_s, caption=caption, reply_markup=markup
            ),
        ),
        as_document,
    ]


def _refuses_kind(kind: str, error: TelegramError) -> bool:
    """Whether the answer is about this kind of message, so that the next kind may be taken."""
    said = error.message.lower()
    if kind == "text":
        return isinstance(error, BadRequest) and any(word in said for word in _BUTTON_WORDS)
    if isinstance(error, BadRequest):
        return not any(words in said for words in NO_SUCH_CHAT)
    if isinstance(error, Forbidden):
        return any(word in said for word in _KIND_WORDS)
    return isinstance(error, NetworkError) and "too large" in said
