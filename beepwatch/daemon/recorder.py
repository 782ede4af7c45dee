"""The recorder process: a source in, windows and known gaps out."""

import threading
from multiprocessing.connection import Connection
from typing import Literal

import msgspec
import structlog

from beepwatch.capture.listening import Listener
from beepwatch.clock import SystemClock
from beepwatch.config import Capture
from beepwatch.daemon.link import Link, SupervisorGone, begin_child
from beepwatch.errors import BeepwatchError
from beepwatch.logs import LogSettings
from beepwatch.messages import Failed, Finish

_log = structlog.get_logger()


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the recorder needs to know."""

    capture: Capture
    rate_hz: int  # of the model
    speed: float | Literal["max"]
    logs: LogSettings


def main(connection: Connection, settings: RecorderSettings) -> None:
    """The process: until the source ends, it is told to finish, or the supervisor is gone."""
    begin_child(settings.logs)
    clock = SystemClock()
    link = Link(connection, clock)
    stop = threading.Event()
    try:
        listener = Listener(
            settings.capture, rate_hz=settings.rate_hz, clock=clock, speed=settings.speed, stop=stop
        )
        for message in listener:
            if message is not None:
                link.send(message)
            link.beat(listener.counts.as_dict())
            if isinstance(link.receive(0.0), Finish):
                stop.set()
    except BeepwatchError as error:
        link.send(Failed(text=str(error), exit_code=error.exit_code))
    except SupervisorGone:
        stop.set()
        _log.warning("supervisor_gone", process="recorder")
