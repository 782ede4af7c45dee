"""The words of the bot's answers. Pure: times are shown in `zone`."""

import math
from collections.abc import Iterator
from datetime import datetime, tzinfo

import msgspec

from beepwatch.messages import Condition, MachineStanding
from beepwatch.notify.captions import day_and_time
from beepwatch.wording import counted

_DOT = " · "
_FRESH_S = 10.0  # a window of 6 s that has just come is from now
_BYTES_PER_GB = 1_000_000_000


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `/status` tells; all times UTC."""

    now: datetime
    condition: Condition | None  # None when the supervisor did not answer
    up_since: datetime | None
    last_heard: datetime | None
    untold: int  # alerts
    free_bytes: int
    muted_until: datetime | None
    watched_until: datetime | None


def status(facts: Facts, room: str, zone: tzinfo | None) -> str:
    """A line for each thing that a person asks a box in a cupboard."""
    return "\n".join(
        [
            _DOT.join(part for part in ("beepwatch", room) if part),
            *_listening(facts, zone),
            _last_heard(facts.last_heard, zone),
            *_machines(facts, zone),
            f"{counted(facts.untold, 'alert')} still to be told",
            f"{facts.free_bytes / _BYTES_PER_GB:.1f} GB free",
            *_wishes(facts, zone),
        ]
    )


def moment(when: datetime, now: datetime, zone: tzinfo | None) -> str:
    """ "15:03" of today, "Sun 2 Mar 15:03:00" of any other day."""
    local = when.astimezone(zone)
    if local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M}"
    return day_and_time(local)


def duration(length_s: float) -> str:
    """ "40 s", "12 min", "2 h 30 min", "3 d 2 h"."""
    if length_s < 60:
        return f"{length_s:.0f} s"
    minutes = round(length_s / 60)
    if minutes < 60:
        return f"{minutes} min"
    large, small, names = (minutes // 60, minutes % 60, ("h", "min"))
    if large >= 24:
        large, small, names = (large // 24, large % 24, ("d", "h"))
    return f"{large} {names[0]} {small} {names[1]}" if small else f"{large} {names[0]}"


def _listening(facts: Facts, zone: tzinfo | None) -> Iterator[str]:
    condition = facts.condition
    if condition is None or facts.up_since is None:
        yield "what listens does not answer"
        return
    since = moment(facts.up_since, facts.now, zone)
    yield f"up since {since} ({duration(condition.up_s)})"
    yield _level(condition)
    one = condition.waiting_windows == 1
    waiting = f"{counted(condition.waiting_windows, 'window')} {'waits' if one else 'wait'}"
    if condition.lag_s > _FRESH_S:
        waiting += f", {duration(condition.lag_s)} behind"
    yield f"{waiting}, {condition.dropped_windows} lost"
    yield f"model {condition.model or 'not loaded yet'}"


def _level(condition: Condition) -> str:
    if condition.level_age_s is None:
        return "no sound has come yet"
    if condition.level_age_s > _FRESH_S:
        return f"no sound for {duration(condition.level_age_s)} from {condition.source}"
    if math.isinf(condition.level_dbfs):
        return f"digital silence from {condition.source}"
    return f"level {condition.level_dbfs:.0f} dBFS from {condition.source}"


def _last_heard(when: datetime | None, zone: tzinfo | None) -> str:
    if when is None:
        return "nothing heard yet"
    return f"last heard {day_and_time(when.astimezone(zone))}"


def _machines(facts: Facts, zone: tzinfo | None) -> Iterator[str]:
    """ "fan: as usual, strangeness 0.1, heard 2 s ago": a line for each that was learned."""
    for machine in facts.condition.machines if facts.condition else ():
        yield f"{machine.name}: {', '.join(_machine(machine, facts.now, zone))}"


def _machine(machine: MachineStanding, now: datetime, zone: tzinfo | None) -> Iterator[str]:
    if not machine.usable:
        yield "what was learned of it cannot be used; the log says why"
        return
    if machine.unusual_since is not None:
        yield f"unusual since {moment(machine.unusual_since, now, zone)}"
    elif machine.heard_at is not None:
        yield "as usual"
    else:
        yield "not heard yet"
    if machine.strangeness is not None:
        yield f"strangeness {machine.strangeness:.1f}"
    if machine.heard_at is not None:
        ago_s = max((now - machine.heard_at).total_seconds(), 0.0)
        yield f"heard {duration(ago_s)} ago"
    if machine.off_since is not None:
        yield f"off since {moment(machine.off_since, now, zone)}"


def _wishes(facts: Facts, zone: tzinfo | None) -> Iterator[str]:
    if facts.muted_until is not None:
        yield f"quiet here until {moment(facts.muted_until, facts.now, zone)} (/unmute)"
    if facts.watched_until is not None:
        until = moment(facts.watched_until, facts.now, zone)
        yield f"tells you if nothing is heard until {until} (/watch off)"
