"""The classifier process: windows in; events, clips and alerts into the store."""

import sys
from datetime import datetime
from multiprocessing.connection import Connection

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
from beepwatch.daemon.settings import ClassifierSettings
from beepwatch.daemon.writing import NoteWriter
from beepwatch.errors import ModelError, StoreDamaged, StoreError
from beepwatch.logs import configure_logging
from beepwatch.messages import (
    AnyMessage,
    Done,
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

IDLE_S = 1.0
LAST_TRIES_S = 30.0  # to write what is left at the end of a source, which has no other limit
WRITE_AGAIN_S = 0.2

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


def _disk_fault(text: str, since: datetime, cleared: bool) -> Fault:
    return Fault(kind=FaultKind.DISK_FULL, text=text, since=since, cleared=cleared)
