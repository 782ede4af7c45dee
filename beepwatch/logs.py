"""One logging configuration per process: named events, console on a terminal, JSON otherwise.

For systemd's journal each line begins with its priority, so that `journalctl -p warning` finds it.
Everything goes to standard error, the standard library's loggers included, and through the
redaction: a secret never prints, not even inside the request lines of httpx. What is logged with
`told=True` is said to people in words as well; on a terminal that shows those it is left out.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

from beepwatch.secrecy import BOT_TOKEN, Secret, without_secrets

REDACTED = "[redacted]"
_PRIORITIES = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}
_NOTICE = 5
_LOST = "%d lines of this log could not be written"


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a process logs; travels from the supervisor to its children."""

    level: str = "info"
    secrets: tuple[Secret, ...] = ()
    journal: bool = False  # it is systemd's journal that reads it
    alerts: bool = False  # alerts are lines on standard output


class Redactor:
    """Takes known secrets, and whatever looks like a bot token, out of every logged value."""

    def __init__(self, secrets: tuple[Secret, ...]) -> None:
        self._texts = tuple(text for secret in secrets for text in secret.spellings())

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A structlog processor."""
        return {key: self.clean(value) for key, value in event.items()}

    def rendered(self, _logger: object, _method: str, line: Any) -> Any:  # noqa: ANN401
        """A structlog processor for what a renderer has made."""
        return self.clean(line)

    def clean(self, value: Any) -> Any:  # noqa: ANN401 - whatever is logged
        """The value, as text if it held a secret, else as it was."""
        if value is None or isinstance(value, bool | int | float):
            return value
        text = value if isinstance(value, str) else str(value)
        cleaned = without_secrets(BOT_TOKEN.sub(REDACTED, text))
        for secret in self._texts:
            cleaned = cleaned.replace(secret, REDACTED)
        return value if cleaned == text else cleaned


class ToldOnce:
    """Leaves out what was logged with `told=True` where people are told it in words."""

    def __init__(self, *, words_are_shown: bool) -> None:
        self._words_are_shown = words_are_shown

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A structlog processor. Raises DropEvent."""
        if event.pop("told", False) and self._words_are_shown:
            raise structlog.DropEvent
        return event


class JournalFormatter(structlog.stdlib.ProcessorFormatter):
    """Begins a line with its priority, see sd-daemon(3); the journal takes that off again."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return f"<{_PRIORITIES.get(record.levelname, _NOTICE)}>{super().format(record)}"


class CountingHandler(logging.StreamHandler[TextIO]):
    """What cannot be written, on a full disk say, is counted; the next line that can be says so."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, after one that tells of lines lost before it."""
        if self._lost and record.msg is not _LOST:
            lost, self._lost = self._lost, 0
            level = logging.WARNING
            told = logging.LogRecord(__name__, level, __file__, 0, _LOST, (lost,), None)
            self.emit(told)
            if self._lost:  # it could not be told either
                self._lost += lost
                return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Called when a line could not be formatted or written."""
        if isinstance(sys.exc_info()[1], OSError):
            self._lost += 1
        else:
            super().handleError(record)


def configure_logging(settings: LogSettings) -> None:
    """Configure structlog and the standard library's logging for this process, from now on."""
    redact = Redactor(settings.secrets)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    # Before rendering, which may escape a secret's characters, and after, when every object that
    # was logged has become text.
    rendering: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        redact,
        render,
        redact.rendered,
    ]
    structlog.configure(
        processors=[
            ToldOnce(words_are_shown=_words_are_shown(settings)),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level(settings.level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = CountingHandler(sys.stderr)
    formatter = JournalFormatter if settings.journal else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_level(settings.level))
    hunting = _level(settings.level) <= logging.DEBUG
    # A line for every request is of use only when hunting a fault.
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.NOTSET if hunting else logging.WARNING)
    # A failed request is logged where it is dealt with; the library adds a traceback to each.
    logging.getLogger("telegram").setLevel(logging.NOTSET if hunting else logging.CRITICAL)


def _words_are_shown(settings: LogSettings) -> bool:
    """Whether who reads this log reads the alerts as well; whoever hunts a fault wants both."""
    hunting = _level(settings.level) <= logging.DEBUG
    return settings.alerts and not hunting and sys.stderr.isatty() and sys.stdout.isatty()


def _level(name: str) -> int:
    return logging.getLevelNamesMapping()[name.upper()]
