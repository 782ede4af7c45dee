"""The wall clock is set while the classifier runs: no rule notices, and times stay ordered."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from beepwatch.classify.taught import TaughtEngine
from beepwatch.clock import ManualClock
from beepwatch.daemon import classifier
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.messages import AlertKind, Done, Finish, Ready, Window
from beepwatch.sections import Model, Rule
from beepwatch.store.database import Database
from beepwatch.store.listing import EventRow, event_rows
from beepwatch.store.schema import utc_from_us
from tests.daemon.conversation import QUIET_LOGS, Conversation
from tests.daemon.loud import CONTEXT_S, RATE_HZ, START, START_S, THRESHOLDS, Loudness, sound

WINDOW_S = 3.0
BEEP_FROM = 900  # sample values
DAY = timedelta(days=1)
IN_1970 = datetime(1970, 1, 1, tzinfo=UTC)
RULES = (Rule(label="beep", cooldown_s=60, quiet_hours="22:00-07:00"),)
SETTINGS = [DAY, -DAY, START - IN_1970]


class Room:
    """A classifier in a room whose clock is set by hand; sound comes second by second."""

    def __init__(self, directory: Path, clock: ManualClock, missing_after_s: float) -> None:
        self.directory = directory
        self.clock = clock
        self._settings = ClassifierSettings(
            bundle=directory,
            model=Model(),
            rules=RULES,
            missing_after_s=missing_after_s,
            channels=("console",),
            directory=directory,
            since_s=clock.mono_s(),
            live=True,
            logs=QUIET_LOGS,
        )
        self._number = 0
        self._child = self._begin()

    def _begin(self) -> Conversation:
        child = Conversation(lambda connection: classifier.main(connection, self._settings))
        child.hear_until(Ready)
        return child

    def restart(self) -> None:
        """As after a kill; another stream, since the recorder is not part of this."""
        assert self._child.close()
        self._child = self._begin()

    def hear(self, *beeps_s: float, for_s: float = 9.0) -> None:
        """So much sound, with beeps so long after its beginning; in windows that do not overlap."""
        pcm = sound(for_s, [(at_s, 0.4) for at_s in beeps_s])
        pcm[pcm < BEEP_FROM] = 0
        count = round(WINDOW_S * RATE_HZ)
        for first in range(0, len(pcm), count):
            self._number += 1
            window = Window(
                pcm=pcm[first : first + count].tobytes(),
                stream_id=f"{self._number}",
                sequence=0,
                first_sample=0,
                rate_hz=RATE_HZ,
                started_at=self.clock.utc(),
                started_mono_s=self.clock.mono_s(),
                level_dbfs=-30.0,
                lost_samples=0,
                source="test",
            )
            self.clock.advance(WINDOW_S)
            self._child.say(window)
            self._child.hear_until(Done)

    def finish(self) -> None:
        """The end of the daemon."""
        self._child.say(Finish(within_s=5.0))
        list(self._child.hear())

    def events(self) -> list[EventRow]:
        """In the order of their times."""
        database = Database(self.directory)
        rows = event_rows(database)
        database.close()
        return rows

    def alerts(self) -> list[tuple[AlertKind, datetime, datetime]]:
        """Kind, time, and when it is due, in the order of writing."""
        database = Database(self.directory)
        with database.reading() as sql:
            rows = sql.execute("SELECT kind, created_at, due_at FROM alerts ORDER BY id").fetchall()
        database.close()
        return [
            (AlertKind(kind), utc_from_us(created_us), utc_from_us(due_us))
            for kind, created_us, due_us in rows
        ]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The classifier's clock, and a model that hears beeps where it is loud."""
    one = ManualClock(START, mono_s=START_S)
    info = SimpleNamespace(thresholds=THRESHOLDS, context_s=CONTEXT_S)
    monkeypatch.setattr(classifier, "SystemClock", lambda: one)
    monkeypatch.setattr(classifier, "LocalZone", lambda: UTC)
    monkeypatch.setattr(classifier, "IDLE_S", 60.0)
    monkeypatch.setattr(classifier, "load_bundle", lambda _path: SimpleNamespace(info=info))
    engine = TaughtEngine(Loudness(), THRESHOLDS, [])
    monkeypatch.setattr(classifier, "open_taught", lambda *_what: (engine, []))
    return one


@pytest.fixture
def room(tmp_path: Path, clock: ManualClock) -> Room:
    return Room(tmp_path, clock, missing_after_s=100.0)


def seconds_apart(times: list[datetime]) -> list[float]:
    return [round((time - times[0]).total_seconds(), 1) for time in times]


@pytest.mark.parametrize("by", SETTINGS, ids=["forward", "back", "1970"])
@pytest.mark.parametrize("restarts", [False, True])
def test_cooldowns_absences_and_times_are_those_that_passed(
    room: Room, clock: ManualClock, by: timedelta, restarts: bool
) -> None:
    """Beeps at 1, 31 and 91 s; the clock is set after the first. Told: the first and the third."""
    clock.set_utc(START - by)
    room.hear(1.0, for_s=30.0)
    clock.set_utc(clock.utc() + by)
    if restarts:
        room.restart()
    room.hear(1.0, for_s=60.0)
    room.hear(1.0, for_s=30.0)
    room.finish()
    onsets = [row.onset for row in room.events()]
    assert seconds_apart([START + timedelta(seconds=1), *onsets]) == pytest.approx(
        [0, 0, 30, 90], abs=0.2
    )
    assert all(row.onset < row.offset for row in room.events())
    ids = [row.id for row in room.events()]
    assert ids == sorted(ids)
    kinds, created, _due = zip(*room.alerts(), strict=True)
    assert list(kinds) == [AlertKind.HEARD, AlertKind.HEARD]
    assert seconds_apart(list(created)) == pytest.approx([0, 90], abs=0.2)


@pytest.mark.parametrize("by", SETTINGS, ids=["forward", "back", "1970"])
def test_an_absence_is_told_when_it_has_lasted_whatever_the_clock_says(
    room: Room, clock: ManualClock, by: timedelta
) -> None:
    clock.set_utc(START - by)
    room.hear(1.0, for_s=51.0)
    clock.set_utc(clock.utc() + by)
    room.hear(for_s=48.0)
    assert [kind for kind, *_ in room.alerts()] == [AlertKind.HEARD]
    room.hear(for_s=9.0)
    room.finish()
    assert [kind for kind, *_ in room.alerts()] == [AlertKind.HEARD, AlertKind.MISSED]


@pytest.mark.parametrize("by", SETTINGS, ids=["forward", "back", "1970"])
def test_a_pattern_in_whose_middle_the_clock_is_set_is_told_once_and_in_order(
    room: Room, clock: ManualClock, by: timedelta
) -> None:
    clock.set_utc(START - by)
    room.hear(1.0, 2.0, for_s=3.0)
    clock.set_utc(clock.utc() + by)
    room.hear(0.5, 1.5, for_s=9.0)
    room.finish()
    before, after = room.events()
    assert (before.pulses, after.pulses) == (2, 2)
    assert before.onset < before.offset < after.onset < after.offset
    assert (after.onset - before.onset).total_seconds() == pytest.approx(2.5, abs=0.2)
    assert [kind for kind, *_ in room.alerts()] == [AlertKind.HEARD]


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_quiet_hours_of_a_beep_end_in_the_morning_of_the_new_day(
    room: Room, clock: ManualClock, by: timedelta
) -> None:
    night = START.replace(hour=23)
    clock.set_utc(night - by)
    room.hear(1.0)
    clock.set_utc(clock.utc() + by)
    room.hear()
    room.finish()
    ((_kind, _created, due),) = room.alerts()
    assert due == (night + DAY).replace(hour=7)


def test_a_laptop_that_slept_has_not_been_set(room: Room, clock: ManualClock) -> None:
    room.hear(1.0)
    clock.sleep(8 * 3_600)
    room.hear(1.0, for_s=30.0)
    room.finish()
    onsets = [row.onset for row in room.events()]
    assert seconds_apart(onsets) == pytest.approx([0, 8 * 3_600 + 9], abs=0.2)
    assert onsets[0] == pytest.approx(START + timedelta(seconds=1), abs=timedelta(seconds=0.2))
