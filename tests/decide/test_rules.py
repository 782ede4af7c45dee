"""So many pulses within so long, a cooldown, quiet hours."""

import itertools
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.decide.episodes import Counted, Episode
from beepwatch.decide.pulses import Pulse
from beepwatch.decide.rules import ROUNDING_S, Hold, RuleMachine, Tell, end_of_quiet
from beepwatch.sections import Rule

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def counted(at_s: float) -> Counted:
    pulse = Pulse(
        onset=NOON + timedelta(seconds=at_s), onset_s=at_s, duration_s=0.2, peak_score=0.9
    )
    return Counted(episode=Episode(label="beep", pulses=(pulse,)), at_s=at_s + 0.06)


def answers(rule: Rule, times_s: list[float]) -> list[type]:
    machine = RuleMachine(rule, zone=UTC)
    return [type(machine.step(counted(at_s))) for at_s in times_s]


def test_one_pulse_is_enough_by_default() -> None:
    assert answers(Rule(label="beep"), [5.0]) == [Tell]


def test_the_alert_leaves_with_the_pulse_that_completes_the_pattern() -> None:
    rule = Rule(label="beep", pulses=3, within_s=4)
    assert answers(rule, [0, 1, 2]) == [type(None), type(None), Tell]


def test_pulses_too_far_apart_do_not_make_a_pattern() -> None:
    rule = Rule(label="beep", pulses=3, within_s=4)
    assert answers(rule, [0, 2.5, 5, 6]) == [type(None), type(None), type(None), Tell]


def test_the_pattern_starts_with_its_first_pulse() -> None:
    machine = RuleMachine(Rule(label="beep", pulses=2, within_s=4), zone=UTC)
    machine.step(counted(10))
    tell = machine.step(counted(11))
    assert isinstance(tell, Tell)
    assert tell.first.onset_s == 10


def test_within_the_cooldown_nothing_is_told_twice() -> None:
    machine = RuleMachine(Rule(label="beep", cooldown_s=120), zone=UTC)
    machine.step(counted(100))
    assert machine.step(counted(150)) == Hold(reason="cooldown", for_s=70)
    assert isinstance(machine.step(counted(220)), Tell)


def test_a_cooldown_survives_a_restart() -> None:
    machine = RuleMachine(Rule(label="beep", cooldown_s=120), zone=UTC, last_told_s=100)
    assert machine.step(counted(150)) == Hold(reason="cooldown", for_s=70)


def test_quiet_hours_put_the_alert_off_till_the_morning() -> None:
    machine = RuleMachine(Rule(label="beep", quiet_hours="11:00-13:30"), zone=UTC)
    tell = machine.step(counted(0))
    assert isinstance(tell, Tell)
    assert tell.due_at == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    assert tell.at == NOON


@pytest.mark.parametrize(
    ("local", "due"),
    [
        ("2026-03-01 22:29", "2026-03-01 22:29"),
        ("2026-03-01 22:30", "2026-03-02 07:00"),
        ("2026-03-02 00:00", "2026-03-02 07:00"),
        ("2026-03-02 06:59", "2026-03-02 07:00"),
        ("2026-03-02 07:00", "2026-03-02 07:00"),
    ],
)
def test_quiet_hours_over_midnight(local: str, due: str) -> None:
    zone = timezone(timedelta(hours=2))
    at = datetime.fromisoformat(local).replace(tzinfo=zone)
    expected = datetime.fromisoformat(due).replace(tzinfo=zone)
    assert end_of_quiet(at, time(22, 30), time(7)) == expected


def test_quiet_hours_end_by_the_wall_clock_in_the_night_that_summer_time_begins() -> None:
    """Berlin, 2026-03-29: 02:00 becomes 03:00, so 07:00 local is 05:00 UTC."""
    at = datetime(2026, 3, 28, 23, 0, tzinfo=BERLIN)
    assert end_of_quiet(at, time(22, 30), time(7)) == datetime(2026, 3, 29, 5, 0, tzinfo=UTC)


def test_quiet_hours_end_by_the_wall_clock_in_the_night_that_summer_time_ends() -> None:
    """Berlin, 2026-10-25: 03:00 becomes 02:00, so 07:00 local is 06:00 UTC."""
    at = datetime(2026, 10, 24, 23, 0, tzinfo=BERLIN)
    assert end_of_quiet(at, time(22, 30), time(7)) == datetime(2026, 10, 25, 6, 0, tzinfo=UTC)


def test_quiet_hours_that_end_in_the_hour_that_is_skipped_end_when_it_is_over() -> None:
    """02:30 does not come; an hour after 01:30 it is 03:30, in UTC 01:30."""
    at = datetime(2026, 3, 28, 23, 0, tzinfo=BERLIN)
    assert end_of_quiet(at, time(22, 30), time(2, 30)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(("fold", "due_hour"), [(0, 0), (1, 1)])
def test_quiet_hours_that_end_in_the_hour_that_comes_twice_end_twice(
    fold: int, due_hour: int
) -> None:
    at = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=fold)
    due = end_of_quiet(at, time(22, 30), time(2, 30))
    assert due == datetime(2026, 10, 25, due_hour, 30, tzinfo=UTC)


@given(
    night=st.sampled_from(
        [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]
    ),
    minutes=st.integers(-2_000, 2_000),
    start=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
    end=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
)
def test_around_the_nights_of_summer_time_nothing_is_due_before_it_was_heard(
    night: datetime, minutes: int, start: time, end: time
) -> None:
    at = night + timedelta(minutes=minutes)
    due = end_of_quiet(at.astimezone(BERLIN), start, end)
    assert at <= due <= at + timedelta(hours=25)
    if due != at:
        shown = due.astimezone(BERLIN).time()
        skipped = time(2) <= end < time(3) and due.date() == date(2026, 3, 29)
        assert shown == end or skipped


@pytest.mark.parametrize("days", [-1, 1])
def test_a_wall_clock_that_is_set_changes_no_cooldown_and_no_pattern(days: int) -> None:
    """Pulses at 0, 1, 60 and 130 s; the clock is set between the first two."""
    machine = RuleMachine(Rule(label="beep", pulses=2, within_s=5, cooldown_s=120), zone=UTC)
    answers = []
    for number, at_s in enumerate([0.0, 1.0, 60.0, 61.0, 129.0, 130.0]):
        one = counted(at_s)
        pulse = one.episode.pulses[0]
        if number:
            pulse = msgspec.structs.replace(pulse, onset=pulse.onset + timedelta(days=days))
        episode = Episode(label="beep", pulses=(pulse,))
        answers.append(machine.step(Counted(episode=episode, at_s=one.at_s)))
    kinds = [type(answer) for answer in answers]
    assert kinds == [type(None), Tell, type(None), Hold, type(None), Tell]


def test_equal_times_are_no_quiet_hours() -> None:
    assert end_of_quiet(NOON, time(12), time(12)) == NOON


@given(
    times=st.lists(st.floats(0, 10_000), min_size=1, max_size=60).map(sorted),
    pulses=st.integers(1, 4),
    within_s=st.floats(1, 60),
    cooldown_s=st.floats(0, 500),
)
def test_alerts_are_at_least_a_cooldown_apart_and_each_has_its_pattern(
    times: list[float], pulses: int, within_s: float, cooldown_s: float
) -> None:
    rule = Rule(label="beep", pulses=pulses, within_s=within_s, cooldown_s=cooldown_s)
    machine = RuleMachine(rule, zone=UTC)
    told_s = []
    for at_s in times:
        answer = machine.step(counted(at_s))
        if isinstance(answer, Tell):
            assert at_s - answer.first.onset_s <= within_s
            told_s.append(at_s)
        elif isinstance(answer, Hold):
            assert answer.for_s == pytest.approx(told_s[-1] + cooldown_s - at_s)
    assert all(b - a >= cooldown_s - ROUNDING_S for a, b in itertools.pairwise(told_s))


def test_a_rule_waits_while_an_earlier_pulse_may_count_with_the_next() -> None:
    pattern = RuleMachine(Rule(label="beep", pulses=2, within_s=4), zone=UTC)
    waits = [pattern.waits(0.0)]
    pattern.step(counted(10))
    waits += [pattern.waits(14.0), pattern.waits(14.1)]
    pattern.step(counted(13))
    assert [*waits, pattern.waits(13.5)] == [False, True, False, False]


def test_a_rule_that_one_pulse_satisfies_waits_for_nothing() -> None:
    machine = RuleMachine(Rule(label="beep"), zone=UTC)
    machine.step(counted(10))
    machine.step(counted(11))
    assert not machine.waits(11.5)


def test_pulses_just_so_far_apart_make_a_pattern() -> None:
    rule = Rule(label="beep", pulses=3, within_s=4)
    assert answers(rule, [0, 2, 4]) == [type(None), type(None), Tell]


def test_a_rule_waits_for_the_sake_of_its_newest_pulse() -> None:
    """The first of three is too old by then; the second may yet be the first of three."""
    pattern = RuleMachine(Rule(label="beep", pulses=3, within_s=4), zone=UTC)
    pattern.step(counted(10))
    pattern.step(counted(13))
    assert [pattern.waits(16.0), pattern.waits(17.1)] == [True, False]
