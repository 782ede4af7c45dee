"""Names of clusters as they are typed: read before anything is imported that takes seconds."""

from collections.abc import Sequence

from beepwatch.errors import ConfigurationError
from beepwatch.validation import shortened

MOST_CLUSTERS = 20
LONGEST_NAME = 64


def names_of(given: Sequence[str]) -> dict[int, str]:
    """What `--name 1=imbalance` says, each. Raises ConfigurationError."""
    found: dict[int, str] = {}
    for text in given:
        number, equals, name = text.partition("=")
        name = name.strip()
        if not equals or not _is_number(number.strip()) or not _can_be_said(name):
            raise ConfigurationError(
                f"--name is {shortened(text)!r}; give a cluster's number and a name of up to "
                f"{LONGEST_NAME} letters, for example: --name 1=imbalance."
            )
        if found.setdefault(int(number), name) != name:
            raise ConfigurationError(f"--name gives cluster {int(number)} two names. Give one.")
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(MOST_CLUSTERS))


def _can_be_said(name: str) -> bool:
    return len(name) <= LONGEST_NAME and (not name or name.isprintable())
