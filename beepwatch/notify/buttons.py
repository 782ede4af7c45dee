"""The buttons under an alert, and what a tap on one says. Pure."""

import enum
import re
import zlib
from datetime import datetime, tzinfo

import msgspec

from beepwatch.messages import Alert, AlertKind, Chosen, Verdict
from beepwatch.notify.channels import Button

QUIET_S = 3_600.0
_DATA = re.compile(r"^([a-z]+):(\d{1,18}):([0-9a-f]{8})$")


class Choice(enum.StrEnum):
    """What can be chosen."""

    RIGHT = "right"
    WRONG = "wrong"
    QUIET = "quiet"
    LOUD = "loud"


class Tap(msgspec.Struct, frozen=True, kw_only=True):
    """A choice under the message of one alert."""

    choice: Choice
    alert_id: int
    mark: str

    def is_of(self, alert: Alert) -> bool:
        """Whether it is this alert, and not one of the same number in a database of before."""
        return alert.id == self.alert_id and _mark(alert) == self.mark


Rows = tuple[tuple[Button, ...], ...]


def rows(alert: Alert, chosen: Chosen, zone: tzinfo | None) -> Rows:
    """Under an alert of something heard: was it right, and quiet for a while.

    What undoes a choice never takes the place of another button: a double tap must not hit it.
    """
    if alert.kind is not AlertKind.HEARD or alert.event_id is None:
        return ()

    def button(choice: Choice, text: str, is_chosen: bool = False) -> Button:
        return Button(
            text=f"✓ {text}" if is_chosen else text,
            data=f"{choice}:{alert.id}:{_mark(alert)}",
        )

    quiet = "quiet for 1 h"
    if chosen.quiet_until is not None:
        quiet = f"quiet until {_hour(chosen.quiet_until, zone)}"
    first = (
        button(Choice.RIGHT, "right", chosen.verdict is Verdict.RIGHT),
        button(Choice.WRONG, "wrong", chosen.verdict is Verdict.WRONG),
        button(Choice.QUIET, quiet, chosen.quiet_until is not None),
    )
    if chosen.quiet_until is None:
        return (first,)
    return (first, (button(Choice.LOUD, "not quiet any more"),))


def read(data: str) -> Tap | None:
    """The tap that a button's data tell of; None for what no button of ours says."""
    match = _DATA.match(data)
    if match is None or match[1] not in [choice.value for choice in Choice]:
        return None
    return Tap(choice=Choice(match[1]), alert_id=int(match[2]), mark=match[3])


def _mark(alert: Alert) -> str:
    """Numbers begin anew in a new database; keys, which hold a time, do not come again."""
    return f"{zlib.crc32(alert.dedupe_key.encode()):08x}"


def _hour(when: datetime, zone: tzinfo | None) -> str:
    return f"{when.astimezone(zone):%H:%M}"
