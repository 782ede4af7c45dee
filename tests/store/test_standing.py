"""What was heard last and what is still to be told."""

from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox
from beepwatch.store.standing import LastHeard, Standing, standing
from tests.store.messages_of_a_day import at, beep, heard, notice


def test_nothing_is_heard_and_waits_at_first(database: Database) -> None:
    assert standing(database) == Standing(heard=None, waiting=0)


def test_the_newest_event_is_the_last_heard_and_an_alert_waits_once(
    outbox: Outbox, database: Database
) -> None:
    """Two alerts on two channels; one of them has reached both, so that one waits."""
    channels = ("console", "telegram:1")
    outbox.write(event=beep(60, 2), alert=heard(), channels=channels)
    outbox.write(event=beep(0, 5))
    outbox.write(alert=notice(), channels=channels)
    assert standing(database) == Standing(
        heard=LastHeard(label="beep", onset=at(60), pulses=2), waiting=2
    )
    for channel in channels:
        delivery = outbox.due(channel, at(100))
        assert delivery is not None
        outbox.refused(delivery.id, error="chat not found")
    assert standing(database).waiting == 1
