"""Networks and servers in trouble: real sockets and real HTTP between the outbox and the chats."""

import asyncio
import contextlib
import selectors
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise

import msgspec
import pytest

from beepwatch.clock import ManualClock
from beepwatch.messages import FaultKind
from beepwatch.notify.channels import ConsoleChannel
from tests import bot_api
from tests.notify.laundry import NOON, SHORT_WAITS, at, beep, heard, tone
from tests.notify.office import (
    CHAT,
    MP3,
    NOW,
    TELEGRAM,
    Office,
    Rerouted,
    arrived,
    as_mp3,
    day_of,
    hear,
)

# The server in trouble


@pytest.mark.parametrize(
    ("faults", "in_doubt", "doubles", "kind"),
    [
        ([bot_api.INTERNAL] * 3, 0, 0, "voice"),
        ([bot_api.BAD_GATEWAY] * 3, 0, 0, "voice"),
        ([bot_api.RESET_BEFORE] * 3, 1, 0, "voice"),
        ([bot_api.RESET_AFTER], 1, 1, "voice"),
        ([bot_api.RESET_AFTER] * 5, 1, 1, "voice"),
        ([bot_api.Fault(hang_s=30)], 1, 0, "voice"),
        ([bot_api.Fault(drip_s=0.1)], 1, 1, "voice"),
        ([bot_api.NO_VOICE], 0, 0, "audio"),
        ([bot_api.TOO_LARGE] * 3, 0, 0, "text"),
    ],
    ids=[
        "500",
        "502 with a page",
        "reset before",
        "reset after",
        "every answer is lost",
        "read hangs",
        "answer drips",
        "voice refused",
        "file too large",
    ],
)
@pytest.mark.asyncio
async def test_every_alert_arrives_once_and_in_order_through(
    office: Office, faults: list[bot_api.Fault], in_doubt: int, doubles: int, kind: str
) -> None:
    """Only what the server had taken before the trouble comes twice, and is counted."""
    expected = hear(office, 4)
    office.api.fail("*", *faults)
    channel = office.telegram(answer_s=1.0, upload_s=1.0, whole_s=1.5)
    async with office.open(channel, encode=as_mp3) as dispatcher:
        await office.until(lambda: office.states() == ["sent"] * 4)
    assert arrived(office.api) == expected[:1] * doubles + expected
    assert office.api.messages[doubles].kind == kind
    assert {posted.kind for posted in office.api.messages[doubles + 1 :]} == {"voice"}
    assert dispatcher.counts["in_doubt"] == in_doubt
    assert dispatcher.counts["sent"] == 4


@pytest.mark.asyncio
async def test_a_clip_that_never_gets_through_holds_up_neither_its_words_nor_the_others(
    office: Office,
) -> None:
    """The server answers everything but this clip."""
    expected = hear(office, 2)
    office.api.fail("sendVoice", *[bot_api.Fault(hang_s=30)] * 3)
    channel = office.telegram(answer_s=0.5, upload_s=0.5)
    async with office.open(channel, encode=as_mp3) as dispatcher:
        await office.until(lambda: office.states() == ["sent"] * 2)
    assert arrived(office.api) == expected
    assert [posted.kind for posted in office.api.messages] == ["text", "voice"]
    assert dispatcher.counts["in_doubt"] == 3


SPEED = 100.0


class HastySelector(selectors.DefaultSelector):
    """Waits a hundredth as long."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)


class HastyLoop(asyncio.SelectorEventLoop):
    """A loop whose clock runs a hundred times as fast, for waits that the server names."""

    def __init__(self) -> None:
        super().__init__(HastySelector())

    def time(self) -> float:
        return super().time() * SPEED


@pytest.mark.parametrize("wait_s", [1, 17, 60])
def test_a_flooded_server_gets_the_pause_it_asks_for(office: Office, wait_s: int) -> None:
    async def deliver() -> None:
        office.api.fail("sendMessage", bot_api.flood(wait_s))
        channel = office.telegram(connect_s=1_000, answer_s=1_000, whole_s=1_000)
        async with office.open(channel) as dispatcher:
            for key in "abc":
                office.say(key)
                dispatcher.poke()
                await office.until(lambda: len(office.api.calls("sendMessage")) >= 1, 1_000)
            await office.until(lambda: office.states() == ["sent"] * 3, 1_000)

    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        runner.run(deliver())
    first, second = office.api.calls("sendMessage")[:2]
    assert second.first_byte_mono_s - first.done_mono_s >= 0.99 * wait_s / SPEED
    assert len(office.api.messages) == 3


# Nobody at the other end


@contextlib.contextmanager
def unresolved() -> Iterator[str]:
    """A name that no resolver knows (RFC 2606)."""
    yield "http://telegram.invalid/bot"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """A port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/bot"


@contextlib.contextmanager
def never_accepting() -> Iterator[str]:
    """A listener whose queue is full: the kernel drops further SYNs, as a dead router does."""
    with socket.socket() as listener, contextlib.ExitStack() as callers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(2):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/bot"


@contextlib.contextmanager
def never_answering() -> Iterator[str]:
    """A listener that takes the request and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/bot"


@pytest.mark.parametrize(
    ("broken", "error", "in_doubt"),
    [
        (unresolved, "its name cannot be looked up", False),
        (refusing, "Connection refused", False),
        (never_accepting, "no answer in time", False),
        (never_answering, "no answer in time", True),
    ],
    ids=["DNS fails", "no network", "connect hangs", "read hangs"],
)
@pytest.mark.asyncio
async def test_what_waited_for_the_network_arrives_in_order_when_it_is_back(
    office: Office,
    broken: Callable[[], contextlib.AbstractContextManager[str]],
    error: str,
    in_doubt: bool,
) -> None:
    """What hangs is given up after its limit, and no other channel waits for it."""
    expected = hear(office, 4, ("console", TELEGRAM))
    with broken() as base_url:
        dead = office.telegram(base_url, connect_s=0.2, answer_s=0.2, upload_s=0.2)
        good = office.telegram()
        chat = Rerouted(dead, good)
        async with office.open(chat, ConsoleChannel(office.console), encode=as_mp3) as dispatcher:
            await office.until(lambda: office.console.getvalue().count("\n") == 4)
            await office.until(lambda: dispatcher.counts["failed"] >= 3)
            (head,) = office.outbox.tellable(TELEGRAM, NOW, 1)
            assert error in (head.last_error or "")
            chat.way = good
            await office.until(lambda: office.states() == ["sent"] * 8)
    assert arrived(office.api) == expected
    assert (dispatcher.counts["in_doubt"] > 0) == in_doubt


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_week_without_network_ends_with_one_list_and_the_newest_alert_in_full(
    office: Office,
) -> None:
    """500 alerts, one every 20 minutes of a virtual week, each with a real attempt to send."""
    clock = ManualClock(NOON)
    with refusing() as base_url:
        dead = office.telegram(base_url)
        good = office.telegram()
        chat = Rerouted(dead, good)
        patient = msgspec.structs.replace(SHORT_WAITS, first_s=60, largest_s=300)
        async with office.open(chat, clock=clock, waits=patient, encode=as_mp3) as dispatcher:
            for number in range(1, 501):
                clock.advance(1_200)
                office.outbox.write(
                    event=beep(1_200 * number, final=True),
                    clip=tone(0.1) if number > 497 else None,
                    alert=heard(f"beep {number}", clock.utc()),
                    channels=[TELEGRAM],
                )
                dispatcher.poke()
                while dispatcher.counts["failed"] < number:
                    await asyncio.sleep(0.001)
            clock.advance(3_600)
            chat.way = good
            dispatcher.poke()
            await office.until(lambda: office.states() == ["sent"] * 500, 30)
    *lists, newest = office.api.messages
    lines = [line for one in lists for line in one.text.splitlines() if "pulse" in line]
    shown = [f"{day_of(at(1_200 * number))} · beep · 1 pulse in 0.4 s" for number in range(1, 501)]
    assert lines == shown[:499]
    assert {posted.kind for posted in lists} == {"text"}
    assert max(len(posted.text) for posted in lists) <= 4_096
    assert (newest.kind, newest.file) == ("voice", MP3.content)
    assert newest.text.splitlines()[1].startswith(shown[499].split(" · ")[0])
    assert dispatcher.counts["digests"] == len(lists)


# A chat that takes nothing until somebody mends it


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (bot_api.UNAUTHORIZED, "Copy it again from @BotFather"),
        (bot_api.BLOCKED, "Unblock the bot"),
        (bot_api.NO_CHAT, "Check notify.telegram.chat_ids"),
    ],
    ids=["401", "403", "chat not found"],
)
@pytest.mark.asyncio
async def test_a_shut_chat_is_told_of_once_asked_rarely_and_gets_all_when_it_is_mended(
    office: Office, fault: bot_api.Fault, words: str
) -> None:
    """Neither new alerts nor a restart make it ask sooner or tell again."""
    pace_s = 0.3
    waits = msgspec.structs.replace(SHORT_WAITS, shut_s=pace_s)
    expected = hear(office, 4, ("console", TELEGRAM))
    office.api.shut(CHAT, fault)
    for tries in (2, 4):  # two lives of the messenger
        channels = (office.telegram(), ConsoleChannel(office.console))
        async with office.open(*channels, waits=waits, encode=as_mp3) as dispatcher:
            while len(office.api.requests) < tries:
                dispatcher.poke()
                await asyncio.sleep(0.02)
            if tries == 4:
                office.api.shut(CHAT, None)
                await office.until(lambda: office.states() == ["sent"] * 8)
    asked_s = [request.first_byte_mono_s for request in office.api.requests[:4]]
    assert min(later - earlier for earlier, later in pairwise(asked_s)) >= 0.99 * pace_s
    assert arrived(office.api) == expected
    assert office.console.getvalue().count("\n") == 4
    shut, over = office.reported
    assert (shut.kind, shut.cleared, over.cleared) == (FaultKind.CHANNEL, False, True)
    assert words in shut.text
    assert over.text == f"{TELEGRAM} takes messages again"


@pytest.mark.asyncio
async def test_another_reason_is_told_too(office: Office) -> None:
    office.say("a")
    office.api.fail("sendMessage", bot_api.BLOCKED, bot_api.BLOCKED, bot_api.NO_CHAT)
    async with office.open():
        await office.until(lambda: office.states() == ["sent"])
    assert [fault.cleared for fault in office.reported] == [False, False, True]
    assert "Unblock" in office.reported[0].text
    assert "chat_ids" in office.reported[1].text


@pytest.mark.parametrize("fault", [bot_api.Fault(hang_s=60), bot_api.Fault(drip_s=0.05)])
@pytest.mark.asyncio
async def test_a_chat_that_hangs_keeps_no_other_waiting(
    office: Office, fault: bot_api.Fault
) -> None:
    """Three chats, one of them hanging for ever: the other two have all before its first limit."""
    other = [11, 12]
    office.api.shut(CHAT, fault)
    channels = [office.telegram(chat_id=chat, answer_s=30, upload_s=30) for chat in (CHAT, *other)]
    expected = hear(office, 4, tuple(channel.name for channel in channels))
    async with office.open(*channels, encode=as_mp3, finish_within_s=0.05) as dispatcher:
        await office.until(lambda: dispatcher.counts["sent"] == 8)
        beats = office.beats
        await office.until(lambda: office.beats > beats + 2)
        assert dispatcher.counts["failed"] == 0
    assert [arrived(office.api, chat) for chat in other] == [expected, expected]
