"""What makes room: the oldest clips go first, told ones before those still to be told."""

import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from beepwatch.errors import StoreError
from beepwatch.messages import Clip
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.outbox import Outbox
from tests.store.clips import keep
from tests.store.messages_of_a_day import NOON, at, beep, heard, sound

EVERYTHING_FITS = {"keep_days": 30.0, "max_mb": 1_000.0, "min_free_mb": 0.0}


def a_day_each(outbox: Outbox, library: Library, days: int) -> list[Path]:
    """One clip of 1000 bytes at each noon, the first one oldest."""
    paths = []
    for day in range(days):
        clip = sound()
        outbox.write(
            event=beep(day * 86_400),
            clip=type(clip)(pcm=clip.pcm, rate_hz=clip.rate_hz, started_at=at(day * 86_400)),
            alert=heard(str(day)),
            channels=["telegram:1"],
        )
        paths.append(keep(library, day + 1, bytes(1_000)))
    return paths


def tell_all(outbox: Outbox) -> None:
    while delivery := outbox.due("telegram:1", at(10**7)):
        outbox.sent(delivery.id, reference=None, revision=delivery.revision, sent_at=at(10**7))


def left(paths: list[Path]) -> list[int]:
    return [day for day, path in enumerate(paths) if path.exists()]


def test_clips_older_than_the_limit_go_with_their_empty_folders(
    outbox: Outbox, library: Library
) -> None:
    paths = a_day_each(outbox, library, 4)
    tell_all(outbox)
    now = at(4 * 86_400)
    tidied = library.tidy(now, **{**EVERYTHING_FITS, "keep_days": 2.5})
    assert left(paths) == [2, 3]
    assert (tidied.clips, tidied.size_bytes) == (2, 2_000)
    assert not paths[0].parent.exists()
    assert library.path(1) is None
    assert outbox.events_of(1)[0].clip is None
    assert library.tidy(now, **{**EVERYTHING_FITS, "keep_days": 2.5}).clips == 0


def test_the_oldest_go_first_when_they_are_too_many(outbox: Outbox, library: Library) -> None:
    paths = a_day_each(outbox, library, 4)
    tell_all(outbox)
    library.tidy(at(4 * 86_400), **{**EVERYTHING_FITS, "max_mb": 0.002_5})
    assert left(paths) == [2, 3]


def test_clips_make_room_on_a_full_disk(
    outbox: Outbox, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = a_day_each(outbox, library, 3)
    tell_all(outbox)

    def nearly_full(_path: Path) -> object:
        class Usage:
            free = 9_000

        return Usage

    monkeypatch.setattr("beepwatch.store.library.shutil.disk_usage", nearly_full)
    library.tidy(at(0), **{**EVERYTHING_FITS, "min_free_mb": 0.01})
    assert left(paths) == [1, 2]


def test_clips_of_unsent_alerts_go_last_and_never_for_their_age(
    outbox: Outbox, library: Library
) -> None:
    paths = a_day_each(outbox, library, 3)
    first = outbox.due("telegram:1", at(10**7))
    assert first is not None
    tell_all(outbox)
    outbox.write(event=beep(3 * 86_400), clip=sound(), alert=heard("late"), channels=["console"])
    late = keep(library, 4, bytes(1_000))
    now = at(10**8)
    library.tidy(now, **EVERYTHING_FITS)
    assert left([*paths, late]) == [3]
    library.tidy(now, **{**EVERYTHING_FITS, "max_mb": 0.000_1})
    assert left([*paths, late]) == []


def test_a_clip_taken_away_by_hand_is_forgotten(outbox: Outbox, library: Library) -> None:
    paths = a_day_each(outbox, library, 2)
    tell_all(outbox)
    paths[0].unlink()
    tidied = library.tidy(at(0) + timedelta(days=30.5), **EVERYTHING_FITS)
    assert (tidied.clips, tidied.size_bytes) == (1, 0)
    assert library.path(1) is None


class Kept(NamedTuple):
    """A clip of the property test: how old, how large, told or not."""

    age_days: int
    size_bytes: int
    told: bool


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    clips=st.lists(
        st.builds(Kept, st.integers(0, 60), st.integers(0, 5_000), st.booleans()), max_size=12
    ),
    keep_days=st.integers(1, 60),
    most_bytes=st.integers(0, 30_000),
)
def test_of_any_clips_just_those_go_that_have_to_the_oldest_and_told_first(
    tmp_path: Path, clips: list[Kept], keep_days: int, most_bytes: int
) -> None:
    """Told clips go for their age; then the oldest told, then the oldest untold, while too many."""
    database = Database(tmp_path / uuid.uuid4().hex)
    outbox, library = Outbox(database), Library(database)
    for number, clip in enumerate(clips, start=1):
        started_at = NOON - timedelta(days=clip.age_days, seconds=number)
        pcm = Clip(pcm=bytes(2), rate_hz=16_000, started_at=started_at)
        channels = [] if clip.told else ["console"]
        outbox.write(event=beep(), clip=pcm, alert=heard(str(number)), channels=channels)
        keep(library, number, bytes(clip.size_bytes))
    limit = {"keep_days": keep_days + 0.5, "max_mb": most_bytes / 1e6, "min_free_mb": 0.0}
    library.tidy(NOON, **limit)
    stay = {number for number in range(1, len(clips) + 1) if library.path(number) is not None}

    def order(number: int) -> tuple[bool, int, int]:
        clip = clips[number - 1]
        return (not clip.told, -clip.age_days, -number)

    outlived = {
        number
        for number, clip in enumerate(clips, start=1)
        if clip.told and clip.age_days > keep_days
    }
    queue = sorted(range(1, len(clips) + 1), key=order)
    expected = [number for number in queue if number not in outlived]
    while sum(clips[number - 1].size_bytes for number in expected) > most_bytes:
        expected.pop(0)
    assert stay == set(expected)
    assert len(list(database.directory.rglob("*.mp3"))) == len(stay)
    database.close()


def test_room_of_sound_that_waited_goes_back_to_the_disk_instead_of_costing_clips(
    outbox: Outbox, library: Library, database: Database
) -> None:
    """The messenger was away for 5 clips of 30 s, 4.8 MB, and then encodes them all."""
    clip = sound(30)
    for number in range(5):
        outbox.write(event=beep(60.0 * number), clip=clip)
    for event_id in library.pending():
        keep(library, event_id, b"m" * 1_000)
    database.close()  # what is in the WAL comes into the file
    assert database.path.stat().st_size > 4_800_000
    again = Database(database.directory)
    tidied = Library(again).tidy(NOON, keep_days=30, max_mb=1, min_free_mb=0)
    again.close()
    assert tidied.clips == 0
    assert database.path.stat().st_size < 1_300_000  # a clip's sound comes and goes in that
    shortened = Database(database.directory)
    assert shortened.integrity() == []
    assert [Library(shortened).path(event_id) is not None for event_id in range(1, 6)] == 5 * [True]
    shortened.close()


def test_an_event_whose_sound_has_gone_takes_little_room_for_good(
    outbox: Outbox, library: Library, database: Database
) -> None:
    """Sound leaves rows of all sizes on the database's pages, and takes the pages along."""

    def used_bytes() -> int:
        with database.reading() as sql:
            pages, free, size = (
                sql.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def hear(first: int, count: int) -> None:
        for number in range(first, first + count):
            outbox.write(event=beep(60.0 * number), clip=sound(0.5 + 0.01 * number))
            if number % 4 == 3:
                for event_id in library.pending():
                    keep(library, event_id)

    hear(0, 20)
    before_bytes = used_bytes()
    hear(20, 80)
    assert used_bytes() - before_bytes < 80 * 500
    library.tidy(NOON, keep_days=30, max_mb=0, min_free_mb=0)
    assert [library.path(event_id) for event_id in range(1, 101)] == 100 * [None]
    assert database.integrity() == []


def test_a_picture_goes_with_the_clips_of_its_time_unless_it_is_still_to_be_told(
    outbox: Outbox, library: Library
) -> None:
    for number in range(3):
        outbox.write(
            event=beep(number * 86_400), picture=b"PNG", alert=heard(f"{number}"), channels=["a"]
        )
    for number in (0, 1):
        delivery = outbox.due("a", at(10**7))
        assert delivery is not None
        outbox.sent(delivery.id, reference=None, revision=1, sent_at=at(number))
    library.tidy(at(0) + timedelta(days=30.5), **EVERYTHING_FITS)
    assert [outbox.picture(event_id) for event_id in (1, 2, 3)] == [None, b"PNG", b"PNG"]
    library.tidy(at(0) + timedelta(days=90), **EVERYTHING_FITS)
    assert [outbox.picture(event_id) for event_id in (1, 2, 3)] == [None, None, b"PNG"]


def test_a_clip_that_cannot_be_deleted_keeps_no_other_and_goes_when_it_can(
    outbox: Outbox, library: Library
) -> None:
    """Or the disk would fill for good behind it: it is the oldest, and first every time."""
    paths = a_day_each(outbox, library, 3)
    tell_all(outbox)
    paths[0].unlink()
    paths[0].mkdir()
    now = at(40 * 86_400)
    with capture_logs() as logs:
        tidied = library.tidy(now, **EVERYTHING_FITS)
    assert (tidied.clips, tidied.size_bytes) == (2, 2_000)
    assert left(paths) == [0]
    assert [library.path(event_id) is not None for event_id in (1, 2, 3)] == [True, False, False]
    (said,) = [line for line in logs if line["event"] == "clips_not_deleted"]
    assert (said["clips"], str(paths[0]) in said["first"]) == (1, True)
    paths[0].rmdir()
    assert library.tidy(now, **EVERYTHING_FITS).clips == 1


def test_a_picture_that_cannot_be_forgotten_keeps_no_clip(
    outbox: Outbox, library: Library, database: Database
) -> None:
    """On a full disk the row of one may not go before clips have made room for that."""
    outbox.write(event=beep(), clip=sound(), picture=b"PNG")
    path = keep(library, 1)
    with database.transaction() as sql:
        sql.execute(
            "CREATE TRIGGER refused BEFORE DELETE ON pictures BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(StoreError):
        library.tidy(at(40 * 86_400), **EVERYTHING_FITS)
    assert not path.exists()


def test_years_of_alerts_are_not_looked_through_for_each_clip(
    outbox: Outbox, library: Library, database: Database
) -> None:
    """It takes seconds of a small machine, in which nobody else gets at the database."""
    a_day_each(outbox, library, 100)
    steps: list[None] = []
    with database.reading() as sql:
        sql.set_progress_handler(lambda: steps.append(None), 100)

    def steps_of_tidying() -> int:
        steps.clear()
        library.tidy(NOON, **EVERYTHING_FITS)
        return 100 * len(steps)

    before = steps_of_tidying()
    with database.transaction() as sql:
        for number in range(2_000):
            told = sql.execute(
                "INSERT INTO alerts (kind, text, created_at, due_at, dedupe_key) "
                "VALUES ('started', '', 0, 0, ?)",
                (f"more {number}",),
            )
            sql.execute(
                "INSERT INTO deliveries (alert_id, channel, state) VALUES (?, 'a', 'sent')",
                (told.lastrowid,),
            )
    assert steps_of_tidying() - before < 2_000 * 50


def test_looking_at_the_clips_leaves_no_names_behind(
    outbox: Outbox, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hour, however many there are; what pathlib interns stays a hole in Python's table."""
    interned: list[str] = []

    def intern(name: str) -> str:
        interned.append(name)
        return name

    monkeypatch.setattr(sys, "intern", intern)
    for number in range(1, 6):
        outbox.write(event=beep(float(number)), clip=sound())
        keep(library, number)
    interned.clear()
    assert library.tidy(at(60), **EVERYTHING_FITS).clips == 0
    assert not [name for name in interned if name.endswith(".mp3")]
