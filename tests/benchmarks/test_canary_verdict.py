"""A day on which something was not tried is no pass."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.canary import PLACES, Course, Part, judge, made
from benchmarks.canary_faults import DEEDS, Luck
from benchmarks.canary_server import ANSWERS
from benchmarks.soak_verdict import Told
from tests.security.canary import Search


@pytest.fixture
def search() -> Search:
    """For a token of its own."""
    return Search(made(random.Random(1)))  # noqa: S311 - no secret


def whole_day(search: Search) -> Course:
    """With nothing left out."""
    for place in PLACES:
        search.look(place, b"nothing")
    tried = Counter(dict.fromkeys(ANSWERS, 1))
    return Course(
        fed_h=24,
        done=Counter(DEEDS),
        noticed=Counter(DEEDS),
        answers=tried,
        redacted=1,
        with_token=1,
        core_limits={"0 0"},
    )


def failures_of(course: Course, search: Search) -> list[str]:
    told = Told()
    judge(told, course, search, 24)
    return told.failures


def test_a_day_on_which_all_was_tried_and_nothing_found_is_a_pass(search: Search) -> None:
    assert failures_of(whole_day(search), search) == []


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"fed_h": 23.0}, "all was fed"),
        ({"noticed": Counter()}, "every fault was tried"),
        ({"noticed": Counter(DEEDS) - Counter({"pages": 1})}, "every fault was tried"),
        ({"answers": Counter({"500": 9})}, "every fault was tried"),
        ({"with_token": 0}, "it was used"),
        ({"redacted": 0}, "it would be logged"),
        ({"core_limits": set()}, "no cores"),
        ({"core_limits": {"0 0", "unlimited unlimited"}}, "no cores"),
        ({"strangers": {"192.0.2.1:443"}}, "nobody else is called"),
        ({"listening": {"0.0.0.0:80"}}, "no port is open"),
    ],
)
def test_a_day_with_something_else_is_none(
    search: Search, change: dict[str, Any], failure: str
) -> None:
    course = whole_day(search)
    for name, value in change.items():
        setattr(course, name, value)
    assert failures_of(course, search) == [failure]


def test_a_place_that_was_not_searched_is_a_failure_and_so_is_the_token(search: Search) -> None:
    course = whole_day(search)
    search.searched["clips"] = 0
    search.look("log", search.canary.token.encode())
    assert failures_of(course, search) == ["found nowhere", "every place was searched"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_few_minutes_of_the_real_daemon(tmp_path: Path) -> None:
    chance = random.Random(3)  # noqa: S311 - faults, no secrets
    search = Search(made(chance))
    course = Course()
    Part(tmp_path, "environment", search, Luck(chance)).live(0.1, 1, course)
    assert search.found == {}
    assert course.fed_h == pytest.approx(0.1)
    assert sum(course.noticed.values()) > 0
    assert sum(course.answers.values()) > 0
    assert course.with_token > 0
    assert course.redacted > 0
    assert course.core_limits == {"0 0"}
    assert (course.listening, course.strangers) == (set(), set())
    # Whether a page or a verb was asked is chance's choice in so short a time.
    assert set(PLACES) - {"verbs", "pages"} <= set(search.searched)
