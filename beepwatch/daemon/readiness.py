"""What the service manager and the user are told of the start, and of a microphone that is away."""

from collections.abc import Iterable

import structlog

from beepwatch.daemon.child import Child
from beepwatch.daemon.systemd import ServiceManager
from beepwatch.messages import Fault, FaultKind, Listening

_AWAY = frozenset({FaultKind.NO_DEVICE, FaultKind.STALLED})

_log = structlog.get_logger()


class Readiness:
    """Ready once the children are up and the model is loaded, with or without a microphone."""

    def __init__(self, manager: ServiceManager, **remarks: str) -> None:
        """`remarks` is what else a person wants to know, by what it is about."""
        self.told = False  # that the start is complete
        self.listened = False  # at any time, with everybody there
        self._manager = manager
        self._remarks = remarks
        self._status = "waiting for the microphone"
        self._listening: Listening | None = None
        self._away = ""  # why, from when it is told until it is called over

    def step(self, children: Iterable[Child], *, classifier_ready: bool) -> str | None:
        """Tell once that all is up; the source, when it is heard for the first time."""
        if not classifier_ready:
            return None
        if not self.told and all(child.heard_of for child in children):
            self.told = True
            self._manager.ready()
            self._tell()
            _log.info("ready")
        if self.listened or self._listening is None:
            return None
        self.listened = True
        source = self._listening.source
        _log.info("listening", source=source, rate_hz=self._listening.rate_hz)
        return source

    def listens(self, listening: Listening) -> None:
        """The source is open; whether it stays so, one that was away has yet to prove."""
        self._listening = listening
        source = listening.source
        self._say(
            f"{source} comes and goes: {self._away}" if self._away else f"listening to {source}"
        )

    def hears_of(self, fault: Fault) -> None:
        """A microphone that is away is what a person wants to know first, then a disk."""
        if fault.kind is FaultKind.DISK_FULL:
            self.remark(disk="" if fault.cleared else fault.text)
        if fault.kind in _AWAY:
            self._hears_of_microphone(fault)

    def _hears_of_microphone(self, fault: Fault) -> None:
        self._away = "" if fault.cleared else fault.text
        if not fault.cleared:
            self._say(f"waiting for the microphone: {fault.text}")
        elif self._listening is not None:
            self.listens(self._listening)

    def _say(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self._tell()

    def remark(self, **remarks: str) -> None:
        """Something else that a person wants to know; an empty one is over."""
        if remarks.items() - self._remarks.items():
            self._remarks |= remarks
            self._tell()

    def _tell(self) -> None:
        if self.told:
            *others, last = filter(None, (self._status, *self._remarks.values()))
            self._manager.status("; ".join((*(text.rstrip(".") for text in others), last)))
