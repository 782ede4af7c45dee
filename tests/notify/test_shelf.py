"""One clip for all channels, on a real library."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from beepwatch.messages import Clip
from beepwatch.notify.channels import Sound
from beepwatch.notify.clips import as_wav
from beepwatch.notify.shelf import Shelf
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.notify.laundry import beep, tone

pytestmark = pytest.mark.asyncio


class Counting:
    """Encodes to WAV, and knows how often."""

    def __init__(self) -> None:
        self.encoded = 0

    def __call__(self, clip: Clip) -> Sound:
        self.encoded += 1
        return as_wav(clip)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


async def test_a_clip_is_encoded_once_for_all_channels(database: Database) -> None:
    Outbox(database).write(event=beep(), clip=tone())
    encode = Counting()
    shelf = Shelf(Library(database), encode, 5.0)
    first, second = await shelf.sound(1), await shelf.sound(1)
    assert encode.encoded == 1
    assert first is not None
    assert second is not None
    assert first.content == second.content == as_wav(tone()).content
    assert first.path == second.path == Library(database).path(1)


async def test_an_event_without_sound_has_none(database: Database) -> None:
    shelf = Shelf(Library(database), Counting(), 5.0)
    assert await shelf.sound(1) is None
    assert shelf.failures == 0


async def test_all_that_waits_is_put_away(database: Database) -> None:
    for onset_s in range(3):
        Outbox(database).write(event=beep(onset_s), clip=tone(0.1))
    assert await Shelf(Library(database), Counting(), 5.0).put_away()
    assert Library(database).pending() == []
    assert len(list(database.directory.rglob("*.wav"))) == 3


async def test_a_disk_that_takes_no_clip_is_not_asked_for_the_next(database: Database) -> None:
    for onset_s in range(3):
        Outbox(database).write(event=beep(onset_s), clip=tone(0.1))
    (database.directory / "clips").write_text("in the way")
    encode = Counting()
    assert not await Shelf(Library(database), encode, 5.0).put_away()
    assert encode.encoded == 1
    assert len(Library(database).pending()) == 3


async def test_an_encoder_that_hangs_is_asked_again_once_it_has_come_back(
    database: Database,
) -> None:
    """Meanwhile clips go as WAV, at once, and no thread is lost for each of them."""
    for onset_s in range(3):
        Outbox(database).write(event=beep(onset_s), clip=tone(0.1))
    may_end, ended, asked = threading.Event(), threading.Event(), []

    def encode(clip: Clip) -> Sound:
        asked.append(clip)
        may_end.wait(20)
        ended.set()
        return Sound(content=b"mp3", suffix=".mp3")

    shelf = Shelf(Library(database), encode, 0.05)
    for event_id in (1, 2):
        sound = await shelf.sound(event_id)
        assert sound is not None
        assert sound.suffix == ".wav"
    assert (len(asked), shelf.failures) == (1, 2)
    may_end.set()
    assert ended.wait(20)
    while (sound := await shelf.sound(3)) is not None and sound.suffix != ".mp3":
        Outbox(database).write(event=beep(2, id=3), clip=tone(0.1))
    assert sound is not None
    assert sound.suffix == ".mp3"
