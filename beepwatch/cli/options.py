"""What several verbs share: their options, the settings they make, how they talk."""

import math
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beepwatch.config import SYSTEM_FILE, Loaded, default_file, load, telegram_token
from beepwatch.errors import ConfigurationError, StoreError, install_with
from beepwatch.sections import Config
from beepwatch.wording import counted, printable

if TYPE_CHECKING:
    from beepwatch.secrecy import Secret
    from beepwatch.train.datasets.remote import Location

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration file; every key has a default."),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="microphone, microphone:PART-OF-NAME, file:PATH, stream:URL or stdin.",
    ),
]
Rate = Annotated[int | None, typer.Option("--rate", help="Sample rate of --source stdin, in Hz.")]
Speed = Annotated[
    str, typer.Option("--speed", help="How fast a file is played: 1, 10, or max.", metavar="N|max")
]
OfUser = Annotated[
    bool, typer.Option("--user", help="Of your own session, for a desktop's sound server.")
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="ADDRESS", help="Let the workers of this Dask scheduler do it instead."
    ),
]
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Data with a manifest.csv.")]

state = {"debug": False}


def example(text: str) -> str:
    return f"[bold]Example:[/bold] {text}"


def directory_or_url(text: str, option: str) -> "Location":
    """Where a data set is. Raises BadParameter for a path that is no directory."""
    from beepwatch.train.datasets.remote import location_of

    location = location_of(text)
    if isinstance(location, Path) and not location.is_dir():
        what = "is a file" if location.exists() else "does not exist"
        raise typer.BadParameter(f"Directory {text!r} {what}.", param_hint=f"'{option}'")
    return location


def load_settings(file: Path | None, overrides: dict[str, Any] | None = None) -> Loaded:
    return load(file, overrides=overrides)


def overrides_of(source: str | None = None, rate_hz: int | None = None) -> dict[str, Any]:
    """What --source and --rate say, by dotted key."""
    given = {"capture.source": source, "capture.rate_hz": rate_hz}
    return {key: value for key, value in given.items() if value is not None}


def settings_and_token(
    file: Path | None, source: str | None = None, rate_hz: int | None = None
) -> tuple[Config, "Secret | None"]:
    settings = load_settings(file, overrides_of(source, rate_hz)).config
    return settings, telegram_token(settings.notify.telegram)


def reachable_state(settings: Config, file: Path | None = None) -> Path:
    """The state directory. Raises StoreError if it is another's, or none: what was taught is in it.

    `file` is the configuration file, where the error is to name it.
    """
    directory = settings.store.path
    try:
        next(directory.iterdir(), None)
    except PermissionError as error:
        todo = "Run it with sudo if it is the service's, or set store.directory to another one."
        if file == SYSTEM_FILE:
            todo = (
                f"It is the service's, by {file}: run it with sudo and --config {file}, or write "
                f"a configuration of your own, {default_file()}, which comes first."
            )
        raise StoreError(
            f"the state directory {directory} cannot be used: {error.strerror}. {todo}"
        ) from None
    except FileNotFoundError:  # it is made by who writes to it first
        pass
    except OSError as error:
        raise StoreError(
            f"the state directory {directory} cannot be used: {error.strerror}. "
            "Set store.directory to another one."
        ) from None
    return directory


def say_if_without_taught(settings: Config, file: Path | None = None) -> None:
    """The shipped sounds are heard all the same where the state directory cannot be used."""
    try:
        reachable_state(settings, file)
    except StoreError as error:
        complain(f"without taught sounds: {error}")


def bundle_of(wanted: str | None, settings: Config) -> Path:
    """The directory of what --model names, else of model.bundle. Raises ModelError."""
    from beepwatch.classify.bundle import find_bundle

    if wanted is None:
        return find_bundle(settings.model.bundle)
    return find_bundle(wanted, given_as="--model")


def finite(value: float | None) -> float | None:
    """A number that was given, for `callback`: what is none is neither too small nor too large."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter(f"{value} is no number.")
    return value


def named(text: str) -> Path:
    """Where something is to be written, for `parser`: nobody who names nothing means right here."""
    if not text:
        raise typer.BadParameter("'' names no place. Give its path, or . for this directory.")
    return Path(text)


def speed_of(text: str) -> float | Literal["max"]:
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.01 <= speed <= 1_000:
        raise ConfigurationError(f"--speed is {text!r}; give 0.01 to 1000, or max.")
    return speed


def log_level() -> str:
    """Of the daemon: on a terminal, where alerts are lines of their own, only what is wrong."""
    if state["debug"]:
        return "debug"
    return "warning" if sys.stderr.isatty() else "info"


def start_logging(level: str = "warning") -> None:
    from beepwatch.logs import LogSettings, configure_logging

    configure_logging(LogSettings(level="debug" if state["debug"] else level))


def stop_on_signals() -> threading.Event:
    import signal

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def signals_as_before() -> Iterator[None]:
    """What `stop_on_signals` changes holds only inside."""
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_links(
    directory: "Location",
    suffixes: Collection[str] | None = None,
    *,
    hidden: bool = False,
    within: bool = True,
) -> None:
    """How many links below a directory are not followed; see `links_out`. Else nothing."""
    from beepwatch.capture.files import AUDIO_SUFFIXES
    from beepwatch.train.datasets.walking import links_out

    if not isinstance(directory, Path):
        return
    if count := links_out(directory, suffixes or AUDIO_SUFFIXES, hidden=hidden, within=within):
        complain(
            f"{counted(count, 'link')} in {directory} left out, leading out of it or nowhere. "
            "Copy there what is meant, or name it by itself."
        )


def progress(line: str) -> None:
    typer.echo(line, err=True)


def complain(problem: str) -> None:
    """What could not be done, on a line of its own, while all else is done."""
    typer.echo(f"beepwatch: {printable(problem)}", err=True)


def of_extra(extra: str, module: str, what: str = "training") -> Any:  # noqa: ANN401 - a module
    """A module that needs an extra. Raises ConfigurationError, naming `what` lacks it, without."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{what} needs {error.name}, which is not installed. {install_with(extra)}"
        ) from error
