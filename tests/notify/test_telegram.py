"""The real client against the stand-in: what is sent, and what each answer means."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
import pytest_asyncio

from beepwatch.notify.channels import (
    CannotEdit,
    Outgoing,
    Refused,
    RetryAfter,
    Shut,
    Sound,
    Unreachable,
)
from beepwatch.notify.network import redact
from beepwatch.notify.telegram import TelegramChannel
from beepwatch.secrecy import Secret
from tests import bot_api
from tests.bot_api import TOKEN, BotApi, Fault
from tests.notify.laundry import heard

pytestmark = pytest.mark.asyncio
CHAT = 123456
SOUND = Sound(content=b"ID3 mp3 of a beep\r\n--\r\n\0\xff", suffix=".mp3", duration_s=2.6)


def message(sound: Sound | None = SOUND, text: str = "beep · 5 pulses") -> Outgoing:
    return Outgoing(text=text, alert=heard(), sound=sound)


@pytest_asyncio.fixture
async def channel(api: BotApi) -> AsyncIterator[TelegramChannel]:
    opened = TelegramChannel(Secret(TOKEN), CHAT, api.base_url, answer_s=0.5, upload_s=0.5)
    await opened.open()
    yield opened
    await opened.close()


async def test_the_clip_goes_as_a_voice_message_with_its_words(
    api: BotApi, channel: TelegramChannel
) -> None:
    reference = await channel.send(message())
    (request,) = api.requests
    assert request.method == "sendVoice"
    assert request.fields["chat_id"] == str(CHAT)
    assert request.fields["caption"] == "beep · 5 pulses"
    assert request.fields["duration"] == "3"
    assert request.file == SOUND.content
    assert next(iter(request.file_names.values())).endswith(".mp3")
    assert reference == "voice:100"


async def test_nothing_of_a_message_that_was_sent_is_left(api: BotApi) -> None:
    """Although the client's objects refer to one another, and Python looks for such rings late."""
    channel = TelegramChannel(Secret(TOKEN), CHAT, api.base_url, collects=True)
    await channel.open()
    gc.collect()
    before = requests_in_memory()
    gc.disable()
    try:
        await channel.send(message())
        left = requests_in_memory() - before
    finally:
        gc.enable()
        await channel.close()
    assert left == 0


def requests_in_memory() -> int:
    """Not by `isinstance`: that asks every object, and some answer with a warning."""
    return sum(type(one) is httpx.Request for one in gc.get_objects())


@pytest.mark.parametrize(
    ("refusals", "kind"),
    [
        ({"sendVoice": bot_api.NO_VOICE}, "audio"),
        ({"sendVoice": bot_api.NO_VOICE, "sendAudio": bot_api.NO_AUDIO}, "document"),
        (
            {
                "sendVoice": bot_api.NO_VOICE,
                "sendAudio": bot_api.NO_AUDIO,
                "sendDocument": bot_api.NO_DOCUMENT,
            },
            "text",
        ),
        (
            {
                "sendVoice": bot_api.TOO_LARGE,
                "sendAudio": bot_api.TOO_LARGE,
                "sendDocument": bot_api.TOO_LARGE,
            },
            "text",
        ),
    ],
)
async def test_what_the_chat_forbids_goes_as_the_next_kind_with_the_words(
    api: BotApi, channel: TelegramChannel, refusals: dict[str, Fault], kind: str
) -> None:
    for method, fault in refusals.items():
        api.fail(method, fault)
    reference = await channel.send(message())
    (posted,) = api.messages
    assert (posted.kind, posted.text) == (kind, "beep · 5 pulses")
    assert posted.file == (None if kind == "text" else SOUND.content)
    assert reference == f"{kind}:100"
    assert channel.fallbacks == len(refusals)


async def test_a_wav_goes_as_a_document(api: BotApi, channel: TelegramChannel) -> None:
    await channel.send(message(Sound(content=b"RIFF", suffix=".wav")))
    assert [request.method for request in api.requests] == ["sendDocument"]
    assert list(api.requests[0].file_names.values()) == ["beepwatch-0.wav"]


async def test_an_alert_without_clip_is_text(api: BotApi, channel: TelegramChannel) -> None:
    assert await channel.send(message(None)) == "text:100"
    assert api.messages[0].text == "beep · 5 pulses"


async def test_a_clip_over_the_servers_limit_is_not_uploaded(
    api: BotApi, channel: TelegramChannel
) -> None:
    await channel.send(message(Sound(content=bytes(50_000_001), suffix=".mp3")))
    assert [request.method for request in api.requests] == ["sendMessage"]


async def test_words_are_cut_to_what_a_caption_holds(api: BotApi, channel: TelegramChannel) -> None:
    await channel.send(message(text="x" * 2_000))
    assert api.messages[0].text == "x" * 1_023 + "…"


@pytest.mark.parametrize(
    "fault",
    [
        bot_api.INTERNAL,
        bot_api.BAD_GATEWAY,
        bot_api.PORTAL,
        bot_api.RESET_BEFORE,
        bot_api.RESET_AFTER,
        Fault(status=200, body=b"<html>hello</html>", content_type="text/html"),
        Fault(status=409, body=b'{"ok": false, "description": "Conflict"}'),
        Fault(hang_s=3.0),
    ],
    ids=["500", "502", "portal", "reset before", "reset after", "page", "409", "hang"],
)
async def test_trouble_on_the_way_is_worth_another_try_and_no_other_kind(
    api: BotApi, channel: TelegramChannel, fault: Fault
) -> None:
    api.fail("sendVoice", fault)
    with pytest.raises(Unreachable) as caught:
        await channel.send(message())
    assert TOKEN not in str(caught.value)
    assert channel.fallbacks == 0
    assert await channel.send(message()) is not None


async def test_nobody_listening_is_worth_another_try() -> None:
    channel = TelegramChannel(Secret(TOKEN), CHAT, "http://127.0.0.1:9/bot")
    with pytest.raises(Unreachable, match=r"^Connection refused$"):
        await channel.send(message())
    await channel.close()


async def test_flood_control_names_its_wait(api: BotApi, channel: TelegramChannel) -> None:
    api.fail("sendVoice", bot_api.flood(17))
    with pytest.raises(RetryAfter) as caught:
        await channel.send(message())
    assert caught.value.after_s == 17


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (bot_api.UNAUTHORIZED, "does not know this bot token.*Unauthorized"),
        (bot_api.error(404, "Not Found"), "does not know this bot token"),
        (bot_api.BLOCKED, "chat 123456 does not let the bot write.*blocked by the user"),
        (bot_api.NO_CHAT, r"chat 123456: .*Chat not found.*notify\.telegram\.chat_ids"),
    ],
)
async def test_a_no_to_everything_says_what_to_do(
    api: BotApi, channel: TelegramChannel, fault: Fault, words: str
) -> None:
    api.fail("sendVoice", fault)
    with pytest.raises(Shut, match=words) as caught:
        await channel.send(message())
    assert TOKEN not in str(caught.value)
    assert len(api.requests) == 1


async def test_a_text_that_is_refused_is_refused(api: BotApi, channel: TelegramChannel) -> None:
    api.fail("sendMessage", bot_api.error(400, "Bad Request: message text is empty"))
    with pytest.raises(Refused, match="Message text is empty"):
        await channel.send(message(None))


async def test_an_empty_token_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="BotFather"):
        TelegramChannel(Secret(""), CHAT)


async def test_a_group_that_became_a_supergroup_is_followed(
    api: BotApi, channel: TelegramChannel
) -> None:
    text = "Bad Request: group chat was upgraded to a supergroup chat"
    api.fail("sendVoice", bot_api.error(400, text, migrate_to_chat_id=-100_777))
    with pytest.raises(Unreachable, match="-100777"):
        await channel.send(message())
    await channel.send(message())
    assert api.messages[0].chat_id == -100_777


async def test_caption_and_text_are_edited(api: BotApi, channel: TelegramChannel) -> None:
    for sound in (SOUND, None):
        reference = await channel.send(message(sound))
        await channel.edit(reference, message(sound, "beep · 9 pulses"))
    assert [posted.text for posted in api.messages] == ["beep · 9 pulses"] * 2
    edits = [r.method for r in api.requests if r.method.startswith("edit")]
    assert edits == ["editMessageCaption", "editMessageText"]


async def test_an_edit_that_changes_nothing_is_done(api: BotApi, channel: TelegramChannel) -> None:
    reference = await channel.send(message())
    await channel.edit(reference, message())
    assert api.messages[0].edits == []
    assert len(api.calls("editMessageCaption")) == 1


async def test_a_message_that_is_gone_cannot_be_edited(channel: TelegramChannel) -> None:
    with pytest.raises(CannotEdit, match="Message to edit not found"):
        await channel.edit("voice:999", message())
    with pytest.raises(CannotEdit, match="names no message"):
        await channel.edit(None, message())


async def test_an_edit_meets_the_same_trouble_as_a_message(
    api: BotApi, channel: TelegramChannel
) -> None:
    reference = await channel.send(message())
    api.fail("editMessageCaption", bot_api.BAD_GATEWAY, bot_api.flood(5), bot_api.BLOCKED)
    for kind in (Unreachable, RetryAfter, Shut):
        with pytest.raises(kind):
            await channel.edit(reference, message(text="new"))


async def test_a_token_is_taken_out_of_any_text() -> None:
    assert redact(f"POST /bot{TOKEN}/getMe", Secret(TOKEN)) == "POST /bot[token]/getMe"
    assert redact("text", Secret("")) == "text"


async def test_a_picture_follows_the_words(api: BotApi, channel: TelegramChannel) -> None:
    told = msgspec.structs.replace(message(), picture=b"\x89PNG of a fan")
    assert await channel.send(told) == "voice:100"
    voice, photo = api.messages
    assert (voice.kind, photo.kind) == ("voice", "photo")
    assert photo.file == b"\x89PNG of a fan"


@pytest.mark.parametrize(
    "fault", [bot_api.BLOCKED, bot_api.flood(9), bot_api.INTERNAL, bot_api.RESET_AFTER]
)
async def test_a_picture_that_does_not_arrive_costs_no_second_alert(
    api: BotApi, channel: TelegramChannel, fault: Fault
) -> None:
    api.always("sendPhoto", fault)
    told = msgspec.structs.replace(message(), picture=b"\x89PNG")
    assert await channel.send(told) == "voice:100"
    assert len(api.calls("sendVoice")) == 1
    assert channel.fallbacks == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(500, Unreachable), (403, Shut), (400, Refused)], ids=["500", "403", "400"]
)
async def test_a_server_that_repeats_the_address_gives_away_no_token(
    api: BotApi, channel: TelegramChannel, status: int, kind: type[Exception]
) -> None:
    """What it says is written down, and told to the other channels."""
    api.always("sendMessage", bot_api.error(status, f"Cannot POST /bot{TOKEN}/sendMessage"))
    with pytest.raises(kind, match=r"/bot\[token\]/sendMessage") as caught:
        await channel.send(message(None))
    assert TOKEN.partition(":")[2] not in str(caught.value)


async def test_what_was_given_up_is_not_brought_by_the_kernel_later() -> None:
    """As after a wifi that was gone for a minute: the request has left the program, and waits."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least that there is
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/bot"
        given_up = TelegramChannel(Secret(TOKEN), CHAT, base_url, answer_s=0.3)
        await given_up.open()
        with pytest.raises(Unreachable) as caught:
            await given_up.send(message(None, "§" * 2_000))
        await given_up.close()
        connection, _ = listener.accept()
        with connection:
            came = await asyncio.to_thread(all_that_comes, connection)
    assert caught.value.in_doubt
    assert came.count(b"%C2%A7") < 2_000


def all_that_comes(connection: socket.socket) -> bytes:
    """Until the other end has closed it, in whichever way."""
    came = b""
    connection.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(4_096):
            came += part
    return came


async def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(20)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        base_url = "http://telegram.invalid/bot"
        channel = TelegramChannel(Secret(TOKEN), CHAT, base_url, answer_s=0.3)
        await channel.open()
        with pytest.raises(Unreachable):
            await channel.send(message(None))
        await channel.close()
        connection, _ = proxy.accept()
        with connection:
            came = await asyncio.to_thread(all_that_comes, connection)
    assert came.startswith(b"POST http://telegram.invalid/bot")
