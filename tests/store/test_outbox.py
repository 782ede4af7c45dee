"""The outbox, one behaviour at a time, on a real database file."""

from datetime import timedelta
from functools import partial

import pytest

from beepwatch.messages import DeliveryState
from beepwatch.store.database import Database
from beepwatch.store.library import Library
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from tests.store.messages_of_a_day import at, beep, heard, notice, sound
from tests.store.pending import pending_by_channel

CHANNEL = "telegram:1"


def due_key(outbox: Outbox, now_s: float, channel: str = CHANNEL) -> str | None:
    delivery = outbox.due(channel, at(now_s))
    return delivery.alert.dedupe_key if delivery else None


def send(outbox: Outbox, now_s: float = 1) -> int:
    """Take what is due and mark it sent, as of its revision."""
    delivery = outbox.due(CHANNEL, at(now_s))
    assert delivery is not None
    outbox.sent(delivery.id, reference="77", revision=delivery.revision, sent_at=at(now_s))
    return delivery.id


def test_one_write_holds_event_clip_alert_and_a_delivery_per_channel(
    outbox: Outbox, library: Library, database: Database
) -> None:
    written = outbox.write(event=beep(), clip=sound(), alert=heard(), channels=["console", CHANNEL])
    assert (written.event_id, written.alert_id) == (1, 1)
    assert pending_by_channel(database) == {"console": 1, CHANNEL: 1}
    assert library.pending() == [1]
    delivery = outbox.due(CHANNEL, at(0))
    assert delivery is not None
    assert delivery.alert.text == "beep"
    assert delivery.alert.event_id == 1
    assert delivery.state is DeliveryState.PENDING
    assert delivery.attempts == 0


def test_nothing_is_written_when_a_part_cannot_be(
    outbox: Outbox, library: Library, database: Database
) -> None:
    with pytest.raises(Exception, match="UNIQUE"):
        outbox.write(event=beep(), clip=sound(), alert=heard(), channels=[CHANNEL, CHANNEL])
    assert outbox.last_heard() is None
    assert library.pending() == []
    assert pending_by_channel(database) == {}


def test_an_alert_written_twice_is_told_once(outbox: Outbox, database: Database) -> None:
    first = outbox.write(event=beep(), alert=heard("k"), channels=[CHANNEL])
    again = outbox.write(event=beep(pulses=2), alert=heard("k"), channels=[CHANNEL])
    assert (again.event_id, again.alert_id) == (first.event_id, first.alert_id)
    assert pending_by_channel(database) == {CHANNEL: 1}
    assert [event.pulses for event in outbox.events_of(1)] == [2]


def test_an_event_with_id_takes_the_place_of_what_was_known(outbox: Outbox) -> None:
    written = outbox.write(event=beep(pulses=1), alert=heard(), channels=[CHANNEL])
    outbox.write(event=beep(pulses=5, final=True, id=written.event_id))
    (event,) = outbox.events_of(1)
    assert (event.pulses, event.final, event.offset) == (5, True, at(4.2))


def test_a_final_event_stays_final(outbox: Outbox) -> None:
    written = outbox.write(event=beep(final=True), alert=heard())
    outbox.write(event=beep(id=written.event_id))
    assert outbox.events_of(1)[0].final


def test_an_event_of_a_database_that_was_put_aside_is_written_anew(outbox: Outbox) -> None:
    written = outbox.write(event=beep(id=40), told_by=12)
    assert written.event_id == 40
    assert outbox.last_heard() == at(0.2)


def test_a_clip_without_event_is_a_programming_error(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="no event was given"):
        outbox.write(clip=sound())
    with pytest.raises(ValueError, match="by a new one"):
        outbox.write(event=beep(), alert=heard(), told_by=3)


def test_what_was_heard_last_is_the_end_of_the_latest_pulse(outbox: Outbox) -> None:
    """Whatever was told or written since."""
    assert outbox.last_heard() is None
    outbox.write(event=beep(60, pulses=3))
    outbox.write(event=beep(), alert=heard(created_s=90))
    outbox.write(alert=notice(created_s=99))
    assert outbox.last_heard() == at(62.2)


def test_alerts_are_due_in_the_order_of_writing(outbox: Outbox) -> None:
    for key in "abc":
        outbox.write(alert=notice(key), channels=[CHANNEL])
    order = []
    for _ in range(3):
        order.append(due_key(outbox, 1))
        send(outbox)
    assert order == ["a", "b", "c"]
    assert due_key(outbox, 1) is None


def test_one_that_failed_holds_back_the_later_ones_of_its_channel_only(outbox: Outbox) -> None:
    outbox.write(alert=notice("a"), channels=[CHANNEL, "console"])
    outbox.write(alert=notice("b"), channels=[CHANNEL, "console"])
    first = outbox.due(CHANNEL, at(0))
    assert first is not None
    outbox.failed(first.id, error="no route", tried_at=at(0), next_try_at=at(60))
    assert due_key(outbox, 59) is None
    assert outbox.next_due_at(CHANNEL, at(59)) == at(60)
    assert due_key(outbox, 59, "console") == "a"
    again = outbox.due(CHANNEL, at(60))
    assert again is not None
    assert (again.alert.dedupe_key, again.attempts, again.last_error) == ("a", 1, "no route")


def test_one_in_quiet_hours_holds_back_none(outbox: Outbox) -> None:
    outbox.write(event=beep(), alert=heard("quiet", due_s=3_600), channels=[CHANNEL])
    assert outbox.next_due_at(CHANNEL, at(1)) == at(3_600)
    outbox.write(alert=notice("fault", created_s=1), channels=[CHANNEL])
    assert due_key(outbox, 1) == "fault"
    assert outbox.next_due_at(CHANNEL, at(1)) == at(1)
    send(outbox)
    assert due_key(outbox, 3_599) is None
    assert due_key(outbox, 3_600) == "quiet"


def test_a_clock_set_back_a_day_holds_up_nothing_that_was_due(outbox: Outbox) -> None:
    day_s = 86_400
    outbox.write(alert=notice("now"), channels=[CHANNEL])
    assert due_key(outbox, -day_s) == "now"
    delivery = outbox.due(CHANNEL, at(0))
    assert delivery is not None
    outbox.failed(delivery.id, error="no route", tried_at=at(0), next_try_at=at(300))
    assert due_key(outbox, 1) is None
    assert due_key(outbox, -day_s) == "now"
    send(outbox, -day_s)
    outbox.write(event=beep(), alert=heard("quiet", due_s=3_600), channels=[CHANNEL])
    assert due_key(outbox, -1) is None
    assert due_key(outbox, -day_s) == "quiet"


def test_what_was_sent_refused_or_expired_is_not_sent_again(outbox: Outbox) -> None:
    ids = []
    for key in "abc":
        outbox.write(alert=notice(key), channels=[CHANNEL])
    ids.append(send(outbox))
    for settle in (outbox.refused, partial(outbox.expired, and_before=at(-1))):
        delivery = outbox.due(CHANNEL, at(1))
        assert delivery is not None
        settle(delivery.id, error="chat not found")
        ids.append(delivery.id)
    assert outbox.due(CHANNEL, at(9_999)) is None
    assert outbox.next_due_at(CHANNEL, at(9_999)) is None
    for delivery_id in ids:  # a late answer changes nothing
        outbox.failed(delivery_id, error="late", tried_at=at(1), next_try_at=at(1))
        outbox.refused(delivery_id, error="late")
    assert outbox.due(CHANNEL, at(9_999)) is None


def test_a_sent_message_is_edited_when_its_event_has_grown(outbox: Outbox) -> None:
    outbox.write(event=beep(), alert=heard(), channels=[CHANNEL])
    delivery_id = send(outbox)
    assert outbox.edit_due(CHANNEL, at(2)) is None
    outbox.write(event=beep(pulses=5, final=True, id=1))
    stale = outbox.edit_due(CHANNEL, at(2))
    assert stale is not None
    assert (stale.id, stale.reference) == (delivery_id, "77")
    assert outbox.next_due_at(CHANNEL, at(2)) == at(2)
    outbox.edited(stale.id, revision=stale.revision)
    assert outbox.edit_due(CHANNEL, at(2)) is None
    assert outbox.next_due_at(CHANNEL, at(2)) is None


def test_what_was_sent_after_a_failure_is_edited_as_soon_as_there_is_more(outbox: Outbox) -> None:
    """News end the wait for the next try; what is left of it is no reason to wait."""
    outbox.write(event=beep(), alert=heard(), channels=[CHANNEL])
    delivery = outbox.due(CHANNEL, at(0))
    assert delivery is not None
    outbox.failed(delivery.id, error="no route", tried_at=at(0), next_try_at=at(300))
    outbox.sent(delivery.id, reference="77", revision=delivery.revision, sent_at=at(1))
    outbox.write(event=beep(pulses=5, final=True, id=1))
    stale = outbox.edit_due(CHANNEL, at(2))
    assert stale is not None
    assert (stale.attempts, stale.last_error) == (2, None)


def test_an_event_that_grew_before_the_send_needs_no_edit(outbox: Outbox) -> None:
    outbox.write(event=beep(), alert=heard(), channels=[CHANNEL])
    outbox.write(event=beep(pulses=5, final=True, id=1))
    send(outbox)
    assert outbox.edit_due(CHANNEL, at(2)) is None


def test_an_event_that_grew_during_the_send_is_edited(outbox: Outbox) -> None:
    outbox.write(event=beep(), alert=heard(), channels=[CHANNEL])
    delivery = outbox.due(CHANNEL, at(0))
    assert delivery is not None
    outbox.write(event=beep(pulses=5, final=True, id=1))
    outbox.sent(delivery.id, reference="77", revision=delivery.revision, sent_at=at(1))
    assert outbox.edit_due(CHANNEL, at(2)) is not None


def test_a_later_episode_of_the_burst_edits_the_message_that_told_of_the_first(
    outbox: Outbox,
) -> None:
    outbox.write(event=beep(final=True), alert=heard(), channels=[CHANNEL])
    send(outbox)
    second = outbox.write(event=beep(30, pulses=2), told_by=1)
    assert (second.event_id, second.alert_id) == (2, None)
    stale = outbox.edit_due(CHANNEL, at(31))
    assert stale is not None
    assert [event.onset for event in outbox.events_of(stale.alert.id or 0)] == [at(0), at(30)]
    outbox.edited(stale.id, revision=stale.revision)
    outbox.write(event=beep(30, pulses=3, final=True, id=2))
    assert outbox.edit_due(CHANNEL, at(40)) is not None


def test_an_edit_that_failed_waits_and_holds_back_no_alert(outbox: Outbox) -> None:
    outbox.write(event=beep(), alert=heard(), channels=[CHANNEL])
    delivery_id = send(outbox)
    outbox.write(event=beep(pulses=5, final=True, id=1))
    outbox.edit_failed(delivery_id, error="502", tried_at=at(2), next_try_at=at(60))
    assert outbox.edit_due(CHANNEL, at(59)) is None
    assert outbox.next_due_at(CHANNEL, at(59)) == at(60)
    outbox.write(alert=notice(), channels=[CHANNEL])
    assert due_key(outbox, 59) == "start"
    stale = outbox.edit_due(CHANNEL, at(60))
    assert stale is not None
    assert stale.attempts == 1


def test_a_notice_has_no_events(outbox: Outbox) -> None:
    written = outbox.write(alert=notice(), channels=[CHANNEL])
    assert written.event_id is None
    assert outbox.events_of(1) == []


def test_an_alert_that_is_due_now_but_later_than_created_is_due(outbox: Outbox) -> None:
    """Quiet hours that end exactly now have ended."""
    outbox.write(alert=heard(due_s=10), channels=[CHANNEL])
    assert due_key(outbox, 10 - 0.000_001) is None
    assert outbox.due(CHANNEL, at(10)) is not None
    assert outbox.next_due_at(CHANNEL, at(10) - timedelta(microseconds=1)) == at(10)


def test_a_message_too_many_alerts_back_is_left_as_it_is(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beepwatch.store.outbox._EDITABLE_ALERTS", 3)
    outbox.write(event=beep(), alert=heard(), channels=[CHANNEL])
    send(outbox)
    outbox.write(event=beep(pulses=5, id=1))
    for key in "ab":
        outbox.write(alert=notice(key))
        assert outbox.edit_due(CHANNEL, at(1)) is not None
    outbox.write(alert=notice("c"))
    assert outbox.edit_due(CHANNEL, at(1)) is None


def test_an_episode_that_outlasts_the_cooldown_is_told_by_both_its_alerts(
    outbox: Outbox, database: Database
) -> None:
    first = outbox.write(event=beep(), alert=heard("a"), channels=[CHANNEL])
    again = outbox.write(
        event=beep(pulses=200, id=first.event_id), alert=heard("b"), channels=[CHANNEL]
    )
    assert again.event_id == first.event_id
    for _ in range(2):
        send(outbox)
    outbox.write(event=beep(pulses=300, final=True, id=1), told_by=again.alert_id)
    for alert_id in (1, 2):
        assert [event.pulses for event in outbox.events_of(alert_id)] == [300]
        stale = outbox.edit_due(CHANNEL, at(9))
        assert stale is not None
        assert stale.alert.id == alert_id
        outbox.edited(stale.id, revision=stale.revision)
    (row,) = event_rows(database)
    assert [told.id for told in row.alerts] == [1, 2]


def test_many_are_marked_by_one_message_whether_or_not_they_wait(
    outbox: Outbox, database: Database
) -> None:
    outbox.write(event=beep(), alert=heard("quiet", due_s=3_600), channels=[CHANNEL])
    for key in "abc":
        outbox.write(alert=notice(key), channels=[CHANNEL])
    first = outbox.tellable(CHANNEL, at(1), at_most=1)[0]
    outbox.failed(first.id, error="no route", tried_at=at(1), next_try_at=at(300))
    pending = outbox.tellable(CHANNEL, at(2), at_most=9)
    assert [one.alert.dedupe_key for one in pending] == ["a", "b", "c"]
    outbox.sent_together(pending[:2], reference="digest:text:9", sent_at=at(2))
    assert due_key(outbox, 2) == "c"
    assert pending_by_channel(database) == {CHANNEL: 2}
    outbox.failed(first.id, error="late", tried_at=at(3), next_try_at=at(3))
    assert due_key(outbox, 4) == "c"


def test_what_waits_for_a_channel_that_is_gone_is_given_up_after_a_while(
    outbox: Outbox, database: Database
) -> None:
    """Or its clips would stay, and it would be counted as still to be told, for ever."""
    for minute in (0, 1):
        outbox.write(
            alert=heard(f"{minute}", created_s=60 * minute), channels=["console", "telegram:9"]
        )
    assert outbox.expire_elsewhere(["console"], at(30)) == 1
    assert pending_by_channel(database) == {"console": 2, "telegram:9": 1}
    assert outbox.expire_elsewhere(["console"], at(30)) == 0
    assert outbox.expire_elsewhere(["console", "telegram:9"], at(3_600)) == 0
    with database.reading() as sql:
        rows = sql.execute("SELECT channel, last_error FROM deliveries WHERE state = 'expired'")
        assert [tuple(row) for row in rows] == [
            ("telegram:9", "its channel is not configured any more")
        ]


def test_with_what_expired_goes_what_is_as_old_on_its_channel_and_nothing_else(
    outbox: Outbox, database: Database
) -> None:
    for key, created_s in (("sent", 0), ("head", 1), ("old", 2), ("young", 60)):
        alert = heard(key, created_s=created_s)
        outbox.write(alert=alert, channels=[CHANNEL, "console"])
    sent, head, *_ = outbox.pending(CHANNEL, 9)
    outbox.sent(sent.id, reference=None, revision=0, sent_at=at(3))
    assert outbox.expired(head.id, error="late", and_before=at(30)) == 2
    with database.reading() as sql:
        rows = sql.execute("SELECT state FROM deliveries WHERE channel = ? ORDER BY id", (CHANNEL,))
        assert [row[0] for row in rows] == ["sent", "expired", "expired", "pending"]
    assert len(outbox.pending("console", 9)) == 4
