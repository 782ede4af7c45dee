"""What must never be printed: how it is carried, and how it is taken out of a text."""

import re
import resource
from contextlib import suppress
from pathlib import Path

# Also inside a URL, where "bot" stands before it.
BOT_TOKEN = re.compile(r"(?<!\d)\d{6,}(?::|%3A)[A-Za-z0-9_-]{30,}")
_URL_PASSWORD = re.compile(r"(?<=://)[^/?#\s\"']+(?=@)")  # up to the last @ before the path
_URL_PARAMETER = re.compile(
    r"([?&][\w.-]*(?:pass|pwd|pw|token|key|auth|secret|sig)[\w.-]*=)[^&#\s\"']+", re.IGNORECASE
)


def leave_no_core() -> None:
    """A process that knows a secret, and what it starts, leaves no memory on the disk."""
    with suppress(OSError, ValueError):  # where a sandbox forbids it, LimitCORE= has done it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # a program that takes cores through a pipe need not heed the limit
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")


class Secret:
    """A string that is never printed."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it."""
        return self._value

    def spellings(self) -> tuple[str, ...]:
        """As it may stand in a text: of a bot's token the half behind the colon is secret alone."""
        half = self._value.partition(":")[2] if BOT_TOKEN.fullmatch(self._value) else ""
        return tuple(text for text in (self._value, half) if text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return ""

    __str__ = __repr__


def without_secrets(text: str) -> str:
    """The text without what looks like a bot's token, or like user, password or key in a URL."""
    return _URL_PARAMETER.sub(r"\1…", _URL_PASSWORD.sub("…", BOT_TOKEN.sub("…", text)))
