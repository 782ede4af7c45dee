"""The supervisor: starts the three children, carries windows between them, keeps them alive.

It never waits for a child: what is sent fits an empty socket (`queue.IN_FLIGHT_BYTES`).
"""

import signal
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import wait
from types import FrameType

import msgspec
import structlog

from beepwatch.clock import Clock
from beepwatch.daemon.child import Child
from beepwatch.daemon.ending import Ending, Turn
from beepwatch.daemon.queue import WindowQueue
from beepwatch.daemon.systemd import ServiceManager
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
    Poke,
    Quiet,
    Ready,
    Window,
)

TURN_S = 1.0  # the longest sleep of the main loop
STOPS_WITHIN_S = 5.0  # a child that is told to finish by a signal
DRAINS_WITHIN_S = 60.0  # the messenger, when the source has ended
UNDELIVERED_LETTERS = 100  # kept while the messenger is away
# Counted and logged, but no news for a phone: a slow minute, a loud beep, a channel that is shut.
_NOT_TOLD = frozenset({FaultKind.OVERFLOW, FaultKind.CLIPPING, FaultKind.CHANNEL})

_log = structlog.get_logger()


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor is made of."""

    recorder: Child
    classifier: Child
    messenger: Child
    queue_windows: int
    patient: bool  # the source can be made to wait, so that nothing is dropped
    notices: bool  # tell of start and stop


class Supervisor:
    """The parent process's main loop."""

    def __init__(self, wiring: Wiring, clock: Clock, manager: ServiceManager) -> None:
        self.failure: Failed | None = None
        self._wiring = wiring
        self._children = (wiring.messenger, wiring.classifier, wiring.recorder)
        self._clock = clock
        self._manager = manager
        self._queue = WindowQueue(wiring.queue_windows)
        self._queue_full_since: datetime | None = None
        self._dropped_told = 0
        self._letters: deque[Alert] = deque(maxlen=UNDELIVERED_LETTERS)
        self._storms: dict[str, datetime] = {}  # since when a child keeps dying
        self._classifier_ready = False
        self._listening: Listening | None = None
        self._announced = False
        self._pinged_s = float("-inf")
        self._ending: Ending | None = None
        self._signals_seen = 0
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)

    def run(self) -> int:
        """Run until the source has ended or a signal comes; the exit code."""
        with self._signals():
            try:
                while not self._over:
                    self._turn()
            finally:
                for child in self._children:
                    child.kill()
                self._wake.close()
                self._waker.close()
        counts = {child.name: child.counts for child in self._children}
        _log.info("stopped", dropped_windows=self._queue.dropped, **counts)
        return self.failure.exit_code if self.failure else 0

    @property
    def _over(self) -> bool:
        return self._signals_seen > 1 or (self._ending is not None and self._ending.over)

    def _turn(self) -> None:
        self._start_dead(self._clock.mono_s())
        self._sleep()
        now_s = self._clock.mono_s()
        for child in self._children:
            if self._may_speak(child) and (message := child.receive(now_s)) is not None:
                self._handle(child, message)
            self._bury(child, now_s)
            self._end_hung(child, now_s)
            self._watch_storm(child, now_s)
        self._hand_out()
        self._post()
        self._watch_queue()
        self._ping(now_s)
        self._end(now_s)

    def _sleep(self) -> None:
        """Until a child speaks or dies, a signal comes, or the turn is over."""
        now_s = self._clock.mono_s()
        waiting: list[object] = [self._wake]
        for child in self._children:
            if not self._may_speak(child):
                child.excuse(now_s)
                continue
            if child.connection is not None:
                waiting.append(child.connection)
            if child.sentinel is not None:
                waiting.append(child.sentinel)
        if self._wake in wait(waiting, TURN_S):  # type: ignore[arg-type]  # a socket has fileno()
            self._wake.recv(64)

    def _may_speak(self, child: Child) -> bool:
        """A patient source waits in its pipe while the queue is full: nothing is dropped."""
        if child is not self._wiring.recorder or not self._wiring.patient:
            return True
        return self.failure is not None or not self._queue.full

    def _handle(self, child: Child, message: AnyMessage) -> None:
        match message:
            case Window() | Quiet():
                self._queue.push(message)
            case Done():
                self._queue.done(message)
            case Poke():
                self._wiring.messenger.send(message)
            case Fault():
                self._fault(message)
            case _:
                self._note_progress(child, message)

    def _note_progress(self, child: Child, message: AnyMessage) -> None:
        match message:
            case Ready() if child is self._wiring.classifier:
                self._classifier_ready = True
            case Listening():
                self._listening = message
            case Ended():
                _log.info("source_ended", source=message.source)
                self._begin_end(within_s=None, drain_s=DRAINS_WITHIN_S)
            case Failed():
                _log.error("failed", process=child.name, text=message.text)
                self.failure = self.failure or message
                child.retired = True
                self._begin_end(within_s=STOPS_WITHIN_S, drain_s=STOPS_WITHIN_S)
        self._announce()

    def _announce(self) -> None:
        """Say once that all is up."""
        if self._announced or self._listening is None or not self._classifier_ready:
            return
        self._announced = True
        source = self._listening.source
        self._manager.ready()
        self._manager.status(f"listening to {source}")
        _log.info("listening", source=source, rate_hz=self._listening.rate_hz)
        if self._wiring.notices:
            self._tell(AlertKind.STARTED, f"beepwatch is listening to {source}")

    def _fault(self, fault: Fault) -> None:
        event = "fault_over" if fault.cleared else "fault"
        _log.warning(event, kind=fault.kind.value, text=fault.text, count=fault.count)
        if fault.kind not in _NOT_TOLD:
            self._tell(AlertKind.RECOVERED if fault.cleared else AlertKind.FAULT, fault.text)

    def _tell(self, kind: AlertKind, text: str) -> None:
        now = self._clock.utc()
        key = f"{kind}:{now.isoformat()}:{text}"
        self._letters.append(
            Alert(kind=kind, text=text, created_at=now, due_at=now, dedupe_key=key)
        )

    def _post(self) -> None:
        while self._letters and self._wiring.messenger.send(self._letters[0]):
            self._letters.popleft()

    def _hand_out(self) -> None:
        classifier = self._wiring.classifier
        while classifier.connection is not None and self._classifier_ready:
            span = self._queue.hand_out()
            if span is None:
                return
            classifier.send(span)

    # Life and death of the children

    def _start_dead(self, now_s: float) -> None:
        for child in self._children:
            if child.due(now_s) and not self._leaving(child):
                child.start(now_s)

    def _leaving(self, child: Child) -> bool:
        return self._ending is not None and self._ending.leaving(child)

    def _bury(self, child: Child, now_s: float) -> None:
        if child.speaks:
            return  # its last words first, even if they have to wait for room in the queue
        exit_code = child.bury(now_s)
        if exit_code is None:
            return
        if child is self._wiring.classifier:
            self._classifier_ready = False
            _log.debug("windows_taken_back", windows=self._queue.take_back())
        if self._leaving(child) or child.retired or self._source_over(child, exit_code):
            return
        _log.error("process_died", process=child.name, exit_code=exit_code)
        if child.storming(now_s) and child.name not in self._storms:
            self._storms[child.name] = self._clock.utc()
            text = f"the {child.name} keeps dying (exit code {exit_code}); its log says why"
            self._fault(_process_fault(text, self._storms[child.name], cleared=False))

    def _watch_storm(self, child: Child, now_s: float) -> None:
        """Tell once that a child which kept dying lives."""
        if child.name in self._storms and child.fresh(now_s) and not child.storming(now_s):
            since = self._storms.pop(child.name)
            self._fault(_process_fault(f"the {child.name} lives again", since, cleared=True))

    def _source_over(self, child: Child, exit_code: int) -> bool:
        """Whether this is the recorder, gone home after the end of its source."""
        return child is self._wiring.recorder and exit_code == 0 and self._ending is not None

    def _end_hung(self, child: Child, now_s: float) -> None:
        if child.alive and child.stale(now_s):
            _log.error("process_hangs", process=child.name)
            child.kill()

    def _watch_queue(self) -> None:
        """Tell once that sound is being dropped, and once that all of it is caught up with."""
        dropped = self._queue.dropped - self._dropped_told
        now = self._clock.utc()
        if dropped and self._queue_full_since is None:
            self._queue_full_since = now
            text = "the classifier is too slow: the oldest sound is being dropped"
            self._fault(Fault(kind=FaultKind.QUEUE_FULL, text=text, since=now))
        elif self._queue_full_since is not None and self._queue.idle:
            text = f"the classifier has caught up; {dropped} windows were dropped"
            since = self._queue_full_since
            self._fault(
                Fault(
                    kind=FaultKind.QUEUE_FULL, text=text, since=since, count=dropped, cleared=True
                )
            )
            self._dropped_told = self._queue.dropped
            self._queue_full_since = None

    def _ping(self, now_s: float) -> None:
        every_s = self._manager.ping_every_s
        if every_s is None or now_s - self._pinged_s < every_s:
            return
        if all(child.fresh(now_s) or self._leaving(child) for child in self._children):
            self._manager.alive()
            self._pinged_s = now_s

    # The end

    def _begin_end(self, *, within_s: float | None, drain_s: float) -> None:
        if self._ending is not None:
            return
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
        if self._signals_seen and self._ending is None:
            _log.info("stopping", reason="signal")
            self._begin_end(within_s=STOPS_WITHIN_S, drain_s=STOPS_WITHIN_S)
        if self._ending is None:
            return
        before = self._ending.current
        self._ending.step(now_s, self._may_finish)
        if before is self._wiring.classifier and self._ending.current is self._wiring.messenger:
            self._say_goodbye()

    def _may_finish(self, child: Child) -> bool:
        if child is self._wiring.classifier:
            return self._queue.idle and self._classifier_ready
        return child is self._wiring.recorder or not self._letters

    def _say_goodbye(self) -> None:
        if self._wiring.notices and self._announced:
            self._tell(AlertKind.STOPPED, "beepwatch has stopped listening")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the daemon in order, a second one at once."""
        wakeup = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        numbers = (signal.SIGTERM, signal.SIGINT)
        previous = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals_seen += 1


def _process_fault(text: str, since: datetime, *, cleared: bool) -> Fault:
    return Fault(kind=FaultKind.PROCESS, text=text, since=since, cleared=cleared)
