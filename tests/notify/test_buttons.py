"""Buttons say what was chosen, and a tap says which."""

from datetime import timedelta, timezone

import msgspec
import pytest

from beepwatch.messages import AlertKind, Chosen, Verdict
from beepwatch.notify.buttons import Choice, Tap, read, rows
from tests.notify.laundry import at, heard

PARIS = timezone(timedelta(hours=1))
ALERT = msgspec.structs.replace(heard(), id=999_999_999, event_id=3)


def labels(chosen: Chosen) -> list[list[str]]:
    return [[button.text for button in row] for row in rows(ALERT, chosen, PARIS)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Chosen(), [["right", "wrong", "quiet for 1 h"]]),
        (Chosen(verdict=Verdict.RIGHT), [["✓ right", "wrong", "quiet for 1 h"]]),
        (Chosen(verdict=Verdict.WRONG), [["right", "✓ wrong", "quiet for 1 h"]]),
        (
            Chosen(quiet_until=at(60)),
            [["right", "wrong", "✓ quiet until 13:01"], ["not quiet any more"]],
        ),
    ],
)
def test_the_buttons_show_what_was_chosen(chosen: Chosen, expected: list[list[str]]) -> None:
    assert labels(chosen) == expected


def test_each_buttons_data_come_back_as_its_tap_and_fit_telegrams_64_bytes() -> None:
    buttons = [button for row in rows(ALERT, Chosen(quiet_until=at(60)), PARIS) for button in row]
    taps = [read(button.data) for button in buttons]
    assert [tap.choice for tap in taps if tap] == list(Choice)
    assert all(tap is not None and tap.is_of(ALERT) for tap in taps)
    assert max(len(button.data.encode()) for button in buttons) <= 64


def test_a_tap_is_not_of_an_alert_with_the_same_number_and_another_key() -> None:
    tap = read(rows(ALERT, Chosen(), PARIS)[0][0].data)
    assert tap is not None
    assert not tap.is_of(msgspec.structs.replace(ALERT, dedupe_key="another"))


def test_only_what_was_heard_has_buttons() -> None:
    for kind in AlertKind:
        alert = msgspec.structs.replace(ALERT, kind=kind)
        assert bool(rows(alert, Chosen(), PARIS)) == (kind is AlertKind.HEARD)
    assert rows(msgspec.structs.replace(ALERT, event_id=None), Chosen(), PARIS) == ()


@pytest.mark.parametrize(
    "data", ["", "right", "right:1", "left:1:00000000", "right:-1:00000000", "right:1:0000000g"]
)
def test_what_no_button_says_is_no_tap(data: str) -> None:
    assert read(data) is None


def test_a_tap_is_read_in_full() -> None:
    assert read("wrong:12:00ff00ff") == Tap(choice=Choice.WRONG, alert_id=12, mark="00ff00ff")
