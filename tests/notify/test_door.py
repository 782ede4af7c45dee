"""Who is answered and who is not, against the stand-in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from beepwatch.clock import ManualClock
from beepwatch.errors import StoreError
from beepwatch.notify.door import Answer, Door, Hours, Question
from beepwatch.secrecy import Secret
from tests import bot_api
from tests.bot_api import TOKEN, BotApi, Posted
from tests.notify.laundry import NOON

pytestmark = pytest.mark.asyncio
OURS, STRANGER = 7, 666
SHORT = Hours(poll_s=1, pause_s=0.01, soon_s=0.01, again_s=0.01, elsewhere_s=0.01)


class House:
    """A door with its clock, and its own desk; `answers` are given one after another, the last one
    for ever.
    """

    def __init__(self, api: BotApi, hours: Hours = SHORT) -> None:
        self.clock = ManualClock(NOON)
        self.answers: list[str | Exception] = ["all is quiet"]
        self.asked: list[str] = []
        self.taps: list[tuple[int, str]] = []
        self.door = Door(
            Secret(TOKEN), api.base_url, [OURS], clock=self.clock, desk=self, hours=hours
        )

    async def answer(self, question: Question) -> Answer:
        self.asked.append(question.text)
        return Answer(text=self.next())

    def tapped(self, chat_id: int, data: str) -> str:
        self.taps.append((chat_id, data))
        return self.next()

    def next(self) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.door.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def until(self, **counts: int) -> None:
        async def look() -> None:
            while self.door.counts != {"answered": 0, "taps": 0, "strangers": 0, **counts}:
                await asyncio.sleep(0.005)

        await asyncio.wait_for(look(), 10)


@pytest.fixture
def house(api: BotApi) -> House:
    return House(api)


async def test_only_the_configured_chat_is_answered(house: House, api: BotApi) -> None:
    api.write_to_bot(STRANGER, "/status")
    api.write_to_bot(OURS, "/status")
    async with house.open():
        await house.until(answered=1, strangers=1)
    assert [(posted.chat_id, posted.text) for posted in api.messages] == [(OURS, "all is quiet")]


async def test_a_flood_of_strangers_is_one_line_an_hour_without_their_words(
    house: House, api: BotApi
) -> None:
    with capture_logs() as logs:
        async with house.open():
            for number in range(1, 301):
                api.write_to_bot(STRANGER + number, "spam\nspam", name="Mallory")
                if number % 100 == 0:
                    await house.until(strangers=number)
            house.clock.advance(3_600)
            api.write_to_bot(STRANGER, "spam")
            await house.until(strangers=301)
            api.write_to_bot(OURS, "/status")
            await house.until(answered=1, strangers=301)
    lines = [line for line in logs if line["event"] == "strangers_ignored"]
    assert len(lines) == 2
    assert sum(line["messages"] for line in lines) == 301
    assert "spam" not in str(logs)
    assert "Mallory" not in str(logs)
    assert [posted.chat_id for posted in api.messages] == [OURS]


async def test_a_chat_that_asks_a_hundred_times_at_once_gets_one_answer(
    house: House, api: BotApi
) -> None:
    for _ in range(100):
        api.write_to_bot(OURS, "/status")
    async with house.open():
        await house.until(answered=1)
        await asyncio.to_thread(api.wait_for, "getUpdates", 2)
    assert len(api.messages) == 1


async def test_in_a_group_only_commands_are_questions(house: House, api: BotApi) -> None:
    api.write_to_bot(OURS, "dinner?", chat_type="group")
    async with house.open():
        await asyncio.to_thread(api.wait_for, "getUpdates", 2)
        assert house.door.counts["answered"] == 0
        api.write_to_bot(OURS, "/status", chat_type="group")
        await house.until(answered=1)


async def test_it_reads_on_after_every_trouble(house: House, api: BotApi) -> None:
    troubles = [
        bot_api.CONFLICT,
        bot_api.UNAUTHORIZED,
        bot_api.BAD_GATEWAY,
        bot_api.RESET_BEFORE,
        bot_api.flood(1),
        bot_api.PORTAL,
    ]
    api.fail("getUpdates", *troubles)
    api.write_to_bot(OURS, "/status")
    async with house.open():
        await house.until(answered=1)


async def test_an_answer_that_cannot_be_given_is_not_tried_for_ever(
    house: House, api: BotApi
) -> None:
    """A question in the air at a fault is lost; the next one is answered."""
    house.answers = [StoreError("locked"), KeyError(TOKEN), "all is quiet"]
    with capture_logs() as logs:
        async with house.open():
            for calls in (2, 4):
                api.write_to_bot(OURS, "/status")
                await asyncio.to_thread(api.wait_for, "getUpdates", calls)
            api.write_to_bot(OURS, "/status")
            await house.until(answered=1)
    assert len(api.messages) == 1
    assert TOKEN not in str(logs)


async def test_a_command_for_another_bot_in_the_group_is_not_ours(
    house: House, api: BotApi
) -> None:
    for name in ("somebody_bot", bot_api.BOT_NAME):
        api.write_to_bot(OURS, f"/listen@{name} 5", chat_type="group")
        api.write_to_bot(OURS, f"/mute@{name}\n2h", chat_type="group")
    async with house.open():
        await house.until(answered=2)
    assert house.asked == ["/listen 5", "/mute\n2h"]


async def test_those_who_may_use_the_commands_have_them_listed(house: House, api: BotApi) -> None:
    api.fail("setMyCommands", bot_api.INTERNAL)
    async with house.open():
        await asyncio.to_thread(api.wait_until, lambda: bool(api.commands), "commands")
        await asyncio.to_thread(api.wait_for, "getUpdates", 1)
    assert list(api.commands) == [OURS]
    assert api.commands[OURS] == ["status", "last", "listen", "mute", "unmute", "watch", "help"]


async def test_a_chat_that_cannot_have_the_list_is_read_all_the_same(
    house: House, api: BotApi
) -> None:
    api.always("setMyCommands", bot_api.NO_CHAT)
    api.write_to_bot(OURS, "/status")
    async with house.open():
        await house.until(answered=1)


async def test_one_long_poll_brings_messages_and_taps(api: BotApi) -> None:
    """Whoever asks oftener, or separately, wakes a sleeping box."""
    house = House(api, Hours())
    async with house.open():
        (asked,) = await asyncio.to_thread(api.wait_for, "getUpdates", 1)
    assert asked.fields["timeout"] == "50"
    assert json.loads(asked.fields["allowed_updates"]) == [
        "message",
        "channel_post",
        "callback_query",
    ]
    assert [request.method for request in api.requests] == ["getMe", "setMyCommands", "getUpdates"]


async def test_a_tap_is_taken_and_answered_and_a_strangers_is_not(
    house: House, api: BotApi
) -> None:
    posted = Posted(id=1, chat_id=OURS, kind="text", text="beep", file=None)
    for too_old in (False, True):
        api.send_tap(posted, "right", chat_id=STRANGER, too_old=too_old)
        api.send_tap(posted, "wrong", too_old=too_old)
    async with house.open():
        await house.until(taps=2, strangers=2)
        await asyncio.to_thread(api.wait_until, lambda: len(api.notices) == 2, "notices")
    assert house.taps == [(OURS, "wrong")] * 2
    assert api.notices == ["all is quiet"] * 2


async def test_no_tap_is_lost_for_the_one_before_or_for_an_answer_that_nobody_takes(
    house: House, api: BotApi
) -> None:
    posted = Posted(id=1, chat_id=OURS, kind="text", text="beep", file=None)
    house.answers = [KeyError(TOKEN), "first", "second"]
    api.always("answerCallbackQuery", bot_api.error(400, "Bad Request: query is too old"))
    for number in range(3):
        api.send_tap(posted, str(number))
    with capture_logs() as logs:
        async with house.open():
            await house.until(taps=2)
    assert [data for _, data in house.taps] == ["0", "1", "2"]
    assert TOKEN not in str(logs)


async def test_what_was_read_and_not_asked_on_from_is_read_again_by_the_next_life(
    api: BotApi,
) -> None:
    """The server forgets nothing before it is told to: a crash loses no tap."""
    posted = Posted(id=1, chat_id=OURS, kind="text", text="beep", file=None)
    api.send_tap(posted, "wrong")
    for hours in (Hours(pause_s=60), SHORT):
        house = House(api, hours)
        async with house.open():
            await house.until(taps=1)
        assert house.taps == [(OURS, "wrong")]
