"""The recorder process: a source in, windows and known gaps out."""

import threading
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import structlog

from beepwatch.clock import Clock, SystemClock
from beepwatch.config import source_kind
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.errors import BeepwatchError
from beepwatch.logs import configure_logging
from beepwatch.messages import AnyMessage, Failed, Finish, Heartbeat, Listen, Place, Quiet, Window
from beepwatch.sections import Capture

if TYPE_CHECKING:
    from beepwatch.capture.ahead import OpenedAhead
    from beepwatch.capture.listening import Listener

_log = structlog.get_logger()


def main(connection: Connection, settings: RecorderSettings) -> None:
    """The process: until the source ends, it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    clock = SystemClock()
    link = Link(connection, clock)
    stop = threading.Event()
    try:
        source = _opened_ahead(settings.capture, clock)
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
        link.beat()  # it is up, even if a sound server that hangs does not let it go on
        for message in listener:
            if message is not None and not _came_before(message, settings.resume):
                link.send(message)
            link.beat(listener.counts.as_dict())
            match link.receive(0.0):
                case Finish(for_good=False):
                    listener.hand_over()
                case Finish():
                    stop.set()
                case Listen() as asked:
                    listener.let_hear(asked)
            _send_excerpt(link, listener)
        link.send(Heartbeat(counts=listener.counts.as_dict()))
    except BeepwatchError as error:
        link.send(Failed(text=str(error), exit_code=error.exit_code))
    except SupervisorGone:
        stop.set()
        _log.warning("supervisor_gone", process="recorder")


def _opened_ahead(capture: Capture, clock: Clock) -> "OpenedAhead | None":
    """A microphone, on its way to being open; other sources need what is imported for them."""
    kind, wanted = source_kind(capture.source)
    if kind != "microphone":
        return None
    from beepwatch.capture.ahead import OpenedAhead

    return OpenedAhead(wanted, clock)


def _send_excerpt(link: Link, listener: "Listener") -> None:
    """What has come of the sound that somebody wants to hear; after the windows."""
    if listener.excerpt is None:
        return
    for piece in listener.excerpt.take():
        link.send(piece)
    if listener.excerpt.over:
        listener.excerpt = None


def _came_before(message: AnyMessage, resume: Place | None) -> bool:
    """Whether an earlier life has sent this window."""
    if resume is None or not isinstance(message, Window | Quiet):
        return False
    return message.stream_id == resume.stream_id and message.sequence <= resume.sequence
