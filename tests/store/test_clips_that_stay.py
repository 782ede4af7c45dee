"""Sound that is still wanted outlives retention, and is let go of only for a file on the disk."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from beepwatch.errors import DiskFull
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import at, beep, heard, sound

A_MONTH_LATER = at(0) + timedelta(days=31)
EVERYTHING_FITS = {"keep_days": 30.0, "max_mb": 1_000.0, "min_free_mb": 0.0}


def keep(library: Library, event_id: int) -> Path:
    pending = library.pending_pcm(event_id)
    assert pending is not None
    return library.keep(event_id, pending[0], b"mp3", ".mp3")


def test_every_clip_of_a_burst_stays_while_its_alert_is_still_to_be_told(
    outbox: Outbox, library: Library
) -> None:
    first = outbox.write(
        event=beep(final=True), clip=sound(), alert=heard(), channels=["telegram:1"]
    )
    outbox.write(event=beep(30, final=True), clip=sound(), told_by=first.alert_id)
    outbox.write(event=beep(60, final=True), clip=sound())
    paths = [keep(library, event_id) for event_id in (1, 2, 3)]
    library.tidy(A_MONTH_LATER, **EVERYTHING_FITS)
    assert [path.exists() for path in paths] == [True, True, False]


def test_the_whole_sound_that_waits_outlives_the_old_clip_whose_place_it_takes(
    outbox: Outbox, library: Library
) -> None:
    outbox.write(event=beep(), clip=sound(1))
    old = keep(library, 1)
    outbox.write(event=beep(pulses=2, final=True, id=1), clip=sound(2))
    library.tidy(A_MONTH_LATER, **EVERYTHING_FITS)
    assert not old.exists()
    assert library.path(1) is None
    waiting = library.pending_pcm(1)
    assert waiting is not None
    assert waiting[1] == sound(2)


def test_a_longer_clip_that_the_disk_has_no_room_for_leaves_the_one_before_whole(
    outbox: Outbox, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.write(event=beep(), clip=sound(1))
    path = keep(library, 1)
    outbox.write(event=beep(pulses=2, final=True, id=1), clip=sound(2))

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        keep(library, 1)
    assert path.read_bytes() == b"mp3"
    assert list(path.parent.iterdir()) == [path]
    assert library.path(1) == path
    assert library.pending() == [1]


@pytest.fixture
def synced(library: Library, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, object]]:
    """Each file with its content and each folder with its names, as a power cut would leave them,
    while the sound is still in the database.
    """
    found: list[tuple[Path, object]] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        path = Path(f"/proc/self/fd/{handle}").resolve()
        held = path.read_bytes() if path.is_file() else {one.name for one in path.iterdir()}
        if library.pending():
            found.append((path, held))

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_sound_is_let_go_of_when_its_file_and_its_name_outlive_a_power_cut(
    outbox: Outbox, library: Library, synced: list[tuple[Path, object]]
) -> None:
    """What is only written may be gone after one, and so may what was only renamed."""
    outbox.write(event=beep(), clip=sound())
    path = keep(library, 1)
    (_, content), name = synced[-2:]
    assert content == b"mp3"
    assert name == (path.parent, {path.name})
    assert library.pending() == []


def test_the_folders_of_a_new_day_outlive_a_power_cut_too(
    outbox: Outbox, library: Library, synced: list[tuple[Path, object]]
) -> None:
    for number in (1, 2):
        outbox.write(event=beep(number), clip=sound())
    path = keep(library, 1)
    day, month, year, clips, state = path.parents[:5]
    names = [(folder, names) for folder, names in synced if isinstance(names, set)]
    assert names[0][0] == state
    assert clips.name in names[0][1]
    assert names[1:] == [
        (clips, {year.name}),
        (year, {month.name}),
        (month, {day.name}),
        (day, {path.name}),
    ]
    synced.clear()
    keep(library, 2)
    assert [folder for folder, names in synced if isinstance(names, set)] == [day]
