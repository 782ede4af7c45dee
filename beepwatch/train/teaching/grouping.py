"""Which of the clips that were called wrong are one sound."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from beepwatch.train.teaching.examples import SAME_TONE, Example, tones_of

LEADING = 5  # of a group's pitches, the most lasting ones
SHARED = 2  # of these, where it is another one that leads: rooms differ in which they favour
OTHERS = "wrong-others"
FEWEST_OTHERS = 3  # a sound whose pitch is never the same is not learnt from fewer


class Group(msgspec.Struct, kw_only=True):
    """Clips of one sound, by their events."""

    name: str  # of its veto
    events: list[int]
    moving: bool = False  # nothing but the network's answer tells that they are alike


def grouped(clips: Mapping[int, Example]) -> list[Group]:
    """Clips that share a leading pitch or several others, in the order of their first events.

    A group keeps its name as it grows: that of the first of its events.
    """
    found: list[Group] = []
    pitches_hz: list[tuple[float, ...]] = []
    for event_id in sorted(clips):
        own, _ = tones_of([clips[event_id]])
        index = _of_pitch(pitches_hz, own)
        if index is None:
            found.append(Group(name=f"wrong-{event_id}", events=[event_id]))
            pitches_hz.append(own)
        else:
            found[index].events.append(event_id)
            shared, _ = tones_of([clips[one] for one in found[index].events])
            pitches_hz[index] = shared or pitches_hz[index]
    return found


def loners(groups: Iterable[Group]) -> Group | None:
    """All that share their pitch with no other, as if they were one sound; None if too few."""
    events = sorted(group.events[0] for group in groups if len(group.events) == 1)
    if len(events) < FEWEST_OTHERS:
        return None
    return Group(name=OTHERS, events=events, moving=True)


def _of_pitch(groups_hz: Sequence[tuple[float, ...]], own_hz: tuple[float, ...]) -> int | None:
    """The first group that has this clip's leading pitch among its own, or else several of it."""
    shared = [
        [any(abs(own / hz - 1) < SAME_TONE for hz in several[:LEADING]) for own in own_hz[:LEADING]]
        for several in groups_hz
    ]
    leading = [index for index, same in enumerate(shared) if same and same[0]]
    several = [index for index, same in enumerate(shared) if sum(same) >= SHARED]
    return next(iter([*leading, *several]), None)
