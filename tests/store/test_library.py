"""Clips: nothing is let go of before it is a file."""

import os
import stat

import pytest

from beepwatch.errors import StoreError
from beepwatch.messages import Event
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.store.clips import keep
from tests.store.messages_of_a_day import NOON, beep, heard, sound


def test_a_clip_waits_as_it_was_cut_until_it_is_kept(outbox: Outbox, library: Library) -> None:
    outbox.write(event=beep(), clip=sound())
    pending = library.pending_pcm(1)
    assert pending is not None
    revision, clip = pending
    assert clip == sound()
    assert library.path(1) is None
    path = library.keep(1, revision, b"mp3", ".mp3")
    assert library.pending_pcm(1) is None
    assert library.pending() == []
    assert library.path(1) == path


def test_a_clip_is_named_by_utc_time_label_and_event(
    outbox: Outbox, library: Library, database: Database
) -> None:
    outbox.write(event=beep(5), clip=sound(), alert=heard())
    path = keep(library, 1)
    assert path == database.directory / "clips/2025/03/01/120005-beep-1.mp3"
    assert path.read_bytes() == b"mp3"
    assert outbox.events_of(1)[0].clip == "clips/2025/03/01/120005-beep-1.mp3"


def test_only_the_owner_can_read_clips(
    outbox: Outbox, library: Library, database: Database
) -> None:
    outbox.write(event=beep(), clip=sound())
    path = keep(library, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    folders = [folder for folder in path.parents if database.directory in folder.parents]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700] * 4
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("label", "name"),
    [("../../etc/passwd", "_.._etc_passwd"), ("Wäsche fertig", "W_sche_fertig"), ("..", "sound")],
)
def test_a_label_cannot_leave_the_clips(
    label: str, name: str, outbox: Outbox, library: Library, database: Database
) -> None:
    event = Event(label=label, onset=NOON, offset=NOON, pulses=1, peak_score=0.5, model_id="m")
    outbox.write(event=event, clip=sound())
    assert keep(library, 1) == database.directory / f"clips/2025/03/01/120000-{name}-1.mp3"


def test_the_final_clip_takes_the_place_of_the_alerts_at_the_same_path(
    outbox: Outbox, library: Library
) -> None:
    outbox.write(event=beep(0.9), clip=sound(1))
    first = keep(library, 1, b"short")
    outbox.write(event=beep(1.1, pulses=5, final=True, id=1), clip=sound(2))
    assert library.path(1) == first
    assert keep(library, 1, b"the whole") == first
    assert first.read_bytes() == b"the whole"


def test_a_longer_clip_that_came_during_encoding_is_not_lost(
    outbox: Outbox, library: Library
) -> None:
    outbox.write(event=beep(), clip=sound(1))
    pending = library.pending_pcm(1)
    assert pending is not None
    outbox.write(event=beep(id=1), clip=sound(2))
    library.keep(1, pending[0], b"short", ".mp3")
    longer = library.pending_pcm(1)
    assert longer is not None
    assert longer[1] == sound(2)


def test_an_mp3_in_place_of_a_wav_leaves_one_file(outbox: Outbox, library: Library) -> None:
    outbox.write(event=beep(), clip=sound())
    wav = library.keep(1, 0, b"RIFF", ".wav")
    mp3 = keep(library, 1)
    assert mp3 == wav.with_suffix(".mp3")
    assert list(wav.parent.iterdir()) == [mp3]


def test_a_clip_that_cannot_be_written_stays_in_the_database(
    outbox: Outbox, library: Library, database: Database
) -> None:
    outbox.write(event=beep(), clip=sound())
    (database.directory / "clips").write_text("in the way")
    with pytest.raises(StoreError, match=r"clips.*cannot be written.*kept meanwhile"):
        keep(library, 1)
    assert library.pending() == [1]


def test_a_half_written_clip_leaves_no_file(
    outbox: Outbox, library: Library, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.write(event=beep(), clip=sound())
    keep(library, 1)  # whose folder is there then
    outbox.write(event=beep(1), clip=sound())

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        keep(library, 2)
    assert [path for path in database.directory.rglob("*") if "120001" in path.name] == []
    assert library.pending() == [2]


def test_there_is_nothing_to_keep_for_an_unknown_event(library: Library) -> None:
    assert library.pending_pcm(9) is None
    assert library.path(9) is None
    with pytest.raises(StoreError, match="event 9 has no clip"):
        library.keep(9, 1, b"", ".mp3")
