"""The verbs. Each one's body lives in the station it belongs to and is loaded only when used."""

import errno
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from beepwatch import __version__
from beepwatch.cli.app import app
from beepwatch.cli.options import state
from beepwatch.clock import SystemClock
from beepwatch.config import check_time_zone
from beepwatch.errors import BeepwatchError
from beepwatch.secrecy import without_secrets
from beepwatch.wording import printable

__all__ = ["app", "run_command_line"]

_GROUPS = (
    "running",
    "sound",
    "teaching",
    "models",
    "dataset",
    "features",
    "clustering",
    "recordings",
    "serving",
    "telegram",
    "configuration",
)
for _verbs in _GROUPS:  # as the help shows them
    import_module(f"{__name__}.{_verbs}")


def run_command_line(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code. An error is one line, and a traceback only with --debug."""
    _open_what_is_closed()
    given = sys.argv[1:] if arguments is None else arguments
    state["debug"] = "--debug" in given
    try:
        # --debug is taken out, because people write it after the verb too.
        words = [word for word in given if word != "--debug"]
        result = app(words, prog_name="beepwatch", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # noqa: BLE001 - the last place that can word it
        return _complain(error, given)
    return result if isinstance(result, int) else 0


def _open_what_is_closed() -> None:
    """A standard stream that is closed leads nowhere; else what is opened next takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode)  # noqa: SIM115 - for as long as the process
            os.set_inheritable(nowhere.fileno(), True)
            setattr(sys, name, nowhere)


def _complain(error: Exception, given: list[str]) -> int:
    """Say what went wrong, without secrets; the exit code."""
    if state["debug"]:
        typer.echo(without_secrets("".join(traceback.format_exception(error))), err=True)
    if isinstance(error, BeepwatchError):
        text, exit_code = str(error), error.exit_code
    elif hasattr(error, "format_message"):  # how typer words a wrong use
        text, exit_code = _with_the_way_to_help(error, given), 2
    elif isinstance(error, PermissionError) and error.filename:
        text = (
            f"{error.filename} is not yours to use: {error.strerror}. "
            "Run it with sudo if it belongs to the service, or mend its permissions."
        )
        exit_code = 1
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        text = f"{error.filename or 'output'} cannot be written: {error.strerror}. Make room first."
        exit_code = 1
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename} cannot be used: {error.strerror}. Name another, or mend it."
        exit_code = 1
    else:
        name = type(error).__name__
        what = f"{name}: {error}".rstrip(".")
        text = f"this should not happen: {what}. Please report it, with --debug."
        exit_code = 1
    if text:  # typer has said the help itself
        typer.echo(f"beepwatch: {without_secrets(printable(' '.join(text.split())))}", err=True)
    return exit_code


def _with_the_way_to_help(
    error: Any,  # noqa: ANN401 - typer's own click has no types
    given: list[str],
) -> str:
    text = str(error.format_message())
    context = getattr(error, "ctx", None)
    if not text or not context:
        return text
    text = text if text.endswith((".", "?")) else f"{text}."
    for word in given:
        if hasattr(error, "option_name") and word.startswith("-") and _is_there(word):
            text += f" A file of that name is given as ./{word}."
    return f"{text} See: {context.command_path} --help."


def _is_there(word: str) -> bool:
    try:
        return Path(word).exists()
    except OSError:  # it is too long to be a name
        return False


@app.callback(invoke_without_command=True)
def before_the_verb(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log more; show tracebacks.")] = False,
) -> None:
    """Options that come before the verb."""
    if version:
        typer.echo(f"beepwatch {__version__}")
        raise typer.Exit
    check_time_zone(SystemClock().utc())
