"""The recorder process: a source in, windows and known gaps out."""

import threading
from multiprocessing.connection import Connection

import structlog

from beepwatch.capture.listening import Listener
from beepwatch.clock import SystemClock
from beepwatch.daemon.link import Link, SupervisorGone
from beepwatch.daemon.settings import RecorderSettings
from beepwatch.errors import BeepwatchError
from beepwatch.logs import configure_logging
from beepwatch.messages import AnyMessage, Failed, Finish, Heartbeat, Place, Quiet, Window

_log = structlog.get_logger()


def main(connection: Connection, settings: RecorderSettings) -> None:
    """The process: until the source ends, it is told to finish, or the supervisor is gone."""
    configure_logging(settings.logs)
    clock = SystemClock()
    link = Link(connection, clock)
    stop = threading.Event()
    try:
        listener = Listener(
            settings.capture,
            rate_hz=settings.rate_hz,
            clock=clock,
            speed=settings.speed,
            stop=stop,
            resume=settings.resume,
            faults=settings.faults,
        )
        link.beat()  # it is up, even if a sound server that hangs does not let it go on
        for message in listener:
            if message is not None and not _came_before(message, settings.resume):
                link.send(message)
            link.beat(listener.counts.as_dict())
            if isinstance(link.receive(0.0), Finish):
                stop.set()
        link.send(Heartbeat(counts=listener.counts.as_dict()))
    except BeepwatchError as error:
        link.send(Failed(text=str(error), exit_code=error.exit_code))
    except SupervisorGone:
        stop.set()
        _log.warning("supervisor_gone", process="recorder")


def _came_before(message: AnyMessage, resume: Place | None) -> bool:
    """Whether an earlier life has sent this window."""
    if resume is None or not isinstance(message, Window | Quiet):
        return False
    return message.stream_id == resume.stream_id and message.sequence <= resume.sequence
