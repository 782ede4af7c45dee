"""The classifier process: windows in; events, clips and alerts into the store."""

import sys
from collections import deque
from datetime import datetime
from multiprocessing.connection import Connection

import msgspec
import structlog

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.clock import Clock, LocalZone, SystemClock
from beepwatch.config import Rule
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.pipeline import EpisodeKey, Note, Pipeline
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.errors import ModelError, StoreError
from beepwatch.logs import configure_logging
from beepwatch.messages import (
    AlertKind,
    AnyMessage,
    Done,
    Failed,
    Fault,
    FaultKind,
    Finish,
    Finished,
    Poke,
    Quiet,
    Ready,
    Window,
)
from beepwatch.store.database import Database
from beepwatch.store.outbox import Outbox

IDLE_S = 1.0
UNWRITTEN_NOTES = 1_000  # kept while the disk is full; hours of beeps

_log = structlog.get_logger()


def main(connection: Connection, settings: ClassifierSettings) -> None:
    """The process: until it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    clock = SystemClock()
    link = Link(connection, clock)
    try:
        Classifier(link, settings, clock).run()
    except ModelError as error:
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
        engine = open_engine(bundle, settings.model.runtime)
        outbox = Outbox(Database(settings.directory))
        self._link = link
        self._clock = clock
        self._live = settings.live
        self._writer = NoteWriter(outbox, settings.channels)
        self._faulty_since: datetime | None = None
        self._pipeline = Pipeline(
            engine,
            thresholds=bundle.info.thresholds,
            context_s=bundle.info.context_s,
            rules=settings.rules,
            missing_after_s=settings.missing_after_s,
            zone=LocalZone(),
            since_s=_last_heard_s(outbox, settings, clock),
            last_told_s=_last_told_s(outbox, settings.rules, clock) if settings.live else None,
        )

    def run(self) -> None:
        """Take windows until told to finish."""
        self._link.send(Ready())
        while True:
            message = self._link.receive(IDLE_S)
            if isinstance(message, Finish):
                self._write(self._pipeline.finish())
                if self._writer.unwritten:
                    _log.error("not_written", notes=self._writer.unwritten)
                self._link.send(Finished())
                return
            self._handle(message)
            self._link.beat()

    def _handle(self, message: AnyMessage | None) -> None:
        match message:
            case Window():
                self._write(self._pipeline.hear(message))
            case Quiet():
                self._write(self._pipeline.skip(message))
            case None if self._live:
                self._write(self._pipeline.tick(self._clock.mono_s(), self._clock.utc()))
        if isinstance(message, Window | Quiet):
            self._link.send(Done(stream_id=message.stream_id, sequence=message.sequence))

    def _write(self, notes: list[Note]) -> None:
        try:
            wrote = self._writer.write(notes)
        except StoreError as error:
            self._report(error)
            return
        if wrote:
            self._link.send(Poke())
        if self._faulty_since is not None:
            self._link.send(_disk_fault("the store can be written again", self._faulty_since, True))
            self._faulty_since = None

    def _report(self, error: StoreError) -> None:
        if self._faulty_since is None:
            self._faulty_since = self._clock.utc()
            self._link.send(_disk_fault(str(error), self._faulty_since, False))


class NoteWriter:
    """Writes notes in order and remembers which event each episode became.

    What could not be written is kept, up to `UNWRITTEN_NOTES`, and tried again with the next.
    """

    def __init__(self, outbox: Outbox, channels: tuple[str, ...]) -> None:
        self._outbox = outbox
        self._channels = channels
        self._event_ids: dict[EpisodeKey, int] = {}
        self._last_alert: dict[str, int] = {}  # by label
        self._unwritten: deque[Note] = deque()

    @property
    def unwritten(self) -> int:
        """How many notes wait for a store that can be written."""
        return len(self._unwritten)

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
        return wrote

    def _put(self, note: Note) -> None:
        event = note.event
        if event is not None and note.episode is not None:
            event = msgspec.structs.replace(event, id=self._event_ids.get(note.episode))
        label = event.label if event else ""
        written = self._outbox.write(
            event=event,
            clip=note.clip,
            alert=note.alert,
            channels=self._channels,
            told_by=self._last_alert.get(label) if note.covered and note.alert is None else None,
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

    def _log(self, note: Note) -> None:
        if note.event is not None:
            _log.info(
                "episode_over" if note.event.final else "heard",
                label=note.event.label,
                onset=note.event.onset.isoformat(),
                pulses=note.event.pulses,
                score=round(note.event.peak_score, 3),
            )
        elif note.alert is not None and note.alert.kind is AlertKind.MISSED:
            _log.warning("nothing_heard", text=note.alert.text)


def _last_told_s(outbox: Outbox, rules: tuple[Rule, ...], clock: Clock) -> dict[str, float]:
    """Monotonic times of the last alerts, so that a cooldown outlives a restart."""
    told_s = {}
    for rule in rules:
        if told := outbox.last_told(rule.label):
            ago_s = max(0.0, (clock.utc() - told).total_seconds())
            told_s[rule.label] = clock.mono_s() - ago_s
    return told_s


def _last_heard_s(outbox: Outbox, settings: ClassifierSettings, clock: Clock) -> float:
    """Since when the dead man's switch waits: an earlier life of this daemon may have heard."""
    heard = [at for rule in settings.rules if (at := outbox.last_heard(rule.label))]
    if not heard or not settings.live:
        return settings.since_s
    ago_s = max(0.0, (clock.utc() - max(heard)).total_seconds())
    return max(settings.since_s, clock.mono_s() - ago_s)


def _disk_fault(text: str, since: datetime, cleared: bool) -> Fault:
    return Fault(kind=FaultKind.DISK_FULL, text=text, since=since, cleared=cleared)
