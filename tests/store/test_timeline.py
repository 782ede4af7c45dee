"""When the wall clock is set, what was written since the boot moves with it, in order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beepwatch.store.database import Database
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from beepwatch.store.timeline import Timeline
from tests.store.messages_of_a_day import NOON, at, beep, heard, notice, sound

PIN = NOON - timedelta(hours=1)  # the machine was started an hour before noon
DAY = timedelta(days=1)


def write(outbox: Outbox, number: int, second: float) -> None:
    outbox.write(
        event=beep(second),
        clip=sound(0.01),
        alert=heard(str(number), created_s=second, due_s=second + 3_600),
        channels=["console"],
    )


def times(database: Database) -> list[datetime]:
    with database.reading() as sql:
        rows = sql.execute("SELECT onset FROM events ORDER BY id").fetchall()
    return [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row[0]) for row in rows]


@pytest.mark.parametrize("by", [DAY, -DAY, timedelta(days=20_000), timedelta(seconds=6)])
def test_all_times_of_this_boot_move_by_what_the_clock_was_set_by(
    database: Database, outbox: Outbox, by: timedelta
) -> None:
    timeline = Timeline(database, "boot")
    assert timeline.follow(PIN, at(0)) == timedelta()
    write(outbox, 1, 0)
    delivery = outbox.due("console", at(3_600))
    assert delivery is not None
    outbox.failed(delivery.id, error="no network", tried_at=at(0), next_try_at=at(20))
    assert timeline.follow(PIN + by, at(30) + by) == by
    (event,) = outbox.events_of(1)
    assert (event.onset, event.offset) == (at(0) + by, at(0.2) + by)
    moved = outbox.due("console", at(3_600) + by)
    assert moved is not None
    assert moved.alert.created_at == at(0) + by
    assert moved.alert.due_at == at(3_600) + by
    assert moved.next_try_at == at(20) + by
    with database.reading() as sql:
        (started_us,) = sql.execute("SELECT started_at FROM clips").fetchone()
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=started_us) == at(0) + by


@pytest.mark.parametrize(("by", "dated"), [(-DAY, at(30) - 2 * DAY), (DAY, at(30) + DAY)])
def test_a_notice_of_the_moment_after_a_setting_back_is_moved_with_the_rest(
    database: Database, outbox: Outbox, by: timedelta, dated: datetime
) -> None:
    """It has the new time, which looks like an old one, and is dated too early by as much; after
    a step forward the two are told apart.
    """
    timeline = Timeline(database, "boot")
    timeline.follow(PIN, at(0))
    outbox.write(alert=notice(created_s=30 + by.total_seconds()), channels=["console"])
    timeline.follow(PIN + by, at(31) + by)
    delivery = outbox.due("console", at(60) + 2 * abs(by))
    assert delivery is not None
    assert delivery.alert.created_at == dated


def test_what_earlier_boots_wrote_stays(database: Database, outbox: Outbox) -> None:
    Timeline(database, "first").follow(PIN, at(0))
    write(outbox, 1, 0)
    second = Timeline(database, "second")
    assert second.follow(PIN + DAY, at(0) + DAY) == timedelta()
    write(outbox, 2, 60)
    assert second.follow(PIN + 2 * DAY, at(100) + 2 * DAY) == DAY
    assert times(database) == [at(0), at(60) + DAY]


def test_a_clock_that_runs_a_little_off_moves_nothing_until_it_adds_up(
    database: Database, outbox: Outbox
) -> None:
    timeline = Timeline(database, "boot")
    write(outbox, 1, 0)
    moved = [timeline.follow(PIN + timedelta(seconds=s), at(10)) for s in (0, 2, 4, 5, 6)]
    assert [one.total_seconds() for one in moved] == [0, 0, 0, 0, 6]


def test_a_notice_that_was_written_after_the_clock_was_set_forward_stays(
    database: Database, outbox: Outbox
) -> None:
    timeline = Timeline(database, "boot")
    timeline.follow(PIN, at(0))
    write(outbox, 1, 0)
    outbox.write(alert=heard("new", created_s=86_400 + 9), channels=["console"])
    timeline.follow(PIN + DAY, at(10) + DAY)
    with database.reading() as sql:
        rows = sql.execute("SELECT created_at FROM alerts ORDER BY id").fetchall()
    assert rows[1][0] - rows[0][0] == 9_000_000


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.floats(10, 5_000), st.integers(-90_000, 90_000).filter(lambda s: abs(s) > 5)),
        min_size=1,
        max_size=8,
    )
)
def test_however_often_the_clock_is_set_events_are_as_far_apart_as_they_were(
    database: Database, outbox: Outbox, steps: list[tuple[float, int]]
) -> None:
    """Each step: so long passes, a beep is written by the clock as it is, the clock is set."""
    with database.transaction() as sql:
        sql.execute("DELETE FROM boots")
        sql.execute("DELETE FROM events")
    timeline = Timeline(database, "boot")
    passed_s, off_s = 0.0, 0
    happened_s = []
    timeline.follow(PIN, at(0))
    for number, (forward_s, set_by_s) in enumerate(steps):
        passed_s += forward_s
        outbox.write(event=beep(passed_s + off_s))
        happened_s.append(passed_s)
        off_s += set_by_s
        timeline.follow(PIN + timedelta(seconds=off_s), at(passed_s + off_s))
        assert len(event_rows(database)) == number + 1
    expected = [at(one + off_s) for one in happened_s]
    assert all(
        abs(a - b) < timedelta(milliseconds=1)
        for a, b in zip(times(database), expected, strict=True)
    )
