"""What people said of events is kept, and so are the clips of these."""

import errno
import os
from pathlib import Path

import pytest

from beepwatch.messages import Chosen, Verdict
from beepwatch.store.corrections import Corrections, corrections, mark_used
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import NOON, at, beep, heard, sound

CHAT = 7
NO_LIMITS = {"keep_days": 1.0, "max_mb": 1e6, "min_free_mb": 0.0}


def tell(outbox: Outbox, library: Library, number: int = 1, content: bytes = b"mp3") -> int:
    """A beep that was told, with its clip as a file; its number."""
    channels = ["console", f"telegram:{CHAT}", "telegram:8"]
    written = outbox.write(
        event=beep(60 * number, final=True),
        clip=sound(),
        alert=heard(str(number), created_s=60 * number),
        channels=channels,
    )
    assert written.event_id is not None
    library.keep(written.event_id, 1, content, ".mp3")
    for channel in channels:
        delivery = outbox.due(channel, at(10_000))
        assert delivery is not None
        outbox.sent(delivery.id, reference=None, revision=delivery.revision, sent_at=at(0))
    return written.event_id


def test_the_clip_of_a_judged_event_outlives_retention(
    database: Database, outbox: Outbox, library: Library
) -> None:
    event_id = tell(outbox, library)
    ours = Corrections(database)
    assert ours.judge(event_id, Verdict.WRONG, CHAT, at(100))
    assert ours.keep_clips() == 1
    assert library.tidy(at(10 * 86_400), **NO_LIMITS).clips == 1
    (one,) = corrections(database)
    assert one.path == database.directory / "feedback" / "beep" / f"{event_id}.mp3"
    assert one.path.read_bytes() == b"mp3"
    assert (one.label, one.verdict, one.judged_at, one.used) == (
        "beep",
        Verdict.WRONG,
        at(100),
        False,
    )
    modes = [path.stat().st_mode & 0o777 for path in (one.path, one.path.parent)]
    assert modes == [0o600, 0o700]


def test_a_verdict_can_be_changed_and_a_second_tap_changes_nothing(
    database: Database, outbox: Outbox, library: Library
) -> None:
    event_id = tell(outbox, library)
    ours = Corrections(database)
    assert ours.judge(event_id, Verdict.RIGHT, CHAT, at(100))
    assert not ours.judge(event_id, Verdict.RIGHT, 8, at(101))
    ours.keep_clips()
    mark_used(database, corrections(database), at(102))
    assert corrections(database)[0].used
    assert ours.judge(event_id, Verdict.WRONG, 8, at(103))
    (one,) = corrections(database)
    assert (one.verdict, one.judged_at, one.used) == (Verdict.WRONG, at(103), False)
    assert [row.verdict for row in event_rows(database)] == [Verdict.WRONG]


def test_a_verdict_is_shown_on_every_chat_and_no_other_channel(
    database: Database, outbox: Outbox, library: Library
) -> None:
    event_id = tell(outbox, library)
    assert outbox.edit_due("telegram:8", at(0)) is None
    Corrections(database).judge(event_id, Verdict.RIGHT, CHAT, at(0))
    stale = [outbox.edit_due(name, at(0)) for name in ("console", "telegram:7", "telegram:8")]
    assert [one is not None for one in stale] == [False, True, True]
    assert stale[1] is not None
    assert outbox.chosen(stale[1].alert.id or 0, "telegram:7") == Chosen(verdict=Verdict.RIGHT)


def test_a_clip_is_kept_once_its_episode_is_over(
    database: Database, outbox: Outbox, library: Library
) -> None:
    written = outbox.write(event=beep(), clip=sound(), alert=heard(), channels=["console"])
    assert written.event_id is not None
    library.keep(written.event_id, 1, b"half", ".mp3")
    ours = Corrections(database)
    ours.judge(written.event_id, Verdict.RIGHT, CHAT, NOON)
    assert ours.keep_clips() == 0
    outbox.write(event=beep(pulses=5, final=True, id=written.event_id), clip=sound(2.0))
    assert ours.keep_clips() == 0
    library.keep(written.event_id, 2, b"whole", ".mp3")
    assert ours.keep_clips() == 1
    assert ours.keep_clips() == 0
    assert corrections(database)[0].path.read_bytes() == b"whole"


def test_what_was_taught_makes_room_for_new_ones_and_nothing_else_does(
    database: Database, outbox: Outbox, library: Library
) -> None:
    ours = Corrections(database, most_mb=0.000_25)
    events = [tell(outbox, library, number, bytes(100)) for number in range(4)]
    for number, event_id in enumerate(events[:3]):
        ours.judge(event_id, Verdict.WRONG, CHAT, at(number))
    assert ours.keep_clips() == 2
    mark_used(database, corrections(database)[1:], at(10))
    assert ours.keep_clips() == 1
    assert [one.event_id for one in corrections(database)] == [events[0], events[2]]
    ours.judge(events[3], Verdict.WRONG, CHAT, at(20))
    ours.keep_clips()
    assert [one.event_id for one in corrections(database)] == [events[0], events[2]]
    assert [row.verdict for row in event_rows(database)] == [Verdict.WRONG] * 4


def test_a_file_system_without_links_gets_a_copy(
    database: Database, outbox: Outbox, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_paths: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuses)
    event_id = tell(outbox, library)
    ours = Corrections(database)
    ours.judge(event_id, Verdict.RIGHT, CHAT, NOON)
    assert ours.keep_clips() == 1
    (one,) = corrections(database)
    assert one.path.read_bytes() == b"mp3"
    assert one.path.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in one.path.parent.iterdir()) == [f"{event_id}.mp3"]


def test_a_clip_that_somebody_took_away_is_in_no_list(
    database: Database, outbox: Outbox, library: Library
) -> None:
    ours = Corrections(database)
    kept, gone = (tell(outbox, library, number) for number in (1, 2))
    ours.judge(kept, Verdict.RIGHT, CHAT, at(0))
    ours.judge(gone, Verdict.RIGHT, CHAT, at(1))
    (database.directory / str(event_rows(database)[1].clip)).unlink()
    assert ours.keep_clips() == 1
    assert [one.event_id for one in corrections(database)] == [kept]
    Path(corrections(database)[0].path).unlink()
    assert corrections(database) == []
