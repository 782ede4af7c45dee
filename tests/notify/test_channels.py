"""The console as a channel."""

import io

import msgspec
import pytest

from beepwatch.notify.channels import ConsoleChannel, Outgoing, Refused
from tests.notify.laundry import beep, heard


def message(pulses: int = 1, *, final: bool = False) -> Outgoing:
    return Outgoing(text="beep", alert=heard(), events=(beep(pulses=pulses, final=final),))


@pytest.mark.asyncio
async def test_an_edited_line_is_written_again_with_its_final_numbers() -> None:
    stream = io.StringIO()
    console = ConsoleChannel(stream)
    await console.open()
    assert await console.send(message()) is None
    for _ in range(2):
        await console.edit(None, message(5, final=True))
    await console.close()
    first, last = stream.getvalue().splitlines()
    assert "1 pulse so far" in first
    assert "5 pulses in 0.4 s" in last


@pytest.mark.asyncio
async def test_a_closed_console_refuses() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(Refused, match="standard output cannot be written"):
        await ConsoleChannel(stream).send(message())


@pytest.mark.asyncio
async def test_only_so_many_lines_are_remembered() -> None:
    stream = io.StringIO()
    console = ConsoleChannel(stream)
    messages = [
        Outgoing(text="", alert=msgspec.structs.replace(heard(), id=i), events=(beep(i),))
        for i in range(101)
    ]
    for one in messages:
        await console.send(one)
    await console.edit(None, messages[100])
    assert stream.getvalue().count("\n") == 101
    await console.edit(None, messages[0])
    assert stream.getvalue().count("\n") == 102
