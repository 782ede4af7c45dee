"""When what has come of the next window is worth passing on; 100 samples a second, a hop of one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beepwatch.capture.looking import Looks

SILENT = -math.inf


def looks(sounded_until: float = SILENT) -> Looks:
    """After a first window of 3 s."""
    one = Looks(hop_samples=100, rate_hz=100)
    one.whole(300, sounded_until)
    return one


def test_nothing_is_due_before_the_first_window() -> None:
    assert Looks(hop_samples=100, rate_hz=100).due == math.inf


def test_a_silent_room_is_looked_at_half_way_and_never_passed_on() -> None:
    room = looks()

    assert room.due == 350
    assert not room.worth(350, SILENT, is_new=False)
    assert room.due == math.inf


def test_what_ended_shortly_before_the_window_is_passed_on_when_it_can_be_told() -> None:
    beep = looks(sounded_until=280)

    assert beep.due == pytest.approx(320)
    assert beep.worth(320, 280, is_new=True)
    assert beep.due == pytest.approx(346)
    assert beep.worth(346, 280, is_new=True)
    assert beep.due == 350
    assert not beep.worth(350, 280, is_new=True)


def test_what_ends_before_the_half_is_waited_for() -> None:
    beep = looks()

    assert not beep.worth(350, 325, is_new=True)
    assert beep.due == pytest.approx(365)
    assert beep.worth(365, 325, is_new=True)
    assert beep.due == math.inf


def test_a_pause_in_a_row_is_not_its_end() -> None:
    row = looks()

    assert row.worth(350, 335, is_new=True)
    assert row.due == pytest.approx(375)
    assert not row.worth(375, 372, is_new=True)
    assert row.due == math.inf


def test_what_ends_later_is_told_with_the_window() -> None:
    beep = looks()

    assert beep.worth(350, 348, is_new=True)  # it may go on
    assert beep.due == math.inf
    beep.whole(400, 348)
    assert beep.due == pytest.approx(414)


def test_a_tone_that_is_not_new_is_looked_at_when_it_is_over_only() -> None:
    motor = looks(sounded_until=300)

    assert motor.due == pytest.approx(340)
    assert not motor.worth(340, 340, is_new=False)
    assert not motor.worth(350, 350, is_new=False)
    motor.whole(400, 365)
    assert motor.due == pytest.approx(405)
    assert motor.worth(405, 365, is_new=False)


def test_what_a_window_told_half_a_second_after_its_end_is_looked_at_once_more() -> None:
    """A taught sound takes 0.66 s."""
    beep = looks(sounded_until=250)

    assert beep.due == pytest.approx(316)
    assert beep.worth(316, 250, is_new=True)
    assert beep.due == 350


def test_what_was_told_in_any_case_is_not() -> None:
    beep = looks(sounded_until=233)

    assert beep.due == 350
    assert not beep.worth(350, 233, is_new=True)


@given(ends=st.lists(st.floats(0, 1_000), max_size=20), step=st.integers(1, 20))
def test_no_more_than_four_times_from_window_to_window_is_something_passed_on(
    ends: list[float], step: int
) -> None:
    """Whatever sounds: once half way, and once for each time that something is over for."""
    one = looks()
    passed_on = []
    for heard in range(300, 1_000, step):
        sounded_until = max((end for end in ends if end <= heard), default=SILENT)
        if heard // 100 > (heard - step) // 100:
            one.whole(heard // 100 * 100, sounded_until)
            passed_on.append(0)
        if heard >= one.due:
            passed_on[-1] += one.worth(heard, sounded_until, is_new=True)

    assert max(passed_on) <= 4
