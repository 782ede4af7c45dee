"""What is late: many alerts in one message, between a real outbox and a real Bot API client."""

import re
from datetime import timedelta

import msgspec
import pytest

from beepwatch.notify.channels import Channel, ConsoleChannel
from beepwatch.notify.dispatcher import Dispatcher
from beepwatch.store.database import Database
from tests import bot_api
from tests.notify.laundry import NOON, beep, heard, notice, tone
from tests.notify.office import (
    NOW,
    TELEGRAM,
    Office,
    Rerouted,
    arrived,
    as_mp3,
    day_of,
    times,
)

LATE = NOW - timedelta(minutes=31)


def hear_late(office: Office, count: int, channel: str = TELEGRAM, first: int = 0) -> None:
    """Beeps a minute apart that should have been told half an hour ago."""
    for number in range(first, first + count):
        office.outbox.write(
            event=beep(60 * number, final=True),
            clip=tone(0.1),
            alert=heard(f"late {number}", LATE),
            channels=[channel],
        )


async def deliver(office: Office, *channels: Channel) -> Dispatcher:
    """Everything that is due."""
    async with office.open(*channels, encode=as_mp3) as dispatcher:
        await dispatcher.drain(5)
    return dispatcher


@pytest.mark.asyncio
async def test_late_alerts_are_listed_in_one_message_and_the_newest_comes_in_full(
    office: Office,
) -> None:
    office.outbox.write(alert=notice("start", LATE), channels=[TELEGRAM])
    hear_late(office, 4)
    dispatcher = await deliver(office)
    listed, newest = office.api.messages
    first, second, third, fourth = times(0, 1, 2, 3)
    assert listed.text == (
        "4 alerts could not be told in time · laundry room\n"
        f"{day_of(LATE)} · beepwatch is listening\n"
        f"{day_of(NOON)[:-8]}{first} · beep · 1 pulse in 0.4 s\n"
        f"{day_of(NOON)[:-8]}{second} · beep · 1 pulse in 0.4 s\n"
        f"{day_of(NOON)[:-8]}{third} · beep · 1 pulse in 0.4 s"
    )
    assert (newest.kind, arrived(office.api)[-1]) == ("voice", fourth)
    assert office.states() == ["sent"] * 5
    assert (dispatcher.counts["sent"], dispatcher.counts["digests"]) == (5, 1)


@pytest.mark.asyncio
async def test_a_few_late_alerts_come_in_full(office: Office) -> None:
    hear_late(office, 3)
    await deliver(office)
    assert [posted.kind for posted in office.api.messages] == ["voice"] * 3
    assert arrived(office.api) == times(0, 1, 2)


@pytest.mark.asyncio
async def test_what_is_not_late_comes_in_full_after_the_list(office: Office) -> None:
    hear_late(office, 4)
    office.say("now")
    await deliver(office)
    assert [posted.text.splitlines()[0] for posted in office.api.messages] == [
        "4 alerts could not be told in time · laundry room",
        "beepwatch is listening",
    ]


@pytest.mark.asyncio
async def test_what_quiet_hours_held_back_until_just_now_is_not_late(office: Office) -> None:
    for number in range(5):
        office.outbox.write(
            event=beep(60 * number, final=True),
            clip=tone(0.1),
            alert=msgspec.structs.replace(heard(f"night {number}", LATE), due_at=NOW),
            channels=[TELEGRAM],
        )
    await deliver(office)
    assert [posted.kind for posted in office.api.messages] == ["voice"] * 5
    assert arrived(office.api) == times(0, 1, 2, 3, 4)


@pytest.mark.asyncio
async def test_a_listed_event_that_grows_leaves_the_list_as_it_is(office: Office) -> None:
    hear_late(office, 4)
    async with office.open(encode=as_mp3) as dispatcher:
        await dispatcher.drain(5)
        office.outbox.write(event=beep(0, pulses=9, id=1))
        await dispatcher.drain(5)
    assert office.outbox.edit_due(TELEGRAM, NOW + timedelta(days=1)) is None
    assert [posted.edits for posted in office.api.messages] == [[], []]
    assert dispatcher.counts["edits_given_up"] == 0


@pytest.mark.asyncio
async def test_a_list_that_one_message_does_not_hold_goes_on_in_the_next(office: Office) -> None:
    hear_late(office, 7)
    chat = Rerouted(office.telegram())
    chat.digest_characters = 300
    await deliver(office, chat)
    assert [posted.kind for posted in office.api.messages] == ["text", "text", "voice"]
    assert "more follow" in office.api.messages[0].text
    assert arrived(office.api) == times(*range(7))


@pytest.mark.asyncio
async def test_after_a_list_in_parts_a_few_late_alerts_come_in_full_again(office: Office) -> None:
    hear_late(office, 7)
    chat = Rerouted(office.telegram())
    chat.digest_characters = 300
    async with office.open(chat, encode=as_mp3) as dispatcher:
        await dispatcher.drain(5)
        hear_late(office, 3, first=7)
        await dispatcher.drain(5)
    kinds = [posted.kind for posted in office.api.messages]
    assert kinds == ["text", "text", "voice"] + ["voice"] * 3


@pytest.mark.asyncio
async def test_a_channel_of_lines_gets_each_late_alert_as_its_own(office: Office) -> None:
    hear_late(office, 6, "console")
    await deliver(office, ConsoleChannel(office.console))
    assert re.findall(r"^\d\d:\d\d:\d\d", office.console.getvalue(), re.M) == times(*range(6))


@pytest.mark.asyncio
async def test_a_crash_between_list_and_mark_repeats_the_list_and_loses_nothing(
    office: Office,
) -> None:
    hear_late(office, 6)
    other = Database(office.database.directory)
    with other.transaction():  # nothing can be written down until the messenger has ended
        async with office.open(encode=as_mp3) as dispatcher:
            await office.until(lambda: dispatcher.counts["store_errors"] >= 2)
    other.close()
    assert office.states() == ["pending"] * 6
    await deliver(office)
    first, again, newest = office.api.messages
    assert first.text == again.text
    assert arrived(office.api) == [*times(0, 1, 2, 3, 4) * 2, *times(5)]
    assert newest.kind == "voice"
    assert office.states() == ["sent"] * 6


@pytest.mark.asyncio
async def test_a_list_whose_answer_was_lost_comes_twice_at_most_and_is_counted(
    office: Office,
) -> None:
    hear_late(office, 5)
    office.api.fail("sendMessage", bot_api.RESET_AFTER)
    dispatcher = await deliver(office)
    assert arrived(office.api) == [*times(0, 1, 2, 3) * 2, *times(4)]
    assert dispatcher.counts["in_doubt"] == 1


@pytest.mark.asyncio
async def test_a_list_that_is_refused_is_told_one_by_one(office: Office) -> None:
    hear_late(office, 5)
    office.api.fail("sendMessage", bot_api.error(400, "Bad Request: message is too long"))
    await deliver(office)
    assert arrived(office.api) == times(0, 1, 2, 3, 4)
    assert office.states() == ["sent"] * 5
