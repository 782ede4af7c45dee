"""`beepwatch telegram pair` and `beepwatch telegram test`: a chat found by itself, and tried."""

import array
import asyncio
import math
import secrets
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from telegram import Bot, Message
from telegram.error import Conflict, InvalidToken, TelegramError

from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.messages import Alert, AlertKind, Clip
from beepwatch.notify.captions import caption
from beepwatch.notify.channels import Moved, NotSent, Outgoing, Refused, Unreachable
from beepwatch.notify.clips import Encoder
from beepwatch.notify.network import is_a_page, redact, why
from beepwatch.notify.settings import with_telegram, write_again, write_private
from beepwatch.notify.telegram import TelegramChannel, open_bot
from beepwatch.secrecy import Secret, without_secrets
from beepwatch.sections import Telegram, expanded

_CODE_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that look like another
_RATE_HZ = 16_000
_TONE_HZ = 2_000
_PULSE_S = 0.2
_CONFLICTS = 3  # a daemon that reads the bot's messages steps back at the first
_AFTER_CONFLICT_S = 0.5
_AMPLITUDE = 8_192  # a quarter of full scale


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """What `pair` found and wrote."""

    bot_name: str
    chat_id: int
    config_file: Path
    token_file: Path


def pair(
    telegram: Telegram,
    *,
    config_file: Path,
    token: Secret | None,
    ask: Callable[[], str],
    say: Callable[[str], None],
    within_s: float = 300.0,
    poll_s: float = 20.0,
) -> Paired:
    """Find the chat of the first person who sends the code, and put it into the configuration.

    `ask` is called for the token when there is none yet; `say` gets lines for a person. Token file
    and configuration file are written with mode 0600, and only once the chat is known. Raises
    ConfigurationError for a wrong token or a file that cannot be changed, BeepwatchError when the
    network or the person does not answer in time.
    """
    if token is None:
        token = Secret(ask().strip())
    settings = _read(config_file)
    named = telegram.token_file or str(config_file.parent / "telegram-token")
    token_file = expanded("notify.telegram.token_file", named).absolute()
    code = "".join(secrets.choice(_CODE_LETTERS) for _ in range(8))
    name, chat_id = asyncio.run(
        _find_chat(token, telegram.base_url, code, say, within_s=within_s, poll_s=poll_s)
    )
    chat_ids = list(dict.fromkeys((*telegram.chat_ids, chat_id)))
    changed = with_telegram(settings, chat_ids, token_file)
    write_private(token_file, token.reveal() + "\n")
    write_again(config_file, changed)
    say(f"Paired with chat {chat_id}. Wrote {config_file}, and {token_file}, readable by you only.")
    return Paired(bot_name=name, chat_id=chat_id, config_file=config_file, token_file=token_file)


def send_test(
    telegram: Telegram,
    *,
    token: Secret | None,
    room: str,
    now: datetime,
    say: Callable[[str], None],
) -> None:
    """Send a message with a short beep to every configured chat.

    Raises ConfigurationError when token or chats are missing, BeepwatchError when a chat did not
    get it; the other chats do.
    """
    if token is None or not telegram.chat_ids:
        missing = "bot token" if token is None else "chat in notify.telegram.chat_ids"
        raise ConfigurationError(f"there is no {missing} yet. Run `beepwatch telegram pair`.")
    failures = asyncio.run(_send_to_all(telegram, token, room, now, say))
    if failures:
        told = (f"{_named(chats)}: {text}" for text, chats in failures.items())
        raise BeepwatchError("; ".join(told))


def _named(chat_ids: list[int]) -> str:
    return f"chat{'s' * (len(chat_ids) > 1)} {', '.join(map(str, chat_ids))}"


async def bot_name(token: Secret, base_url: str) -> str:
    """The name of the token's bot, as Telegram knows it: token and network are well.

    Raises ConfigurationError for a wrong token, BeepwatchError when nobody answers.
    """
    bot = _open(token, base_url)
    try:
        await bot.request.initialize()
        return (await bot.get_me()).username or ""
    except TelegramError as error:
        raise _explained(error, token, base_url) from None
    finally:
        await bot.request.shutdown()


def _open(token: Secret, base_url: str) -> Bot:
    try:
        return open_bot(token, base_url)
    except Refused as error:
        raise ConfigurationError(str(error)) from None


async def _find_chat(
    token: Secret,
    base_url: str,
    code: str,
    say: Callable[[str], None],
    *,
    within_s: float,
    poll_s: float,
) -> tuple[str, int]:
    bot = _open(token, base_url)
    try:
        async with asyncio.timeout(within_s):
            await bot.request.initialize()
            name = (await bot.get_me()).username or ""
            say(f"Open https://t.me/{name}?start={code} and press Start,")
            say(f"or send {code} to @{name} from the chat that shall get the alerts.")
            say(f"Waiting for it, {within_s:g} s at most; ^C ends it.")
            message = await _first_with(bot, code, poll_s)
            await bot.send_message(message.chat_id, "Paired: beepwatch will tell you here.")
    except TimeoutError:
        raise BeepwatchError(
            f"nobody sent the code within {within_s:g} s. Run `beepwatch telegram pair` again."
        ) from None
    except TelegramError as error:
        raise _explained(error, token, base_url) from None
    finally:
        await bot.request.shutdown()
    return name, message.chat_id


async def _first_with(bot: Bot, code: str, poll_s: float) -> Message:
    """The first message that holds the code; what others write is passed over."""
    offset = 0
    readers = 0
    while True:
        try:
            updates = await bot.get_updates(
                offset=offset, timeout=round(poll_s), allowed_updates=["message", "channel_post"]
            )
        except Conflict:
            readers += 1
            if readers == _CONFLICTS:
                raise
            await asyncio.sleep(_AFTER_CONFLICT_S)
            continue
        for update in updates:
            offset = update.update_id + 1
            message = update.effective_message
            if message is not None and code in (message.text or "").lower():
                # Asking on from here tells the server that it was read.
                await bot.get_updates(offset=offset, timeout=0)
                return message


def _explained(error: TelegramError, token: Secret, base_url: str) -> BeepwatchError:
    said = redact(error.message, token)
    if is_a_page(error):
        return _no_answer(why(error, token), base_url)
    if isinstance(error, InvalidToken):
        return ConfigurationError(
            f"Telegram does not know this bot token ({said}). Copy it again from @BotFather."
        )
    if isinstance(error, Conflict):
        return BeepwatchError(
            f"another program reads this bot's messages ({said}). Stop it, or make another bot."
        )
    return _no_answer(why(error, token), base_url)


def _no_answer(reason: str, base_url: str) -> BeepwatchError:
    return BeepwatchError(
        f"Telegram does not answer at {without_secrets(base_url)}: {reason}. "
        "Check the network and notify.telegram.base_url."
    )


async def _send_to_all(
    telegram: Telegram, token: Secret, room: str, now: datetime, say: Callable[[str], None]
) -> dict[str, list[int]]:
    """The chats that did not get it, by the reason."""
    alert = Alert(
        kind=AlertKind.STARTED,
        text="beepwatch test: this is how an alert arrives",
        created_at=now,
        due_at=now,
        dedupe_key="test",
    )
    sound = await asyncio.to_thread(Encoder().encode, _two_pulses(now))
    message = Outgoing(text=caption(alert, (), room), alert=alert, sound=sound)
    failures: dict[str, list[int]] = {}
    for chat_id in telegram.chat_ids:
        try:
            channel = TelegramChannel(token, chat_id, telegram.base_url)
        except Refused as error:
            raise ConfigurationError(str(error)) from None
        try:
            await channel.open()
            reference = await channel.send(message)
            say(f"Chat {chat_id} has got it as {(reference or '').partition(':')[0]}.")
        except NotSent as error:
            failures.setdefault(_as_told(error, telegram.base_url), []).append(chat_id)
        finally:
            await channel.close()
    return failures


def _as_told(error: NotSent, base_url: str) -> str:
    if isinstance(error, Unreachable) and not isinstance(error, Moved):
        return str(_no_answer(str(error), base_url))
    return str(error)


def _two_pulses(now: datetime) -> Clip:
    step = 2 * math.pi * _TONE_HZ / _RATE_HZ
    length = round(_PULSE_S * _RATE_HZ)
    pulse = array.array("h", (round(_AMPLITUDE * math.sin(step * i)) for i in range(length)))
    silence = array.array("h", bytes(2 * length))
    pcm = (silence + pulse + silence + pulse + silence).tobytes()
    return Clip(pcm=pcm, rate_hz=_RATE_HZ, started_at=now)


def _read(config_file: Path) -> str:
    try:
        text = config_file.read_text(encoding="utf-8-sig")
        tomllib.loads(text)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or no TOML
        raise ConfigurationError(
            f"{config_file} cannot be read: {error}. Mend it first, or give another --config."
        ) from None
    return text
