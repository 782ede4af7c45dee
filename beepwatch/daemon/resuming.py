"""Episodes that a death of the classifier has cut: their events go on, and end once."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from beepwatch.decide.episodes import Episode
from beepwatch.messages import Event

PAUSE = timedelta(seconds=3)  # within an episode; an event that is open goes on after so long
HEARD_AGAIN = timedelta(minutes=10)  # the next life begins at most so long before an event's end

EpisodeKey = tuple[str, datetime]


class Earlier:
    """The last event of each label that an earlier life has written.

    The same sound is heard again after a death, so what overlaps such an event is that event; two
    episodes of a label never overlap. An event left open is also that of an episode which follows
    it within a pause. Only the first episode of a label can be meant.
    """

    def __init__(self, last: Iterable[Event] = (), left_open: Iterable[Event] = ()) -> None:
        self._last = {event.label: event for event in last}
        known = {event.id for event in self._last.values()}
        self._orphans = [event for event in left_open if event.id not in known]
        self._joined: dict[EpisodeKey, Event] = {}

    def join(self, event: Event, episode: Episode) -> Event:
        """The event as it is with what an earlier life knew of it."""
        key = (episode.label, episode.onset)
        if (candidate := self._last.get(event.label)) and key not in self._joined:
            self._last.pop(event.label)
            if _continues(candidate, event):
                self._joined[key] = candidate
            else:
                self._orphans.append(candidate)
        earlier = self._joined.get(key)
        return event if earlier is None else _together(earlier, event, episode)

    def told_all(self, event: Event, episode: Episode) -> bool:
        """Whether an earlier life has written the end of this episode, and as much of it."""
        earlier = self._joined.get((episode.label, episode.onset))
        return earlier is not None and earlier.final and event.pulses == earlier.pulses

    def began(self, episode: Episode) -> datetime:
        """When the first pulse sounded that any life has heard."""
        earlier = self._joined.get((episode.label, episode.onset))
        return episode.onset if earlier is None else min(earlier.onset, episode.onset)

    def over(self, at: datetime) -> list[Event]:
        """Open events that nothing will go on with, `at` being a time at which nothing is open."""
        for label, event in list(self._last.items()):
            if not event.onset - HEARD_AGAIN <= at <= event.offset + PAUSE:
                self._orphans.append(self._last.pop(label))
        return self._end_orphans()

    def all_over(self) -> list[Event]:
        """Every event that is still open: the sound is at its end."""
        self._orphans += self._last.values()
        self._last.clear()
        return self._end_orphans()

    def _end_orphans(self) -> list[Event]:
        orphans, self._orphans = self._orphans, []
        return [msgspec.structs.replace(event, final=True) for event in orphans if not event.final]


def _continues(earlier: Event, event: Event) -> bool:
    pause = timedelta() if earlier.final else PAUSE
    return event.onset <= earlier.offset + pause and event.offset >= earlier.onset


def _together(earlier: Event, event: Event, episode: Episode) -> Event:
    """Pulses that began later than the earlier life had heard are new."""
    new = sum(pulse.onset > earlier.offset for pulse in episode.pulses)
    return msgspec.structs.replace(
        event,
        id=earlier.id,
        onset=min(earlier.onset, event.onset),
        offset=max(earlier.offset, event.offset),
        pulses=max(earlier.pulses, len(episode.pulses) - new) + new,
        peak_score=max(earlier.peak_score, event.peak_score),
    )
