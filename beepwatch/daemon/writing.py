"""Notes on their way from the classifier into the store, also while that takes nothing."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import msgspec
import structlog

from beepwatch.daemon.pipeline import Note
from beepwatch.daemon.resuming import EpisodeKey
from beepwatch.errors import DiskFull, StoreError
from beepwatch.messages import Alert, AlertKind, Clip, Event
from beepwatch.store.outbox import Outbox, Written

HAND_OVER_S = 10.0  # an alert that cannot be written for so long is told without the store
UNWRITTEN_NOTES = 1_000  # kept while the disk is full; hours of beeps
UNWRITTEN_CLIPS = 20  # of them with their clips; 20 MB at most

_log = structlog.get_logger()


class NoteWriter:
    """Writes notes in order and remembers which event each episode became.

    What could not be written is kept, up to `UNWRITTEN_NOTES`, and tried again with the next. On a
    full disk a note goes without its clip and picture rather than not at all; the clips of the last
    `UNWRITTEN_CLIPS` are kept, and follow when there is room.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: tuple[str, ...],
        last_alerts: Mapping[str, int] = MappingProxyType({}),
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """`last_alerts` are those of an earlier life, by label; `alive` is called for each note,
        each of which a slow disk may take seconds to sync.
        """
        self._alive = alive
        self._outbox = outbox
        self._channels = channels
        self._event_ids: dict[EpisodeKey, int] = {}
        self._last_alert = dict(last_alerts)  # by label
        self._unwritten: deque[Note] = deque()
        self._unwritten_since_s: float | None = None
        self._handed_over: set[str] = set()  # by dedupe_key, of what is unwritten
        self._clips: dict[int, tuple[Event, Clip]] = {}  # of events that were written without
        self.clips_wait_for: StoreError | None = None

    @property
    def unwritten(self) -> int:
        """How many notes wait for a store that can be written."""
        return len(self._unwritten)

    def overdue(self, now_s: float) -> list[Alert]:
        """Alerts that have waited for too long, each once; the messenger tells what it cannot
        write, and knows them again when they are written.
        """
        if self._unwritten_since_s is None:
            self._unwritten_since_s = now_s
        return self.untold() if now_s - self._unwritten_since_s >= HAND_OVER_S else []

    def untold(self) -> list[Alert]:
        """All alerts that are not written, those that were handed over already left out."""
        alerts = [note.alert for note in self._unwritten if note.alert is not None]
        new = [alert for alert in alerts if alert.dedupe_key not in self._handed_over]
        self._handed_over = {alert.dedupe_key for alert in alerts}
        return new

    def write(self, notes: list[Note]) -> bool:
        """Whether there is something new for the messenger. Raises StoreError."""
        self._unwritten.extend(notes)
        while len(self._unwritten) > UNWRITTEN_NOTES:
            dropped = self._unwritten.popleft()
            _log.error("note_dropped", episode=dropped.episode, alert=dropped.alert)
        wrote = bool(self._unwritten)
        while self._unwritten:
            self._put(self._unwritten[0])
            self._unwritten.popleft()
            self._alive()
        self._unwritten_since_s = None
        self._handed_over.clear()
        return self._put_clips() or wrote

    def _put(self, note: Note) -> None:
        event = note.event
        if event is not None and note.episode is not None:
            known = self._event_ids.get(note.episode, event.id)
            event = msgspec.structs.replace(event, id=known)
        label = event.label if event else ""
        written = self._with_clip_if_it_fits(
            partial(
                self._outbox.write,
                event=event,
                alert=note.alert,
                channels=self._channels,
                told_by=self._last_alert.get(label) if note.covered and not note.alert else None,
                ends=note.ends,
            ),
            event,
            note,
        )
        self._log(note)
        if event is None or note.episode is None or written.event_id is None:
            return
        if note.alert is not None and written.alert_id is not None:
            self._last_alert[label] = written.alert_id
        if event.final:
            self._event_ids.pop(note.episode, None)
        else:
            self._event_ids[note.episode] = written.event_id

    def _with_clip_if_it_fits(
        self, write: Callable[..., Written], event: Event | None, note: Note
    ) -> Written:
        clip = note.clip
        if event is None or clip is None:
            written = _even_if_full(write)
            self._freshen_clip(written.event_id, event)
            return written
        try:
            self._make_sure_of_room(clip)
            written = write(clip=clip, picture=note.picture)
        except DiskFull:
            written = _even_if_full(write)
            self._keep_clip(written.event_id, event, clip)
        else:
            self._clips.pop(written.event_id or 0, None)
        return written

    def _make_sure_of_room(self, clip: Clip) -> None:
        if not self._outbox.has_room_for(clip):
            raise DiskFull(
                "the disk has no room for clips. Free some space, or lower store.max_mb."
            )

    def _keep_clip(self, event_id: int | None, event: Event, clip: Clip) -> None:
        """The newest of each event; of too many the oldest goes."""
        if event_id is None:
            return
        self._clips.pop(event_id, None)
        self._clips[event_id] = (msgspec.structs.replace(event, id=event_id), clip)
        if len(self._clips) > UNWRITTEN_CLIPS:
            oldest_id = next(iter(self._clips))
            dropped, _ = self._clips.pop(oldest_id)
            _log.error("clip_dropped", event_id=oldest_id, onset=dropped.onset.isoformat())

    def _freshen_clip(self, event_id: int | None, event: Event | None) -> None:
        """A clip that waits belongs to what is known of its event now."""
        if event_id in self._clips and event is not None:
            self._keep_clip(event_id, event, self._clips[event_id][1])

    def _put_clips(self) -> bool:
        """Whether one that was kept was written."""
        wrote = False
        self.clips_wait_for = None
        try:
            for event_id, (event, clip) in list(self._clips.items()):
                self._make_sure_of_room(clip)
                self._outbox.write(event=event, clip=clip)
                del self._clips[event_id]
                self._alive()
                wrote = True
        except StoreError as error:
            self.clips_wait_for = error
        return wrote

    def _log(self, note: Note) -> None:
        if note.alert is not None and note.alert.kind is AlertKind.UNUSUAL:
            _log.warning("machine_unusual", text=note.alert.text, told=True)
        elif note.event is not None:
            _log.info(
                "episode_over" if note.event.final else "heard",
                label=note.event.label,
                onset=note.event.onset.isoformat(),
                pulses=note.event.pulses,
                score=round(note.event.peak_score, 3),
            )
        elif note.alert is not None and note.alert.kind is AlertKind.MISSED:
            _log.warning("nothing_heard", text=note.alert.text, told=True)


def _even_if_full(write: Callable[[], Written]) -> Written:
    """The first try that finds the disk full makes the store give up its reserve."""
    try:
        return write()
    except DiskFull:
        return write()
