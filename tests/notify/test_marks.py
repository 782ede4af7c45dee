"""A channel goes on telling what the outbox cannot be told of; nothing is told twice for it."""

from pathlib import Path

import msgspec
import pytest

from beepwatch.clock import SystemClock
from beepwatch.store.database import Database
from tests import bot_api
from tests.bot_api import BotApi
from tests.notify.laundry import SHORT_WAITS, beep
from tests.notify.office import TELEGRAM, Office, arrived, as_mp3, hear, times
from tests.small_disk import broken_disk

IMPATIENT = msgspec.structs.replace(SHORT_WAITS, mark_within_s=0.02)


@pytest.mark.asyncio
async def test_what_cannot_be_marked_is_told_once_and_marked_when_the_lock_is_gone(
    office: Office,
) -> None:
    other = Database(office.database.directory)
    hear(office, 3)
    async with office.open(waits=IMPATIENT, encode=as_mp3) as dispatcher:
        with other.transaction():
            await office.until(lambda: dispatcher.counts["sent"] == 3)
            errors = dispatcher.counts["store_errors"]
            await office.until(lambda: dispatcher.counts["store_errors"] >= errors + 3)
            assert office.states() == ["pending"] * 3
        await office.until(lambda: office.states() == ["sent"] * 3)
    other.close()
    assert arrived(office.api) == times(0, 1, 2)


@pytest.mark.asyncio
async def test_what_is_not_marked_yet_when_the_stop_comes_is_marked_then(office: Office) -> None:
    """Or the next life would tell it again, though the lock is gone by now."""
    waits = msgspec.structs.replace(SHORT_WAITS, locked_s=30)
    other = Database(office.database.directory)
    hear(office, 1)
    async with office.open(waits=waits, encode=as_mp3) as dispatcher:
        with other.transaction():
            await office.until(lambda: dispatcher.counts["store_errors"] >= 1)
        assert office.states() == ["pending"]
    other.close()
    assert office.states() == ["sent"]
    assert arrived(office.api) == times(0)


@pytest.mark.asyncio
async def test_a_refusal_that_cannot_be_marked_holds_up_nothing(office: Office) -> None:
    other = Database(office.database.directory)
    office.api.fail("sendMessage", bot_api.error(400, "Bad Request: message is too long"))
    office.say("refused")
    hear(office, 1)
    with other.transaction():
        async with office.open(waits=IMPATIENT, encode=as_mp3) as dispatcher:
            await office.until(lambda: dispatcher.counts["sent"] == 1)
    other.close()
    assert dispatcher.counts["refused"] == 1
    assert arrived(office.api) == times(0)


@pytest.mark.asyncio
async def test_a_change_that_cannot_be_marked_as_shown_is_shown_once(office: Office) -> None:
    other = Database(office.database.directory)
    event_id = office.hear()
    async with office.open(waits=IMPATIENT, encode=as_mp3) as dispatcher:
        await office.until(lambda: office.states() == ["sent"])
        office.outbox.write(event=beep(pulses=5, final=True, id=event_id))
        with other.transaction():
            dispatcher.poke()
            await office.until(lambda: dispatcher.counts["edited"] == 1)
            errors = dispatcher.counts["store_errors"]
            await office.until(lambda: dispatcher.counts["store_errors"] >= errors + 5)
        await office.until(lambda: office.outbox.edit_due(TELEGRAM, SystemClock().utc()) is None)
    other.close()
    assert len(office.api.calls("editMessageCaption")) == 1


@pytest.mark.asyncio
async def test_alerts_that_wait_for_the_network_on_a_disk_that_turns_read_only_are_told(
    tmp_path: Path,
) -> None:
    """They were written before: the disk can still be read."""
    with BotApi() as api, broken_disk(tmp_path) as disk:
        office = Office(disk.path, api)
        api.always("sendVoice", bot_api.BAD_GATEWAY)
        hear(office, 3)
        async with office.open(waits=IMPATIENT, encode=as_mp3) as dispatcher:
            await office.until(lambda: dispatcher.counts["failed"] >= 1)
            disk.break_it()
            await office.until(lambda: dispatcher.counts["store_errors"] >= 1)
            api.always("sendVoice", None)
            await office.until(lambda: dispatcher.counts["sent"] == 3)
            errors = dispatcher.counts["store_errors"]
            await office.until(lambda: dispatcher.counts["store_errors"] >= errors + 3)
    assert arrived(api) == times(0, 1, 2)
