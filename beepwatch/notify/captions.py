"""The words of an alert: for a phone, two lines under the sound; for a console, one line.

Pure: times are shown in `zone`, or in the machine's own when it is None.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from beepwatch.messages import Alert, AlertKind, Event
from beepwatch.wording import counted, printable

_GAP = "  "
_DOT = " · "
_LONGEST_NOTICE = 120  # characters of a notice in a digest
_HEADING_ROOM = 80  # characters: the heading with a count of any length, and that more follow


def caption(
    alert: Alert, events: Sequence[Event], room: str = "", zone: tzinfo | None = None
) -> str:
    """What the phone shows: what the rule says and room, then local time, pulses and score.

    `events` are those that the alert tells of, by onset; the episodes of a burst are summed. The
    count is said to be open until every one of them is final. The day is named, since a message
    may arrive long after an outage.
    """
    if alert.kind is not AlertKind.HEARD or not events:
        when = alert.created_at.astimezone(zone)
        return f"{alert.text}\n{_DOT.join(part for part in (room, day_and_time(when)) if part)}"
    return heard(alert.text, events, room, zone)


def heard(text: str, events: Sequence[Event], room: str = "", zone: tzinfo | None = None) -> str:
    """What was heard, and where; when, how often, how surely. `events` by onset, at least one."""
    when = events[0].onset.astimezone(zone)
    heading = _DOT.join(part for part in (text, room) if part)
    details = (day_and_time(when), _extent(events), f"score {_score(events):.2f}")
    return f"{heading}\n{_DOT.join(details)}"


def digest_line(alert: Alert, events: Sequence[Event], zone: tzinfo | None = None) -> str:
    """One alert of many: "Sat 1 Mar 13:00:00 · beep · 5 pulses in 4.1 s", or a notice's words."""
    told_of = alert.kind is AlertKind.HEARD and events
    when = (events[0].onset if told_of else alert.created_at).astimezone(zone)
    if told_of:
        what = f"{alert.text}{_DOT}{_extent(events)}"
    else:
        what = " ".join(alert.text.split())
        what = what if len(what) <= _LONGEST_NOTICE else what[: _LONGEST_NOTICE - 1] + "…"
    return f"{day_and_time(when)}{_DOT}{what}"


def digest(lines: Iterable[str], room: str, longest: int) -> tuple[int, str]:
    """As many lines as fit one message of `longest` characters, at least one; and the message.

    Takes no more than it needs, plus one, from `lines`.
    """
    taken: list[str] = []
    more: list[str] = []
    left = longest - _HEADING_ROOM - len(room)
    for line in lines:
        left -= len(line) + 1
        if taken and left < 0:
            more = ["… more follow"]
            break
        taken.append(line)
    heading = f"{counted(len(taken), 'alert')} could not be told in time"
    first = _DOT.join(part for part in (heading, room) if part)
    return len(taken), "\n".join([first, *taken, *more])


def console_line(
    alert: Alert, events: Sequence[Event], path: Path | None, zone: tzinfo | None = None
) -> str:
    """One line: local time, label, pulses, score and the clip's path; or the notice's text."""
    told_of = alert.kind is AlertKind.HEARD and events
    when = (events[0].onset if told_of else alert.created_at).astimezone(zone)
    if not told_of:
        parts = [f"{when:%H:%M:%S}", alert.kind.value, " ".join(alert.text.split())]
    else:
        score = f"score {_score(events):.2f}"
        parts = [f"{when:%H:%M:%S}", alert.text, _extent(events), score]
        parts.append(str(path) if path else "no clip")
    return printable(_GAP.join(parts))


def day_and_time(when: datetime) -> str:
    """ "Sat 1 Mar 13:00:00", of a local time."""
    return f"{when:%a} {when.day} {when:%b %H:%M:%S}"


def _score(events: Sequence[Event]) -> float:
    return max(event.peak_score for event in events)


def _extent(events: Sequence[Event]) -> str:
    """ "5 pulses in 4.1 s"; "2 pulses so far"; "7 pulses in 2 bursts within 1 min 20 s"."""
    pulses = sum(event.pulses for event in events)
    if not pulses:  # a machine's, which has none
        return f"over {_length(events[0].onset, events[-1].offset)}"
    heard = counted(pulses, "pulse")
    if len(events) > 1:
        heard += f" in {len(events)} bursts"
    if not all(event.final for event in events):
        return f"{heard} so far"
    first = min(event.onset for event in events)
    last = max(event.offset for event in events)
    return f"{heard} {'in' if len(events) == 1 else 'within'} {_length(first, last)}"


def _length(first: datetime, last: datetime) -> str:
    length_s = (last - first).total_seconds()
    if length_s < 60:
        return f"{length_s:.1f} s"
    minutes, seconds = divmod(round(length_s), 60)
    return f"{minutes} min {seconds} s"
