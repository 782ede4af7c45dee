"""A mute holds for its channel and its time; a watch until something is heard or told."""

from datetime import timedelta

from beepwatch.messages import AlertKind, Chosen, DeliveryState
from beepwatch.store.database import Database
from beepwatch.store.listing import event_rows
from beepwatch.store.outbox import Outbox
from beepwatch.store.timeline import Timeline
from beepwatch.store.wishes import Wishes, absence_key
from tests.store.messages_of_a_day import at, beep, heard, notice
from tests.store.pending import pending_by_channel

CHANNELS = ["console", "telegram:7", "telegram:8"]


def states(outbox: Outbox, database: Database, created_s: float) -> list[str]:
    """How an alert of this moment stands on each channel."""
    written = outbox.write(
        event=beep(created_s),
        alert=heard(str(created_s), created_s=created_s),
        channels=CHANNELS,
    )
    row = next(row for row in event_rows(database) if row.id == written.event_id)
    return [told.state.value for told in row.alerts]


def test_what_is_heard_while_a_chat_is_muted_is_recorded_and_never_told_there(
    database: Database, outbox: Outbox
) -> None:
    wishes = Wishes(database)
    wishes.mute("telegram:7", at(100), at(200), boot_id="b")
    assert states(outbox, database, 99) == ["pending"] * 3
    assert states(outbox, database, 100) == ["pending", "muted", "pending"]
    assert states(outbox, database, 199) == ["pending", "muted", "pending"]
    assert states(outbox, database, 200) == ["pending"] * 3
    told = outbox.tellable("telegram:7", at(10_000), 10)
    assert [one.alert.created_at for one in told] == [at(99), at(200)]
    assert pending_by_channel(database) == {"console": 4, "telegram:7": 2, "telegram:8": 4}


def test_a_fault_is_told_to_a_muted_chat(database: Database, outbox: Outbox) -> None:
    Wishes(database).mute("telegram:7", at(0), at(200), boot_id="b")
    outbox.write(alert=notice(created_s=10), channels=CHANNELS)
    delivery = outbox.due("telegram:7", at(10))
    assert delivery is not None
    assert (delivery.alert.kind, delivery.state) == (AlertKind.STARTED, DeliveryState.PENDING)


def test_a_mute_outlives_the_process_and_ends_by_itself_or_when_it_is_told_to(
    database: Database, outbox: Outbox
) -> None:
    Wishes(database).mute("telegram:7", at(100), at(200), boot_id="b")
    again = Database(database.directory)
    assert Wishes(again).muted_until("telegram:7", at(150)) == at(200)
    assert Wishes(again).muted_until("telegram:7", at(200)) is None
    assert Wishes(again).muted_until("telegram:8", at(150)) is None
    Wishes(again).unmute("telegram:7")
    again.close()
    assert states(outbox, database, 150) == ["pending"] * 3


def test_the_message_under_which_quiet_was_chosen_shows_it_until_another_does(
    database: Database, outbox: Outbox
) -> None:
    alerts = []
    for number in (1, 2):
        written = outbox.write(
            event=beep(number), alert=heard(str(number)), channels=["telegram:7", "telegram:8"]
        )
        alerts.append(written.alert_id or 0)
        for channel in ("telegram:7", "telegram:8"):
            delivery = outbox.due(channel, at(0))
            assert delivery is not None
            outbox.sent(delivery.id, reference=None, revision=delivery.revision, sent_at=at(0))

    def stale() -> list[tuple[str, int]]:
        found = []
        for channel in ("telegram:7", "telegram:8"):
            while delivery := outbox.edit_due(channel, at(0)):
                found.append((channel, delivery.alert.id or 0))
                outbox.edited(delivery.id, revision=delivery.revision)
        return found

    wishes = Wishes(database)
    wishes.mute("telegram:7", at(0), at(60), alert_id=alerts[0], boot_id="b")
    assert stale() == [("telegram:7", alerts[0])]
    assert outbox.chosen(alerts[0], "telegram:7") == Chosen(quiet_until=at(60))
    assert outbox.chosen(alerts[0], "telegram:8") == Chosen()
    wishes.mute("telegram:7", at(0), at(90), alert_id=alerts[1], boot_id="b")
    assert stale() == [("telegram:7", alerts[0]), ("telegram:7", alerts[1])]
    assert outbox.chosen(alerts[0], "telegram:7") == Chosen()
    wishes.unmute("telegram:7")
    assert stale() == [("telegram:7", alerts[1])]
    assert outbox.chosen(alerts[1], "telegram:7") == Chosen()


def test_the_newest_watch_counts_until_it_is_told_or_called_off(
    database: Database, outbox: Outbox
) -> None:
    wishes = Wishes(database)
    assert wishes.watching() is None
    wishes.watch(at(0), 60, boot_id="b")
    number = wishes.watch(at(10), 9_000.5, boot_id="b")
    watching = wishes.watching()
    assert watching is not None
    assert (watching.number, watching.since, watching.until) == (number, at(10), at(9_010.5))
    outbox.write(alert=notice(absence_key(number)))
    assert wishes.watching() is None
    assert wishes.watch(at(20), 60, boot_id="b") > number
    assert wishes.watching() is not None
    wishes.watch(at(30), 0, boot_id="b")
    assert wishes.watching() is None


def test_what_was_heard_since_is_by_the_end_of_its_last_pulse_and_by_label(
    database: Database, outbox: Outbox
) -> None:
    outbox.write(event=beep(100, pulses=1))  # until 100.2
    wishes = Wishes(database)
    assert wishes.heard_since(at(100.1))
    assert wishes.heard_since(at(100.1), frozenset({"beep"}))
    assert not wishes.heard_since(at(100.1), frozenset({"bell"}))
    assert not wishes.heard_since(at(101))


def test_a_clock_that_is_set_moves_the_wishes_of_its_own_boot(database: Database) -> None:
    day = timedelta(days=1)
    wishes = Wishes(database)
    timeline = Timeline(database, "this")
    timeline.follow(at(-3_600), at(0))
    wishes.mute("telegram:7", at(0), at(60), boot_id="this")
    wishes.mute("telegram:8", at(0), at(60), boot_id="another")
    wishes.watch(at(0), 60, boot_id="this")
    timeline.follow(at(-3_600) + day, at(30) + day)
    assert wishes.muted_until("telegram:7", at(0)) == at(60) + day
    assert wishes.muted_until("telegram:8", at(0)) == at(60)
    watching = wishes.watching()
    assert watching is not None
    assert watching.since == at(0) + day
