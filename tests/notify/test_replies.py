"""The words of the bot's answers."""

import math
from datetime import timedelta, timezone

import msgspec
import pytest

from beepwatch.messages import Condition, MachineStanding
from beepwatch.notify.replies import Facts, duration, moment, status
from tests.notify.laundry import NOON, at

PARIS = timezone(timedelta(hours=1))
WELL = Condition(
    number=1,
    up_s=9_000.0,
    source="microphone:USB",
    level_dbfs=-41.4,
    level_age_s=2.0,
    waiting_windows=3,
    dropped_windows=5,
    model="beep-1",
)
FACTS = Facts(
    now=NOON,
    condition=WELL,
    up_since=at(-9_000),
    last_heard=at(-3_600),
    untold=1,
    free_bytes=12_340_000_000,
    muted_until=at(7_200),
    watched_until=at(86_400),
)


def test_a_status_has_a_line_for_each_thing() -> None:
    assert status(FACTS, "attic", PARIS).splitlines() == [
        "beepwatch · attic",
        "up since 10:30 (2 h 30 min)",
        "level -41 dBFS from microphone:USB",
        "3 windows wait, 5 lost",
        "model beep-1",
        "last heard Sat 1 Mar 12:00:00",
        "1 alert still to be told",
        "12.3 GB free",
        "quiet here until 15:00 (/unmute)",
        "tells you if nothing is heard until Sun 2 Mar 13:00:00 (/watch off)",
    ]


def test_a_box_that_has_heard_nothing_says_so() -> None:
    facts = msgspec.structs.replace(
        FACTS, condition=None, last_heard=None, untold=0, muted_until=None, watched_until=None
    )
    assert status(facts, "", PARIS).splitlines() == [
        "beepwatch",
        "what listens does not answer",
        "nothing heard yet",
        "no alerts still to be told",
        "12.3 GB free",
    ]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"level_age_s": None}, "no sound has come yet"),
        ({"level_age_s": 200.0}, "no sound for 3 min from microphone:USB"),
        ({"level_dbfs": -math.inf}, "digital silence from microphone:USB"),
        ({"lag_s": 61.0}, "3 windows wait, 1 min behind, 5 lost"),
        ({"model": ""}, "model not loaded yet"),
    ],
)
def test_what_is_not_well_is_said(changed: dict[str, object], line: str) -> None:
    condition = msgspec.structs.replace(WELL, **changed)
    facts = msgspec.structs.replace(FACTS, condition=condition)
    assert line in status(facts, "", PARIS).splitlines()


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (MachineStanding(name="fan"), "fan: not heard yet"),
        (
            MachineStanding(name="fan", heard_at=at(-3), strangeness=0.14),
            "fan: as usual, strangeness 0.1, heard 3 s ago",
        ),
        (
            MachineStanding(
                name="fan", unusual_since=at(-7_200), heard_at=at(-2), strangeness=1.71
            ),
            "fan: unusual since 11:00, strangeness 1.7, heard 2 s ago",
        ),
        (
            MachineStanding(name="fan", heard_at=at(-600), off_since=at(-597), strangeness=-0.2),
            "fan: as usual, strangeness -0.2, heard 10 min ago, off since 12:50",
        ),
        (
            MachineStanding(name="fan", usable=False),
            "fan: what was learned of it cannot be used; the log says why",
        ),
    ],
)
def test_each_machine_has_a_line(machine: MachineStanding, line: str) -> None:
    condition = msgspec.structs.replace(WELL, machines=(machine,))
    facts = msgspec.structs.replace(FACTS, condition=condition)
    assert line in status(facts, "", PARIS).splitlines()


@pytest.mark.parametrize(
    ("length_s", "words"),
    [
        (12.4, "12 s"),
        (60, "1 min"),
        (3_599, "1 h"),
        (9_000, "2 h 30 min"),
        (93_600, "1 d 2 h"),
        (172_800, "2 d"),
    ],
)
def test_a_duration_in_words(length_s: float, words: str) -> None:
    assert duration(length_s) == words


def test_another_day_is_named() -> None:
    assert moment(at(3_600), NOON, PARIS) == "14:00"
    assert moment(at(12 * 3_600), NOON, PARIS) == "Sun 2 Mar 01:00:00"
