"""What a new life takes over: cooldowns of each rule, and an absence that was told."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from beepwatch.clock import ManualClock
from beepwatch.daemon.pipeline import told_keys
from beepwatch.daemon.remembering import Remembered, remember
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.logs import LogSettings
from beepwatch.messages import Alert, AlertKind, Event, Watch
from beepwatch.sections import Model, Rule
from beepwatch.store.database import Database
from beepwatch.store.memory import Memory
from beepwatch.store.outbox import Outbox
from beepwatch.store.wishes import Wishes, absence_key
from tests.daemon.loud import START

NOW_S = 10_000.0
BEGAN_S = 9_000.0  # the daemon
MISSING_AFTER_S = 600.0
RULES = (Rule(label="beep"), Rule(label="beep", pulses=3), Rule(label="bell"))
KEYS = told_keys(RULES)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = Database(tmp_path)
    yield one
    one.close()


def remembered(database: Database, *, live: bool = True) -> Remembered:
    settings = ClassifierSettings(
        bundle=database.directory,
        model=Model(),
        rules=RULES,
        missing_after_s=MISSING_AFTER_S,
        directory=database.directory,
        channels=(),
        since_s=BEGAN_S,
        live=live,
        logs=LogSettings(),
    )
    return remember(Memory(database), Wishes(database), settings, ManualClock(START, NOW_S))


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
    told(database, 300, KEYS[0])
    told(database, 100, KEYS[0])
    told(database, 50, KEYS[2])
    assert remembered(database).last_told_s == {0: NOW_S - 100, 2: NOW_S - 50}


def test_a_rule_that_comes_or_goes_leaves_the_cooldowns_of_other_labels() -> None:
    """A sound is taught or removed while another's cooldown lasts."""
    taught = (Rule(label="air fryer"), *RULES, Rule(label="washer"))
    assert told_keys(taught)[1:4] == KEYS
    assert told_keys(RULES[:1] + RULES[2:]) == [KEYS[0], KEYS[2]]
    assert len(set(KEYS)) == len(KEYS)


def test_a_recordings_past_is_only_what_this_run_has_told(database: Database) -> None:
    """Its time may be ahead of the clock's: it is played faster."""
    told(database, 2_000, KEYS[0])
    told(database, -500, KEYS[1])
    assert remembered(database, live=False).last_told_s == {1: NOW_S + 500}


def test_a_clock_set_back_makes_a_cooldown_no_longer_than_it_is(database: Database) -> None:
    told(database, -86_400, KEYS[0])
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


@pytest.mark.parametrize(
    ("since_ago_s", "heard_ago_s", "label", "goes_on"),
    [
        (300, 400, "beep", True),
        (300, 200, "beep", False),
        (300, 200, "doorbell", True),  # no rule is about it
    ],
)
def test_a_watch_goes_on_unless_what_it_waits_for_was_heard(
    database: Database, since_ago_s: float, heard_ago_s: float, label: str, goes_on: bool
) -> None:
    since = START - timedelta(seconds=since_ago_s)
    number = Wishes(database).watch(since, 9_000, boot_id="b")
    heard(database, heard_ago_s, label)
    watch = Watch(number=number, since_mono_s=NOW_S - since_ago_s, for_s=9_000)
    assert remembered(database).watch == (watch if goes_on else None)


def test_a_watch_that_was_told_or_never_wished_is_none(database: Database) -> None:
    assert remembered(database).watch is None
    number = Wishes(database).watch(START - timedelta(seconds=300), 60, boot_id="b")
    at = START - timedelta(seconds=200)
    alert = Alert(
        kind=AlertKind.MISSED,
        text="nothing",
        created_at=at,
        due_at=at,
        dedupe_key=absence_key(number),
    )
    Outbox(database).write(alert=alert)
    one = remembered(database)
    assert (one.watch, one.missed) == (None, False)
