"""The recorder process: a source in, windows and known gaps out."""

import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from beepwatch.clock import Clock, SystemClock
from beepwatch.config import source_kind
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.daemon.watching import MachinesThere
from beepwatch.errors import BeepwatchError
from beepwatch.logs import configure_logging
from beepwatch.messages import (
    AnyMessage,
    Ended,
    Failed,
    Finish,
    Heartbeat,
    Listen,
    Place,
    Quiet,
    Window,
)
from beepwatch.sections import Capture

if TYPE_CHECKING:
    from beepwatch.capture.ahead import OpenedAhead
    from beepwatch.capture.keepsake import Keepsake
    from beepwatch.capture.listening import Listener

_log = structlog.get_logger()


def main(connection: Connection, settings: RecorderSettings) -> None:
    """The process: until the source ends, it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    clock = SystemClock()
    link = Link(connection, clock)
    stop = threading.Event()
    try:
        keepsake = _keepsake(settings)
        source = _opened_ahead(settings.capture, clock, keepsake)
        from beepwatch.capture.listening import Listener  # meanwhile

        listener = Listener(
            settings.capture,
            rate_hz=settings.rate_hz,
            clock=clock,
            speed=settings.speed,
            stop=stop,
            source=source,
            resume=settings.resume,
            faults=settings.faults,
            early=True,
        )
        machines = _watch_machines(listener, settings.directory, clock)
        link.beat()  # it is up, even if a sound server that hangs does not let it go on
        for message in listener:
            if message is not None and not _came_before(message, settings.resume):
                _check_something_came(message, listener, settings.resume)
                link.send(message)
            _note_told(keepsake, message, clock)
            link.beat(listener.counts.as_dict())
            match link.receive(0.0):
                case Finish(for_good=False):
                    listener.hand_over()
                case Finish():
                    stop.set()
                case Listen() as asked:
                    listener.let_hear(asked)
            _send_excerpt(link, listener)
            machines()
        _leave_nothing(keepsake, clock)
        link.send(Heartbeat(counts=listener.counts.as_dict()))
    except BeepwatchError as error:
        link.send(Failed(text=str(error), exit_code=error.exit_code))
    except SupervisorGone:
        stop.set()
        _log.warning("supervisor_gone", process="recorder")


def _keepsake(settings: RecorderSettings) -> "Keepsake | None":
    """What earlier recorders have heard of the microphone, and this one leaves."""
    if settings.keepsake is None or source_kind(settings.capture.source)[0] != "microphone":
        return None
    from beepwatch.capture.keepsake import Keepsake

    return Keepsake(settings.keepsake)


def _note_told(keepsake: "Keepsake | None", message: AnyMessage | None, clock: Clock) -> None:
    """What this window holds is no longer in the recorder's care."""
    if keepsake is None or not isinstance(message, Window | Quiet):
        return
    ends_s = message.started_mono_s + message.samples / message.rate_hz
    keepsake.told(min(ends_s, clock.mono_s()))  # that of a lost microphone ends in zeros


def _leave_nothing(keepsake: "Keepsake | None", clock: Clock) -> None:
    """At an end in order all was told, and the next microphone may be another."""
    if keepsake is not None:
        keepsake.told(clock.mono_s())


def _opened_ahead(
    capture: Capture, clock: Clock, keepsake: "Keepsake | None"
) -> "OpenedAhead | None":
    """A microphone, on its way to being open; other sources need what is imported for them."""
    kind, wanted = source_kind(capture.source)
    if kind != "microphone":
        return None
    from beepwatch.capture.ahead import OpenedAhead

    return OpenedAhead(wanted, clock, keepsake)


def _watch_machines(listener: "Listener", state: Path | None, clock: Clock) -> Callable[[], None]:
    """While machines are learned the gate keeps no sound back; call what is returned to look."""
    if state is None:
        return lambda: None
    there = MachinesThere(state)

    def look() -> None:
        listener.hums = there.look(clock.mono_s())

    look()
    return look


def _send_excerpt(link: Link, listener: "Listener") -> None:
    """What has come of the sound that somebody wants to hear; after the windows."""
    if listener.excerpt is None:
        return
    for piece in listener.excerpt.take():
        link.send(piece)
    if listener.excerpt.over:
        listener.excerpt = None


def _check_something_came(message: AnyMessage, listener: "Listener", resume: Place | None) -> None:
    """Raises SourceError at the end of what has given nothing, to no earlier life either."""
    if isinstance(message, Ended) and resume is None and not listener.counts.openings:
        from beepwatch.capture.pipes import nothing_came

        raise nothing_came(message.source)


def _came_before(message: AnyMessage, resume: Place | None) -> bool:
    """Whether an earlier life has sent all that is in this window."""
    if resume is None or not isinstance(message, Window | Quiet):
        return False
    end = message.first_sample + message.samples
    return message.stream_id == resume.stream_id and end <= resume.until_sample
