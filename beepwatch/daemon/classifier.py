"""The classifier process: windows in; events, clips and alerts into the store."""

import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from types import MappingProxyType

import msgspec
import structlog

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import open_taught
from beepwatch.clock import Clock, LocalZone, SystemClock
from beepwatch.daemon.entry import let_in
from beepwatch.daemon.footing import StoreWatch, footing
from beepwatch.daemon.heap import ARRAYS_BYTES, keep_apart
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.machines.room import MachineRoom
from beepwatch.daemon.pipeline import Note, Pipeline
from beepwatch.daemon.resuming import EpisodeKey
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.errors import DiskFull, ModelError, StoreDamaged, StoreError
from beepwatch.logs import configure_logging
from beepwatch.messages import (
    Alert,
    AlertKind,
    AnyMessage,
    Clip,
    Done,
    Event,
    Failed,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Hum,
    Poke,
    Quiet,
    Ready,
    Watch,
    Window,
)
from beepwatch.store.outbox import Outbox, Written

IDLE_S = 1.0
LAST_TRIES_S = 30.0  # to write what is left at the end of a source, which has no other limit
WRITE_AGAIN_S = 0.2
HAND_OVER_S = 10.0  # an alert that cannot be written for so long is told without the store
UNWRITTEN_NOTES = 1_000  # kept while the disk is full; hours of beeps
UNWRITTEN_CLIPS = 20  # of them with their clips; 20 MB at most

_log = structlog.get_logger()


def main(connection: Connection, settings: ClassifierSettings) -> None:
    """The process: until it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    if settings.alone:
        keep_apart(ARRAYS_BYTES)
    clock = SystemClock()
    link = Link(connection, clock)
    if settings.model.runtime == "torch":
        let_in()
    try:
        Classifier(link, settings, clock).run()
    except (ModelError, StoreDamaged) as error:
        link.send(Failed(text=str(error), exit_code=error.exit_code))
    except StoreError as error:
        _log.error("store_unusable", process="classifier", error=str(error))
        sys.exit(error.exit_code)  # the supervisor tries again, less and less often
    except SupervisorGone:
        _log.warning("supervisor_gone", process="classifier")


class Classifier:
    """One life of the classifier."""

    def __init__(self, link: Link, settings: ClassifierSettings, clock: Clock) -> None:
        bundle = load_bundle(settings.bundle)
        shelf = Shelf(settings.directory)
        engine, problems = open_taught(bundle, settings.model.runtime, shelf)
        for problem in problems:
            _log.error("taught_sound_unusable", problem=problem)
        ground = footing(settings, clock)
        remembered = ground.remembered
        self._time = ground.time
        self._store_watch = StoreWatch(settings.directory) if ground.missing else None
        self._link = link
        self._clock = clock
        self._live = settings.live
        self._writer = NoteWriter(ground.outbox, settings.channels, ground.last_alerts, link.beat)
        # Of what a life before has told; this one says it once more, since it may be another.
        self._faulty_since = next((fault.since for fault in settings.faults), None)
        self._reported = False
        self._pipeline = Pipeline(
            engine,
            thresholds=engine.thresholds,
            context_s=engine.context_s,
            rules=settings.rules,
            missing_after_s=settings.missing_after_s,
            zone=LocalZone(),
            since_s=remembered.since_s,
            missed=remembered.missed,
            last_told_s=remembered.last_told_s,
            earlier=remembered.earlier,
        )
        if remembered.watch is not None:
            self._pipeline.watch(remembered.watch)
        self._machines = MachineRoom(
            settings.directory,
            settings.machines,
            clock,
            zone=LocalZone(),
            live=settings.live,
            rate_hz=engine.rate_hz,
            clip=self._pipeline.last,
            report=link.send,
        )
        self._model = f"{settings.bundle.name} {engine.model_id}"
        if ground.missing is not None:
            self._report(ground.missing)

    def run(self) -> None:
        """Take windows until told to finish, or, without a store, until there is one."""
        self._link.send(Ready(model=self._model))
        while not self._can_do_better:
            message = self._link.receive(IDLE_S)
            if isinstance(message, Finish):
                over = [*self._pipeline.finish(), *self._machines.finish()]
                self._write(over if message.for_good else [])
                self._write_the_rest(message.within_s or LAST_TRIES_S)
                self._machines.keep(now=True)
                break
            self._handle(message)
            self._link.beat()
        else:
            self._clear_fault()
        for alert in self._writer.untold():
            self._link.send(alert)
        self._link.send(Finished())

    @property
    def _can_do_better(self) -> bool:
        """Whether a life with the store is possible by now, and this one has none."""
        return self._store_watch is not None and self._store_watch.there

    def _write_the_rest(self, within_s: float) -> None:
        """A database that is locked just now is no reason to lose how the last episode ended."""
        give_up_s = self._clock.mono_s() + within_s
        while self._writer.unwritten and self._clock.mono_s() < give_up_s:
            self._link.beat()
            self._link.receive(WRITE_AGAIN_S)  # there is nothing more to say, but it may be gone
            self._write([])
        if self._writer.unwritten:
            _log.error("not_written", notes=self._writer.unwritten)

    def _handle(self, message: AnyMessage | None) -> None:
        if self._live and isinstance(message, Window | Quiet):
            self._follow_clock(message)
        match message:
            case Window():
                self._write(self._pipeline.hear(message))
            case Quiet():
                self._write(self._pipeline.skip(message))
            case Watch():
                self._pipeline.watch(message)
            case None if self._live:
                self._write(self._pipeline.tick(self._clock.mono_s(), self._clock.utc()))
        self._listen_to_machines(message)
        if isinstance(message, Window | Quiet):
            at_rest = self._pipeline.at_rest and not self._writer.unwritten
            self._link.send(
                Done(stream_id=message.stream_id, sequence=message.sequence, at_rest=at_rest)
            )

    def _listen_to_machines(self, message: AnyMessage | None) -> None:
        """What they have told is on the disk before it is remembered as told."""
        notes = self._machines.look()
        if isinstance(message, Window | Hum):
            notes += self._machines.hear(message)
        if notes:
            self._write(notes)
        if not self._writer.unwritten:
            self._machines.keep()

    def _follow_clock(self, span: Window | Quiet) -> None:
        """If it was set, end what is open, in its own time, and date anew all that was written."""
        if self._time is None or not self._time.is_set_anew(span):
            return
        self._write(self._pipeline.finish())
        try:
            self._time.follow(span)
        except StoreError as error:
            self._report(error)  # the next window tries again

    def _write(self, notes: list[Note]) -> None:
        try:
            wrote = self._writer.write(notes)
        except StoreDamaged:
            raise  # no life of this daemon can write it; the next start puts it aside
        except StoreError as error:
            self._report(error)
            for alert in self._writer.overdue(self._clock.mono_s()):
                self._link.send(alert)
            return
        if wrote:
            self._link.send(Poke())
        if self._writer.clips_wait_for is not None:
            self._report(self._writer.clips_wait_for)
        elif self._store_watch is None and (wrote or self._reported):
            self._clear_fault()

    def _clear_fault(self) -> None:
        if self._faulty_since is not None:
            self._link.send(_disk_fault("the store can be written again", self._faulty_since, True))
            self._faulty_since, self._reported = None, False

    def _report(self, error: StoreError) -> None:
        if not self._reported:
            self._faulty_since = self._faulty_since or self._clock.utc()
            self._reported = True
            self._link.send(_disk_fault(str(error), self._faulty_since, False))


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


def _disk_fault(text: str, since: datetime, cleared: bool) -> Fault:
    return Fault(kind=FaultKind.DISK_FULL, text=text, since=since, cleared=cleared)
