"""What happens while a message is on its way to the chat."""

import asyncio

import pytest

from beepwatch.notify.channels import Outgoing
from tests.bot_api import Fault
from tests.notify.laundry import beep
from tests.notify.office import Office, Rerouted, as_mp3

pytestmark = pytest.mark.asyncio


async def test_what_is_on_its_way_at_the_stop_arrives_and_is_marked(office: Office) -> None:
    """Or every restart over a slow line would tell something twice."""
    office.say("a")
    office.api.fail("sendMessage", Fault(drip_s=0.002))
    async with office.open(finish_within_s=30):
        await asyncio.to_thread(office.api.wait_for, "sendMessage", 1)
    assert office.states() == ["sent"]
    assert len(office.api.messages) == 1


class Meanwhile(Rerouted):
    """The chat, where the beep goes on until after its message has left."""

    office: Office

    async def send(self, message: Outgoing) -> str | None:
        self.office.outbox.write(event=beep(pulses=9, final=True, id=message.events[0].id))
        return await super().send(message)


async def test_what_is_heard_meanwhile_is_in_the_caption_afterwards(office: Office) -> None:
    office.hear()
    chat = Meanwhile(office.telegram())
    chat.office = office
    async with office.open(chat, encode=as_mp3) as dispatcher:
        await dispatcher.drain(5)
    (posted,) = office.api.messages
    assert len(posted.edits) == 1
    assert "9 pulses" in posted.text
