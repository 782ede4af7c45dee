"""What goes wrong in a way that a user can mend: one line, and the exit code that goes with it."""

import shlex
import sys


class BeepwatchError(Exception):
    """An error whose text names the value, what was found and what to do next."""

    exit_code: int = 1


class ConfigurationError(BeepwatchError):
    """A configuration file, an override or an argument that cannot be used."""

    exit_code = 2


class SourceError(BeepwatchError):
    """A source of sound that cannot be opened or read."""

    exit_code = 3


class MicrophoneNotFound(SourceError):
    """No input device matches what was asked for."""


class UnreadableAudio(SourceError):
    """A file or stream that holds no sound that can be decoded."""

    exit_code = 1


class ModelError(BeepwatchError):
    """A model bundle that is missing, damaged or not what it says it is."""

    exit_code = 3


class NotTaught(ModelError):
    """A name under which nothing was taught, or nothing before what is in use."""

    exit_code = 2


class UnusableParcel(ModelError):
    """A file to import that is no exported sound."""

    exit_code = 1


class StoreError(BeepwatchError):
    """The state directory or its database cannot be used."""


class DiskFull(StoreError):
    """There is no room for what was to be written; none of it was."""


class StoreDamaged(StoreError):
    """The database file is not what SQLite wrote."""


def install_with(extra: str) -> str:
    """What to do when a package of an extra is missing, for the Python that runs this."""
    return f"Install it with: {shlex.quote(sys.executable)} -m pip install 'beepwatch[{extra}]'."
