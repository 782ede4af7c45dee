"""What a new life takes over: cooldowns of each rule, and an absence that was told."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from beepwatch.clock import ManualClock
from beepwatch.config import Model, Rule
from beepwatch.daemon.pipeline import told_key
from beepwatch.daemon.remembering import Remembered, remember
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.logs import LogSettings
from beepwatch.messages import Alert, AlertKind, Event
from beepwatch.store.database import Database
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox
from tests.daemon.loud import START

NOW_S = 10_000.0
BEGAN_S = 9_000.0  # the daemon
MISSING_AFTER_S = 600.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path)
    yield one
    one.close()


def remembered(database: Database, *, live: bool = True) -> Remembered:
    settings = ClassifierSettings(
        bundle=database.directory,
        model=Model(),
        rules=(Rule(label="beep"), Rule(label="beep", pulses=3), Rule(label="bell")),
        missing_after_s=MISSING_AFTER_S,
        directory=database.directory,
        channels=(),
        since_s=BEGAN_S,
        live=live,
        logs=LogSettings(),
    )
    return remember(Memory(database), settings, ManualClock(START, NOW_S))


def told(database: Database, ago_s: float, key: str, kind: AlertKind = AlertKind.HEARD) -> None:
    at = START - timedelta(seconds=ago_s)
    alert = Alert(kind=kind, text="beep", created_at=at, due_at=at, dedupe_key=f"{key}{ago_s}")
    Outbox(database).write(alert=alert)


def heard(database: Database, ago_s: float, label: str = "beep") -> None:
    at = START - timedelta(seconds=ago_s)
    event = Event(
        label=label, onset=at, offset=at, pulses=1, peak_score=0.9, model_id="m", final=True
    )
    Outbox(database).write(event=event)


def test_nothing_is_known_at_the_first_start(database: Database) -> None:
    first = remembered(database)
    assert (first.since_s, first.missed, first.last_told_s) == (BEGAN_S, False, {})


def test_each_rule_has_its_own_cooldown(database: Database) -> None:
    """The second rule may still tell of what the first has told."""
    told(database, 300, told_key(0, "beep"))
    told(database, 100, told_key(0, "beep"))
    told(database, 50, told_key(2, "bell"))
    assert remembered(database).last_told_s == {0: NOW_S - 100, 2: NOW_S - 50}


def test_a_recordings_past_is_only_what_this_run_has_told(database: Database) -> None:
    """Its time may be ahead of the clock's: it is played faster."""
    told(database, 2_000, told_key(0, "beep"))
    told(database, -500, told_key(1, "beep"))
    assert remembered(database, live=False).last_told_s == {1: NOW_S + 500}


def test_a_clock_set_back_makes_a_cooldown_no_longer_than_it_is(database: Database) -> None:
    told(database, -86_400, told_key(0, "beep"))
    assert remembered(database).last_told_s == {0: NOW_S}


@pytest.mark.parametrize(("ago_s", "since_s"), [(200, NOW_S - 200), (5_000, BEGAN_S)])
def test_the_wait_begins_with_the_last_sound_or_with_the_daemon(
    database: Database, ago_s: float, since_s: float
) -> None:
    heard(database, ago_s)
    heard(database, 10, label="doorbell")
    one = remembered(database)
    assert (one.since_s, one.missed) == (since_s, False)


def test_an_absence_that_was_told_goes_on(database: Database) -> None:
    """Through restarts of the daemon too: it is one absence, told once, and ends once."""
    heard(database, 5_000)
    told(database, 4_400, "missed:", AlertKind.MISSED)
    one = remembered(database)
    assert (one.since_s, one.missed) == (NOW_S - 5_000, True)


def test_an_absence_from_the_very_beginning_goes_on(database: Database) -> None:
    told(database, 400, "missed:", AlertKind.MISSED)
    one = remembered(database)
    assert (one.since_s, one.missed) == (NOW_S - 400 - MISSING_AFTER_S, True)


def test_an_absence_that_is_over_is_over(database: Database) -> None:
    told(database, 400, "missed:", AlertKind.MISSED)
    heard(database, 100)
    one = remembered(database)
    assert (one.since_s, one.missed) == (NOW_S - 100, False)


def test_a_recordings_absence_is_none_of_an_earlier_run(database: Database) -> None:
    heard(database, 5_000)
    told(database, 4_400, "missed:", AlertKind.MISSED)
    one = remembered(database, live=False)
    assert (one.since_s, one.missed) == (BEGAN_S, False)
