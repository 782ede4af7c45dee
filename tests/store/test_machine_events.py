"""What is told of a machine: its event is open until it is well, a mute and quiet hours hold it
back as long as it lasts.
"""

import pytest

from beepwatch.messages import Alert, AlertKind, Event
from beepwatch.store.database import Database
from beepwatch.store.listing import EventRow, event_rows
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox
from beepwatch.store.wishes import Wishes
from tests.store.messages_of_a_day import at, beep, heard

CHANNELS = ["telegram:7", "telegram:8"]
MORNING_S = 30_000.0


class Fan:
    """What the classifier writes of one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.outbox = Outbox(database)

    def unusual(
        self, at_s: float, due_s: float | None = None, *, drifted: bool = False
    ) -> int | None:
        event = Event(
            label="fan",
            onset=at(at_s - 60),
            offset=at(at_s),
            pulses=0,
            peak_score=1.7,
            model_id="0123456789ab",
            final=drifted,
        )
        alert = _alert(AlertKind.UNUSUAL, at_s, due_s)
        return self.outbox.write(event=event, alert=alert, channels=CHANNELS).event_id

    def usual(self, at_s: float, due_s: float | None = None) -> int | None:
        alert = _alert(AlertKind.RECOVERED, at_s, due_s)
        return self.outbox.write(alert=alert, channels=CHANNELS, ends="fan").event_id

    def told(self, now_s: float, channel: str = CHANNELS[0]) -> list[AlertKind]:
        """Everything that can be told now, taken."""
        taken = []
        while delivery := self.outbox.due(channel, at(now_s)):
            self.outbox.sent(
                delivery.id, reference="1", revision=delivery.revision, sent_at=at(now_s)
            )
            taken.append(delivery.alert.kind)
        return taken

    @property
    def event(self) -> EventRow:
        (row,) = event_rows(self.database)
        return row


def _alert(kind: AlertKind, at_s: float, due_s: float | None) -> Alert:
    return Alert(
        kind=kind,
        text=f"the fan, {kind}",
        created_at=at(at_s),
        due_at=at(at_s if due_s is None else due_s),
        dedupe_key=f"machine:fan:{kind}:{at_s}",
    )


@pytest.fixture
def fan(database: Database) -> Fan:
    return Fan(database)


def test_the_event_ends_when_the_machine_is_well_and_both_alerts_are_its_own(fan: Fan) -> None:
    event_id = fan.unusual(100)
    assert fan.event.offset == at(100)
    assert fan.told(100) == [AlertKind.UNUSUAL]
    assert fan.usual(1_600) == event_id
    assert (fan.event.onset, fan.event.offset) == (at(40), at(1_600))
    assert fan.told(1_600) == [AlertKind.RECOVERED]
    kinds = [(one.kind, one.channel) for one in fan.event.alerts]
    assert kinds == [
        (kind, name) for kind in (AlertKind.UNUSUAL, AlertKind.RECOVERED) for name in CHANNELS
    ]


def test_a_notice_without_an_event_is_told_all_the_same(fan: Fan) -> None:
    """Of before the database was put aside."""
    assert fan.usual(100) is None
    assert fan.told(100) == [AlertKind.RECOVERED]


def test_what_ends_without_a_word_ends_as_it_was_told(fan: Fan) -> None:
    fan.unusual(100)
    fan.outbox.write(ends="fan")
    assert fan.event.offset == at(100)
    fan.usual(900)
    assert fan.event.offset == at(100)


def test_the_same_word_written_twice_is_one(fan: Fan) -> None:
    fan.unusual(100)
    fan.usual(900)
    fan.unusual(2_000)
    fan.usual(900)
    assert [row.offset for row in event_rows(fan.database)] == [at(900), at(2_000)]
    assert fan.told(3_000) == [AlertKind.UNUSUAL, AlertKind.RECOVERED, AlertKind.UNUSUAL]


def test_an_event_of_a_machine_is_nothing_heard_and_nothing_that_a_next_life_goes_on_with(
    fan: Fan, database: Database
) -> None:
    fan.outbox.write(event=beep(0))
    fan.unusual(100)
    memory = Memory(database)
    assert fan.outbox.last_heard() == beep(0).offset
    assert not Wishes(database).heard_since(at(50))
    for events in (memory.last_events(), memory.recent_events(), memory.open_events()):
        assert [event.label for event in events] == ["beep"]


# Quiet hours


def test_after_quiet_hours_it_is_told_if_it_lasts(fan: Fan) -> None:
    fan.unusual(100, MORNING_S)
    assert fan.told(MORNING_S - 1) == []
    assert fan.outbox.next_due_at(CHANNELS[0], at(200)) == at(MORNING_S)
    assert fan.told(MORNING_S) == [AlertKind.UNUSUAL]
    fan.usual(MORNING_S + 60)
    assert fan.told(MORNING_S + 60) == [AlertKind.RECOVERED]


def test_what_came_and_went_in_quiet_hours_is_kept_and_not_told(fan: Fan) -> None:
    fan.unusual(100, MORNING_S)
    fan.usual(1_600, MORNING_S)
    assert fan.told(MORNING_S) == []
    assert fan.outbox.next_due_at(CHANNELS[0], at(MORNING_S)) is None
    assert fan.event.offset == at(1_600)
    assert {one.state.value for one in fan.event.alerts} == {"muted"}


def test_what_was_told_before_quiet_hours_is_called_over_after_them(fan: Fan) -> None:
    fan.unusual(100)
    assert fan.told(100) == [AlertKind.UNUSUAL]
    fan.usual(1_600, MORNING_S)
    assert fan.told(1_600) == []
    assert fan.told(MORNING_S) == [AlertKind.RECOVERED]


def test_what_waits_for_the_network_is_told_though_it_is_over(fan: Fan) -> None:
    fan.unusual(100)
    fan.usual(1_600)
    assert fan.told(9_000) == [AlertKind.UNUSUAL, AlertKind.RECOVERED]


# A mute


def test_after_a_mute_it_is_told_if_it_lasts_and_other_chats_are_told_at_once(fan: Fan) -> None:
    Wishes(fan.database).mute("telegram:7", at(0), at(7_200), boot_id="b")
    fan.outbox.write(event=beep(50), alert=heard(created_s=50), channels=CHANNELS[:1])
    fan.unusual(100)
    assert fan.told(7_199) == []
    assert fan.told(100, "telegram:8") == [AlertKind.UNUSUAL]
    assert fan.told(7_200) == [AlertKind.UNUSUAL]
    fan.usual(7_300)
    assert fan.told(7_300) == [AlertKind.RECOVERED]


def test_a_mute_that_is_called_off_lets_it_be_told(fan: Fan) -> None:
    wishes = Wishes(fan.database)
    wishes.mute("telegram:7", at(0), at(7_200), boot_id="b")
    fan.unusual(100)
    wishes.unmute("telegram:7")
    assert fan.told(200) == [AlertKind.UNUSUAL]


def test_what_came_and_went_during_a_mute_is_not_told(fan: Fan) -> None:
    Wishes(fan.database).mute("telegram:7", at(0), at(7_200), boot_id="b")
    fan.unusual(100)
    fan.usual(1_600)
    assert fan.told(9_000) == []
    assert fan.told(9_000, "telegram:8") == [AlertKind.UNUSUAL, AlertKind.RECOVERED]


def test_after_a_mute_a_machine_that_does_not_get_through_is_tried_again(fan: Fan) -> None:
    Wishes(fan.database).mute("telegram:7", at(0), at(200), boot_id="b")
    fan.unusual(100)
    delivery = fan.outbox.due("telegram:7", at(300))
    assert delivery is not None
    fan.outbox.failed(delivery.id, error="no network", tried_at=at(300), next_try_at=at(310))
    assert fan.told(309) == []
    assert fan.told(310) == [AlertKind.UNUSUAL]


def test_drift_which_is_told_once_is_not_swallowed_by_a_mute(fan: Fan) -> None:
    Wishes(fan.database).mute("telegram:7", at(0), at(7_200), boot_id="b")
    fan.unusual(100, drifted=True)
    assert fan.told(100) == [AlertKind.UNUSUAL]
