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
    """The last events that earlier lives have written, `recent` in the order of their times.

    The same sound is heard again after a death, so what overlaps such an event is that event; two
    episodes of a label never overlap. An event left open is also that of an episode which follows
    it within a pause. What an episode has passed by is over.
    """

    def __init__(self, recent: Iterable[Event] = (), left_open: Iterable[Event] = ()) -> None:
        self._recent = list(recent)
        known = {event.id for event in self._recent}
        self._orphans = [event for event in left_open if event.id not in known]
        self._joined: dict[EpisodeKey, Event] = {}

    def join(self, event: Event, episode: Episode) -> Event:
        """The event as it is with what an earlier life knew of it."""
        key = (episode.label, episode.onset)
        if key not in self._joined:
            same = [one for one in self._recent if one.label == event.label]
            meant = next((one for one in same if _continues(one, event)), None)
            passed = [one for one in same if one is not meant and one.offset < event.onset]
            self._orphans += passed
            gone = {id(one) for one in (*passed, meant)}
            self._recent = [one for one in self._recent if id(one) not in gone]
            if meant is not None:
                self._joined[key] = meant
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
        for event in list(self._recent):
            if not event.onset - HEARD_AGAIN <= at <= event.offset + PAUSE:
                self._recent.remove(event)
                self._orphans.append(event)
        return self._end_orphans()

    def all_over(self) -> list[Event]:
        """Every event that is still open: the sound is at its end."""
        self._orphans += self._recent
        self._recent.clear()
        return self._end_orphans()

    def _end_orphans(self) -> list[Event]:
        orphans, self._orphans = self._orphans, []
        return [msgspec.structs.replace(event, final=True) for event in orphans if not event.final]


def _continues(earlier: Event, event: Event) -> bool:
    pause = timedelta() if earlier.final else PAUSE
    return event.onset <= earlier.offset + pause and event.offset >= earlier.onset


def _together(earlier: Event, event: Event, episode: Episode) -> Event:
    """Pulses that began later than the earlier life had heard are new.

    A life that has heard an episode from its beginning to its end knows best how many it has.
    """
    new = sum(pulse.onset > earlier.offset for pulse in episode.pulses)
    known = max(earlier.pulses, event.pulses - new) + new
    heard_all = event.final and episode.onset <= earlier.onset
    return msgspec.structs.replace(
        event,
        id=earlier.id,
        onset=min(earlier.onset, event.onset),
        offset=max(earlier.offset, event.offset),
        pulses=event.pulses if heard_all else known,
        peak_score=max(earlier.peak_score, event.peak_score),
    )
