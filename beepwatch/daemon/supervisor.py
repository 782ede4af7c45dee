"""The supervisor: starts the three children, carries windows between them, keeps them alive.

It never waits for a child: what is sent fits an empty socket (`queue.IN_FLIGHT_BYTES`).
"""

from multiprocessing.connection import Connection, wait

import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.backlog import Backlog
from beepwatch.daemon.child import Child
from beepwatch.daemon.ending import Ending, Turn
from beepwatch.daemon.feeding import Feeder
from beepwatch.daemon.inheritance import as_planned, hang, inheriting, with_fault, with_place
from beepwatch.daemon.letters import Letters
from beepwatch.daemon.poison import Poison
from beepwatch.daemon.queue import WindowQueue
from beepwatch.daemon.readiness import Readiness
from beepwatch.daemon.signals import Signals
from beepwatch.daemon.storms import Storms
from beepwatch.daemon.switchboard import Switchboard
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.daemon.wiring import Wiring
from beepwatch.messages import (
    Alert,
    AlertKind,
    AnyMessage,
    Done,
    Ended,
    Failed,
    Fault,
    FaultKind,
    Listening,
    Noted,
    Poke,
    Quiet,
    Ready,
    Window,
)
from beepwatch.store.disk import NO_ANSWER

TURN_S = 1.0  # the longest sleep of the main loop
STOPS_WITHIN_S = 5.0  # a child that is told to finish by a signal
DRAINS_WITHIN_S = 60.0  # the messenger, when the source has ended
# Counted and logged, but no news for a phone: a slow minute, a loud beep, a channel that is shut.
_NOT_TOLD = frozenset({FaultKind.OVERFLOW, FaultKind.CLIPPING, FaultKind.CHANNEL})

_log = structlog.get_logger()


class Supervisor:
    """The parent process's main loop."""

    def __init__(
        self, wiring: Wiring, clock: Clock, manager: ServiceManager, signals: Signals
    ) -> None:
        self.failure: Failed | None = None
        self.moving = False  # the end is for the sake of another life on the disk
        self.untold: tuple[Alert, ...] = ()  # at the end: nobody has written or told them
        self.queue = WindowQueue(wiring.terms.queue_windows)
        self._wiring = wiring
        self._terms = wiring.terms
        self._children = (wiring.messenger, wiring.classifier, wiring.recorder)
        self._clock = clock
        self._manager = manager
        self._backlog = Backlog(self.queue)
        self._feeder = Feeder(self.queue, wiring.classifier, Poison(wiring.state))
        self._letters = Letters(clock)
        self._storms = Storms()
        self._readiness = Readiness(manager, disk=wiring.remark)
        self._switchboard = Switchboard(
            recorder=wiring.recorder,
            classifier=wiring.classifier,
            messenger=wiring.messenger,
            queue=self.queue,
            clock=clock,
        )
        self._disk_told = ""  # what is wrong with it
        self._pinged_s = float("-inf")
        self._ending: Ending | None = None
        self._signals = signals
        self._stopping = False

    def run(self) -> int:
        """Run until the source has ended or a signal comes; the exit code."""
        wanted = not self._signals.ends
        if wanted:
            self._manager.status("loading the model and opening the source")
        else:
            self._manager.stopping()
        self._signals.attended = True
        try:
            while wanted and not self._over:
                self._turn()
            self.untold = self._left_over()
        finally:
            for child in self._children:
                child.kill()
            for child in self._children:
                child.put_to_rest()
            self._signals.attended = False
        counts = {child.name: child.counts for child in self._children}
        _log.info("stopped", dropped_windows=self.queue.dropped, **counts)
        return self.failure.exit_code if self.failure else 0

    @property
    def recorder(self) -> Child:
        """With what it knows of its source."""
        return self._wiring.recorder

    @property
    def disk_hangs(self) -> bool:
        """Whether, as far as is known, whoever writes to it would be held there."""
        return NO_ANSWER in self._disk_told

    @property
    def _over(self) -> bool:
        return self._signals.ends > 1 or (self._ending is not None and self._ending.over)

    def _turn(self) -> None:
        self._start_dead(self._clock.mono_s())
        self._sleep()
        now_s = self._clock.mono_s()
        for child in self._children:
            if self._may_speak(child) and (message := child.receive(now_s)) is not None:
                self._handle(child, message)
            self._bury(child, now_s)
            self._end_hung(child, now_s)
            self._fault(self._storms.watch(child, now_s))
        self._feeder.hand_out()
        self._letters.post(self._wiring.messenger)
        self._switchboard.post()
        if not self._terms.patient:
            self._fault(self._backlog.watch(now_s, self._clock.utc()))
        self._announce()
        self._ping(now_s)
        self._reload(now_s)
        self._move()
        self._end(now_s)

    def _sleep(self) -> None:
        """Until a child speaks or dies, a signal comes, or the turn is over."""
        now_s = self._clock.mono_s()
        signals = self._signals.fileno()
        waiting: list[Connection | int] = [signals]
        for child in self._children:
            if not self._may_speak(child):
                child.excuse(now_s)
                continue
            if child.connection is not None:
                waiting.append(child.connection)
            if child.sentinel is not None:
                waiting.append(child.sentinel)
        turn_s = max(0.0, min([TURN_S, *(child.due_in_s(now_s) for child in self._children)]))
        if signals in wait(waiting, turn_s):
            self._signals.clear()

    def _may_speak(self, child: Child) -> bool:
        """A patient source waits in its pipe while the queue is full: nothing is dropped."""
        if child is not self._wiring.recorder or not self._terms.patient:
            return True
        return self.failure is not None or not self.queue.full

    def _handle(self, child: Child, message: AnyMessage) -> None:
        match message:
            case Window() | Quiet():
                self.queue.push(message)
                self._switchboard.heard(message)
                if self._terms.resumable:
                    child.settings = with_place(child.settings, message)
            case Done():
                self.queue.done(message)
            case Poke():
                self._wiring.messenger.send(message)
            case Noted():
                self._letters.noted(message)
            case Fault():
                child.settings = with_fault(child.settings, message)
                self._fault(message)
            case _:
                self._note_progress(child, message)

    def _note_progress(self, child: Child, message: AnyMessage) -> None:
        match message:
            case Ready() if child is self._wiring.classifier:
                self._feeder.has_loaded()
                self._switchboard.model = message.model
            case Alert():
                self._letters.pass_on(message)
            case Listening():
                self._readiness.listens(message)
            case Ended():
                _log.info("source_ended", source=message.source)
                self._begin_end(within_s=None, drain_s=DRAINS_WITHIN_S)
            case Failed():
                _log.error("failed", process=child.name, text=message.text, told=True)
                self.failure = self.failure or message
                child.retired = True
                self._begin_end(within_s=STOPS_WITHIN_S, drain_s=STOPS_WITHIN_S)
            case _:
                self._switchboard.handle(message)

    def _announce(self) -> None:
        """Say once that all is up."""
        source = self._readiness.step(self._children, classifier_ready=self._feeder.ready)
        if source is not None and self._terms.notices and not self._wiring.again:
            self._letters.write(AlertKind.STARTED, f"beepwatch is listening to {source}")

    def _fault(self, fault: Fault | None) -> None:
        if fault is None:
            return
        event = "fault_over" if fault.cleared else "fault"
        told = fault.kind not in _NOT_TOLD
        _log.warning(event, kind=fault.kind.value, text=fault.text, count=fault.count, told=told)
        self._readiness.hears_of(fault)
        if fault.kind is FaultKind.DISK_FULL:
            before, self._disk_told = self._disk_told, "" if fault.cleared else fault.text
            if before == self._disk_told:
                return  # both who need it say so
        if told:
            kind = AlertKind.RECOVERED if fault.cleared else AlertKind.FAULT
            self._letters.write(kind, fault.text)

    # Life and death of the children

    def _start_dead(self, now_s: float) -> None:
        for child in self._children:
            if not child.due(now_s) or self._leaving(child):
                continue
            child.start(now_s)
            if child.pid is None:
                self._fault(self._died(child, "it cannot be started", now_s))

    def _leaving(self, child: Child) -> bool:
        return self._ending is not None and self._ending.leaving(child)

    def _bury(self, child: Child, now_s: float) -> None:
        if child.speaks:
            return  # its last words first, even if they have to wait for room in the queue
        exit_code = child.bury(now_s)
        if exit_code is None:
            return
        if child is self._wiring.classifier:
            self._fault(self._feeder.take_back(exit_code, self._clock.utc()))
            self._wiring.messenger.send(Poke())  # it may have died between writing and saying so
        if child is self._wiring.messenger:
            self._letters.take_back()
            self._switchboard.messenger_died()
        if child.dismissed or self._leaving(child) or child.retired:
            return
        if self._source_over(child, exit_code):
            return
        _log.error("process_died", process=child.name, exit_code=exit_code)
        if child.hung and child is self._wiring.recorder and not self._terms.patient:
            return  # which is told of by itself
        how = "it hung" if child.hung else f"exit code {exit_code}"
        self._fault(self._died(child, how, now_s))

    def _died(self, child: Child, how: str, now_s: float) -> Fault | None:
        return self._storms.died(child.name, how, now_s, self._clock.utc())

    def _source_over(self, child: Child, exit_code: int) -> bool:
        """Whether this is the recorder, gone home after the end of its source."""
        return child is self._wiring.recorder and exit_code == 0 and self._ending is not None

    def _end_hung(self, child: Child, now_s: float) -> None:
        if child.hung or not child.alive:
            return
        if child.stale(now_s) or child.overstays(now_s):
            _log.error("process_hangs", process=child.name)
            child.hung = True
            child.kill()
            if child is self._wiring.recorder and not self._terms.patient:
                self._tell_hang(child)

    def _tell_hang(self, recorder: Child) -> None:
        fault = hang(recorder.settings, self._clock.utc())
        if fault is not None:
            recorder.settings = with_fault(recorder.settings, fault)
            self._fault(fault)

    def _ping(self, now_s: float) -> None:
        every_s = self._manager.ping_every_s
        if every_s is None or now_s - self._pinged_s < every_s:
            return
        if all(child.fresh(now_s) or self._leaving(child) for child in self._children):
            self._manager.alive(starting=not (self._readiness.told or self._wiring.again))
            self._pinged_s = now_s

    # Another configuration

    def _reload(self, now_s: float) -> None:
        """Children whose settings are others are replaced; meanwhile the queue keeps the sound."""
        if self._wiring.shelf_changed is not None and self._wiring.shelf_changed(now_s):
            self._signals.reload_asked = True
        asked = self._signals.reload_asked
        if not asked or self._ending is not None or self._wiring.reload is None:
            return
        self._signals.reload_asked = False
        plan = self._wiring.reload()
        if isinstance(plan, str):
            self._readiness.remark(settings=f"settings refused, the former ones go on: {plan}")
            return
        self._readiness.remark(settings="")
        self._terms = plan.terms
        self.queue.capacity = plan.terms.queue_windows
        for child in self._children:
            settings = plan.settings[child.name]
            if settings == as_planned(child.settings):
                continue
            _log.info("process_replaced", process=child.name)
            child.settings = inheriting(settings, child.settings)
            child.dismiss(now_s, STOPS_WITHIN_S)

    # The end

    def _move(self) -> None:
        """Into another life, on a disk that takes it again; a recording is heard out first."""
        home, held_back = self._wiring.home, self._wiring.held_back
        if home is None or self._ending is not None or self._terms.patient:
            return
        if held_back is not None and held_back():
            text = "the disk can be written again, but not in this process, which ends for the next"
            self.failure = Failed(text=text, exit_code=1)
        elif not home():
            return
        _log.info("moving_to_disk")
        self.moving = True
        self._begin_end(within_s=STOPS_WITHIN_S, drain_s=STOPS_WITHIN_S)

    def _begin_end(self, *, within_s: float | None, drain_s: float) -> None:
        if self._ending is not None:
            return
        if not self.moving:
            self._manager.stopping()
        self._ending = Ending(
            [
                Turn(child=self._wiring.recorder, within_s=within_s),
                Turn(child=self._wiring.classifier, within_s=within_s),
                Turn(child=self._wiring.messenger, within_s=drain_s),
            ],
            self._clock.mono_s(),
        )

    def _end(self, now_s: float) -> None:
        if self._signals.ends and not self._stopping:
            self._stopping, self.moving = True, False
            _log.info("stopping", reason="signal")
            if self._ending is not None:
                self._ending.hurry(STOPS_WITHIN_S, now_s)
            self._begin_end(within_s=STOPS_WITHIN_S, drain_s=STOPS_WITHIN_S)
        if self._ending is None:
            return
        before = self._ending.current
        self._ending.step(now_s, self._may_finish)
        if before is self._wiring.classifier and self._ending.current is self._wiring.messenger:
            self._say_goodbye()

    def _may_finish(self, child: Child) -> bool:
        if child is self._wiring.classifier:
            return self._feeder.idle
        return child is self._wiring.recorder or self._letters.all_sent

    def _say_goodbye(self) -> None:
        if self._terms.notices and self._readiness.listened and not self.moving:
            self._letters.write(AlertKind.STOPPED, "beepwatch has stopped listening")

    def _left_over(self) -> tuple[Alert, ...]:
        messenger = self._wiring.messenger
        while (message := messenger.receive(self._clock.mono_s())) is not None:
            if isinstance(message, Noted):
                self._letters.noted(message)
        return self._letters.left_over()
