"""Notes on a full disk: told without their clips rather than not at all; the clips follow."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from beepwatch.daemon.pipeline import Note
from beepwatch.daemon.writing import HAND_OVER_S, UNWRITTEN_CLIPS, NoteWriter
from beepwatch.errors import StoreError
from beepwatch.messages import Alert, AlertKind, Clip, Event
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.small_disk import SmallDisk, broken_disk, small_disk
from tests.store.pending import pending_by_channel

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def database(disk: SmallDisk) -> Iterator[Database]:
    opened = Database(disk.path / "state")
    opened.keep_reserve(0)
    yield opened
    opened.close()


def note(number: int, *, final: bool = False, clip_s: float = 3.0) -> Note:
    at = START + timedelta(minutes=number)
    pulses = 5 if final else 1
    return Note(
        event=Event(
            label="beep",
            onset=at,
            offset=at + timedelta(seconds=pulses),
            pulses=pulses,
            peak_score=0.9,
            model_id="m",
            final=final,
        ),
        episode=("beep", at),
        clip=Clip(pcm=b"\x01\x00" * round(clip_s * 16_000), rate_hz=16_000, started_at=at),
        alert=None
        if final
        else Alert(
            kind=AlertKind.HEARD, text="beep", created_at=at, due_at=at, dedupe_key=str(number)
        ),
    )


def _alert_of(one: Note) -> Alert:
    assert one.alert is not None
    return one.alert


def clips_wait(writer: NoteWriter) -> bool:
    return writer.clips_wait_for is not None


def clip_lengths_s(database: Database) -> dict[int, float]:
    library = Library(database)
    found = {event_id: library.pending_pcm(event_id) for event_id in library.pending()}
    return {event_id: one[1].duration_s for event_id, one in found.items() if one}


def test_an_alert_goes_without_its_clip_and_the_clip_follows_when_there_is_room(
    disk: SmallDisk, database: Database
) -> None:
    writer = NoteWriter(Outbox(database), ("console",))
    disk.fill()
    assert writer.write([note(1)])
    assert clips_wait(writer)
    assert writer.unwritten == 0
    assert pending_by_channel(database) == {"console": 1}
    assert clip_lengths_s(database) == {}
    assert not writer.write([])
    disk.make_room()
    assert writer.write([])
    assert not clips_wait(writer)
    assert clip_lengths_s(database) == {1: 3.0}
    assert not writer.write([])


def test_of_an_unusual_machine_the_words_go_without_clip_and_picture_and_the_clip_follows(
    disk: SmallDisk, database: Database
) -> None:
    heard = note(1, final=True)
    alert = msgspec.structs.replace(_alert_of(note(1)), kind=AlertKind.UNUSUAL)
    writer = NoteWriter(Outbox(database), ("console",))
    disk.fill()
    told = msgspec.structs.replace(heard, alert=alert, episode=None, picture=bytes(50_000))
    assert writer.write([told])
    assert pending_by_channel(database) == {"console": 1}
    disk.make_room()
    assert writer.write([])
    assert clip_lengths_s(database) == {1: 3.0}
    assert Outbox(database).picture(1) is None


def test_the_clip_that_follows_does_not_bring_back_what_the_event_was_before(
    disk: SmallDisk, database: Database
) -> None:
    outbox = Outbox(database)
    writer = NoteWriter(outbox, ("console",))
    disk.fill()
    writer.write([note(1)])
    writer.write([note(2), note(2, final=True, clip_s=4.0)])
    unclipped = note(1, final=True)
    writer.write([Note(event=unclipped.event, episode=unclipped.episode)])
    disk.make_room()
    writer.write([note(3), note(3, final=True, clip_s=5.0)])
    told = [outbox.events_of(alert_id)[0] for alert_id in (1, 2, 3)]
    assert [(event.pulses, event.final) for event in told] == [(5, True)] * 3
    assert clip_lengths_s(database) == {1: 3.0, 2: 4.0, 3: 5.0}


def test_a_clip_that_was_written_after_all_does_not_wait_any_more(
    disk: SmallDisk, database: Database
) -> None:
    writer = NoteWriter(Outbox(database), ("console",))
    disk.fill()
    writer.write([note(1)])
    disk.make_room()
    writer.write([note(1, final=True, clip_s=6.0)])
    assert clip_lengths_s(database) == {1: 6.0}
    assert not writer.write([])


def test_of_too_many_clips_the_oldest_goes_and_no_alert(
    disk: SmallDisk, database: Database
) -> None:
    writer = NoteWriter(Outbox(database), ("console",))
    disk.fill()
    count = UNWRITTEN_CLIPS + 2
    for number in range(count):
        writer.write([note(number, clip_s=0.1)])
    disk.make_room()
    writer.write([])
    assert pending_by_channel(database) == {"console": count}
    assert list(clip_lengths_s(database)) == list(range(3, count + 1))


def test_when_even_the_reserve_is_used_up_notes_wait_and_lose_no_order(
    disk: SmallDisk, database: Database
) -> None:
    outbox = Outbox(database)
    writer = NoteWriter(outbox, ("console",))
    disk.fill()
    written = 0
    with suppress(StoreError):
        while written < 1_000:
            writer.write([note(written, clip_s=0.1)])
            written += 1
            disk.fill()
    assert writer.unwritten == 1
    for number in range(written + 1, written + 11):
        with pytest.raises(StoreError):
            writer.write([note(number, clip_s=0.1)])
    assert writer.unwritten == 11
    disk.make_room()
    assert writer.write([])
    assert pending_by_channel(database) == {"console": written + 11}
    onsets = [outbox.events_of(alert_id)[0].onset for alert_id in range(1, written + 12)]
    assert onsets == [START + timedelta(minutes=number) for number in range(written + 11)]
    assert database.integrity() == []


def test_a_disk_that_turns_read_only_keeps_what_it_has_and_the_notes_wait(tmp_path: Path) -> None:
    """ext4 after an error; it cannot be written again before it is mounted anew."""
    with broken_disk(tmp_path) as disk:
        database = Database(disk.path / "state")
        writer = NoteWriter(Outbox(database), ("console",))
        writer.write([note(1), note(1, final=True)])
        disk.break_it()
        for number in (2, 3):
            with pytest.raises(StoreError):
                writer.write([note(number)])
        assert writer.unwritten == 2
        assert writer.overdue(100.0) == []
        assert [alert.dedupe_key for alert in writer.overdue(100.0 + HAND_OVER_S)] == ["2", "3"]
        assert writer.overdue(101.0 + HAND_OVER_S) == []  # the messenger has them
        assert pending_by_channel(database) == {"console": 1}
        with suppress(StoreError):
            database.close()
        disk.mend()
        database = Database(disk.path / "state")
        assert database.integrity() == []
        assert pending_by_channel(database) == {"console": 1}
        assert clip_lengths_s(database) == {1: 3.0}
        database.close()
