"""Pairing and testing against the stand-in."""

import asyncio
import re
import stat
from pathlib import Path

import pytest

from beepwatch import config
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.notify.bot import Paired, bot_name, pair, send_test
from beepwatch.secrecy import Secret
from beepwatch.sections import Telegram
from tests import bot_api
from tests.bot_api import TOKEN, BotApi, Fault
from tests.notify.laundry import NOON

CHAT = 4242
NO_SUCH_PAGE = Fault(status=404, body=b"<html>Log in</html>", content_type="text/html")


class Person:
    """Reads what `pair` says and answers as told."""

    def __init__(self, api: BotApi) -> None:
        self.api = api
        self.lines: list[str] = []
        self.answers: list[tuple[int, str]] = [(CHAT, "/start {code}")]

    def say(self, line: str) -> None:
        self.lines.append(line)
        if match := re.search(r"\?start=(\w+)", line):
            for chat_id, text in self.answers:
                self.api.write_to_bot(chat_id, text.format(code=match[1]))

    def pair(self, config_file: Path, telegram: Telegram | None = None) -> Paired:
        return pair(
            telegram or Telegram(base_url=self.api.base_url),
            config_file=config_file,
            token=None,
            ask=lambda: f" {TOKEN}\n",
            say=self.say,
            within_s=2.0,
            poll_s=1.0,
        )


@pytest.fixture
def person(api: BotApi) -> Person:
    return Person(api)


def test_pairing_writes_a_configuration_that_the_daemon_can_use(
    person: Person, tmp_path: Path
) -> None:
    config_file = tmp_path / "config.toml"
    config_file.write_text("# mine\n[notify]\nroom = 'laundry'\n")
    paired = person.pair(config_file)
    assert (paired.chat_id, paired.bot_name) == (CHAT, "laundry_bot")
    loaded = config.load(config_file, environment={})
    assert loaded.config.notify.telegram.chat_ids == (CHAT,)
    token = config.telegram_token(loaded.config.notify.telegram, environment={})
    assert token is not None
    assert token.reveal() == TOKEN
    assert config_file.read_text().startswith("# mine\n")
    assert stat.S_IMODE(paired.token_file.stat().st_mode) == 0o600
    assert TOKEN not in "".join(person.lines)
    assert person.api.messages[0].chat_id == CHAT


def test_a_strangers_message_is_passed_over(person: Person, tmp_path: Path) -> None:
    person.answers = [(666, "hello"), (667, "/start wrong"), (CHAT, "{code}"), (668, "{code}")]
    assert person.pair(tmp_path / "new" / "config.toml").chat_id == CHAT


def test_another_chat_is_added_to_the_first(person: Person, tmp_path: Path) -> None:
    telegram = Telegram(
        base_url=person.api.base_url, chat_ids=(1, CHAT), token_file=str(tmp_path / "secret")
    )
    paired = person.pair(tmp_path / "config.toml", telegram)
    assert paired.token_file == tmp_path / "secret"
    text = (tmp_path / "config.toml").read_text()
    assert f"chat_ids = [1, {CHAT}]" in text


def test_a_wrong_token_is_named_and_nothing_is_written(person: Person, tmp_path: Path) -> None:
    person.api.fail("getMe", bot_api.UNAUTHORIZED)
    with pytest.raises(ConfigurationError, match=r"does not know this bot token.*BotFather"):
        person.pair(tmp_path / "config.toml")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_token_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not know this bot token"):
        pair(Telegram(), config_file=tmp_path / "c", token=Secret(""), ask=str, say=lambda _: None)


def test_nobody_answering_ends_in_the_time_that_was_said(person: Person, tmp_path: Path) -> None:
    person.answers = []
    with pytest.raises(BeepwatchError, match="nobody sent the code within 2 s"):
        person.pair(tmp_path / "config.toml")
    assert person.lines[-1] == "Waiting for it, 2 s at most; ^C ends it."


def test_no_network_is_named(person: Person, tmp_path: Path) -> None:
    telegram = Telegram(base_url="http://127.0.0.1:9/bot")
    with pytest.raises(BeepwatchError, match=r"does not answer at http://127\.0\.0\.1:9/bot"):
        person.pair(tmp_path / "config.toml", telegram)


def test_the_password_of_a_server_is_not_named(person: Person, tmp_path: Path) -> None:
    telegram = Telegram(base_url="http://me:Nightingale@127.0.0.1:9/bot")
    with pytest.raises(BeepwatchError, match=r"127\.0\.0\.1:9/bot") as raised:
        person.pair(tmp_path / "config.toml", telegram)
    assert "Nightingale" not in str(raised.value)


def test_a_configuration_with_a_byte_order_mark_is_written_as_it_is_read(
    person: Person, tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbf[notify]\nroom = 'bath'\n")
    assert person.pair(tmp_path / "config.toml").chat_id == CHAT
    assert "room" in (tmp_path / "config.toml").read_text()


def test_another_reader_of_the_bot_is_named(person: Person, tmp_path: Path) -> None:
    person.api.always("getUpdates", bot_api.CONFLICT)
    with pytest.raises(BeepwatchError, match="another program reads this bot's messages"):
        person.pair(tmp_path / "config.toml")


def test_a_daemon_that_steps_back_does_not_stop_the_pairing(person: Person, tmp_path: Path) -> None:
    person.api.fail("getUpdates", bot_api.CONFLICT)
    assert person.pair(tmp_path / "config.toml").chat_id == CHAT


@pytest.mark.parametrize("content", [b"[capture\n", b"\xff\xfe"])
def test_a_broken_configuration_is_not_touched(
    person: Person, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be read"):
        person.pair(tmp_path / "config.toml")
    assert (tmp_path / "config.toml").read_bytes() == content
    assert person.api.requests == []


def test_the_test_message_is_a_beep_in_every_chat(api: BotApi) -> None:
    lines: list[str] = []
    send_test(
        Telegram(base_url=api.base_url, chat_ids=(1, 2)),
        token=Secret(TOKEN),
        room="laundry room",
        now=NOON,
        say=lines.append,
    )
    assert [(posted.chat_id, posted.kind) for posted in api.messages] == [
        (1, "voice"),
        (2, "voice"),
    ]
    assert "laundry room" in api.messages[0].text
    assert lines == ["Chat 1 has got it as voice.", "Chat 2 has got it as voice."]


def test_one_chat_that_refuses_is_named_and_the_others_get_it(api: BotApi) -> None:
    api.fail("sendVoice", bot_api.NO_CHAT)
    telegram = Telegram(base_url=api.base_url, chat_ids=(1, 2))
    with pytest.raises(BeepwatchError, match=r"^chat 1: .*Chat not found"):
        send_test(telegram, token=Secret(TOKEN), room="", now=NOON, say=lambda _: None)
    assert [posted.chat_id for posted in api.messages] == [2]


def test_without_a_network_all_chats_are_told_of_in_one_line_of_plain_words() -> None:
    telegram = Telegram(base_url="http://127.0.0.1:9/bot", chat_ids=(1, 2))
    with pytest.raises(BeepwatchError) as raised:
        send_test(telegram, token=Secret(TOKEN), room="", now=NOON, say=lambda _: None)
    assert str(raised.value) == (
        "chats 1, 2: Telegram does not answer at http://127.0.0.1:9/bot: Connection refused. "
        "Check the network and notify.telegram.base_url."
    )


def test_a_page_to_log_in_to_a_network_says_nothing_of_the_token(api: BotApi) -> None:
    for method in ("getMe", "sendVoice"):
        api.always(method, NO_SUCH_PAGE)
    telegram = Telegram(base_url=api.base_url, chat_ids=(1,))
    with pytest.raises(BeepwatchError, match="what answers is not Telegram") as tested:
        send_test(telegram, token=Secret(TOKEN), room="", now=NOON, say=lambda _: None)
    with pytest.raises(BeepwatchError, match="what answers is not Telegram") as named:
        asyncio.run(bot_name(Secret(TOKEN), api.base_url))
    for raised in (tested, named):
        assert raised.value.exit_code == 1
        assert TOKEN not in str(raised.value)


def test_what_is_missing_for_a_test_message_is_named() -> None:
    def attempt(telegram: Telegram, token: Secret | None) -> None:
        send_test(telegram, token=token, room="", now=NOON, say=lambda _: None)

    with pytest.raises(ConfigurationError, match=r"no bot token yet.*telegram pair"):
        attempt(Telegram(chat_ids=(1,)), None)
    with pytest.raises(ConfigurationError, match="no chat in notify"):
        attempt(Telegram(), Secret(TOKEN))
    with pytest.raises(BeepwatchError, match="does not know this bot token"):
        attempt(Telegram(chat_ids=(1,)), Secret(""))


def test_the_bots_name_shows_that_token_and_network_are_well(api: BotApi) -> None:
    assert asyncio.run(bot_name(Secret(TOKEN), api.base_url)) == "laundry_bot"
    with pytest.raises(ConfigurationError, match=r"does not know this bot token \(Unauthorized\)"):
        asyncio.run(bot_name(Secret("1:wrong"), api.base_url))
    with pytest.raises(BeepwatchError, match="does not answer"):
        asyncio.run(bot_name(Secret(TOKEN), "http://127.0.0.1:9/bot"))
