"""How long an alert is tried, over several lives and whatever the clock says."""

from datetime import timedelta

import msgspec
import pytest

from beepwatch.clock import ManualClock, SystemClock
from beepwatch.messages import Delivery
from tests import bot_api
from tests.notify.laundry import SHORT_WAITS, notice
from tests.notify.office import NOW, TELEGRAM, Office

pytestmark = pytest.mark.asyncio


def tried_before(office: Office, times: int) -> Delivery:
    """An alert of twelve minutes ago, which an earlier life has tried so often in vain."""
    now = SystemClock().utc()
    written_at = now - timedelta(minutes=12)
    office.outbox.write(alert=notice("a", written_at), channels=[TELEGRAM])
    (delivery,) = office.outbox.pending(TELEGRAM, 9)
    for _ in range(times):
        office.outbox.failed(delivery.id, error="502", tried_at=now, next_try_at=now)
    return delivery


async def test_the_waits_go_on_from_those_of_the_life_before(office: Office) -> None:
    tried_before(office, 6)
    office.api.always("sendMessage", bot_api.INTERNAL)
    waits = msgspec.structs.replace(SHORT_WAITS, first_s=1, largest_s=1_000)
    async with office.open(waits=waits) as dispatcher:
        await office.until(lambda: dispatcher.counts["failed"] == 1)
        await office.until(lambda: office.outbox.pending(TELEGRAM, 9)[0].attempts == 7)
        (delivery,) = office.outbox.pending(TELEGRAM, 9)
    assert delivery.next_try_at is not None
    assert delivery.next_try_at - SystemClock().utc() > timedelta(seconds=32)


async def test_the_tries_of_the_life_before_count_when_it_is_given_up(office: Office) -> None:
    tried_before(office, 2)
    office.api.always("sendMessage", bot_api.INTERNAL)
    waits = msgspec.structs.replace(SHORT_WAITS, keep_trying_s=600, least_attempts=3)
    async with office.open(waits=waits):
        await office.until(lambda: office.states() == ["expired"])
    assert len(office.api.calls("sendMessage")) == 1


async def test_a_clock_that_is_set_makes_nothing_old_that_waits_behind_what_expires(
    office: Office,
) -> None:
    clock = ManualClock(NOW)
    for key, minutes in (("old", 12), ("young", 5)):
        alert = notice(key, NOW - timedelta(minutes=minutes))
        office.outbox.write(alert=alert, channels=[TELEGRAM])
    office.api.fail("sendMessage", *[bot_api.INTERNAL] * 3)
    waits = msgspec.structs.replace(
        SHORT_WAITS, first_s=0.2, largest_s=0.2, keep_trying_s=600, least_attempts=3
    )
    async with office.open(waits=waits, clock=clock) as dispatcher:
        await office.until(lambda: dispatcher.counts["failed"] == 1)
        clock.set_utc(NOW + timedelta(days=20_000))
        await office.until(lambda: "sent" in office.states() or dispatcher.counts["expired"] == 2)
    assert office.states() == ["expired", "sent"]
