"""The verbs. Each one's body lives in the station it belongs to and is loaded only when used."""

import contextlib
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from beepwatch import __version__
from beepwatch.config import Config, Loaded, display_values, load, telegram_token
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.secrecy import without_secrets

if TYPE_CHECKING:
    from beepwatch.daemon.service import Service
    from beepwatch.secrecy import Secret

app = typer.Typer(
    help="Listens for the beeps of household appliances and tells your phone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
telegram_app = typer.Typer(help="Connect a Telegram bot.", no_args_is_help=True)
service_app = typer.Typer(help="Let systemd keep the daemon running.", no_args_is_help=True)
config_app = typer.Typer(help="See where each setting comes from.", no_args_is_help=True)
app.add_typer(telegram_app, name="telegram")
app.add_typer(service_app, name="service")
app.add_typer(config_app, name="config")

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
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Data with a manifest.csv.")]

_state = {"debug": False}


def run_command_line(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code. An error is one line, and a traceback only with --debug."""
    given = sys.argv[1:] if arguments is None else arguments
    _state["debug"] = "--debug" in given
    try:
        # --debug is taken out, because people write it after the verb too.
        words = [word for word in given if word != "--debug"]
        result = app(words, prog_name="beepwatch", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # noqa: BLE001 - the last place that can word it
        return _complain(error)
    return result if isinstance(result, int) else 0


def _complain(error: Exception) -> int:
    """Say what went wrong, without secrets; the exit code."""
    if _state["debug"]:
        typer.echo(without_secrets("".join(traceback.format_exception(error))), err=True)
    if isinstance(error, BeepwatchError):
        text, exit_code = str(error), error.exit_code
    elif hasattr(error, "format_message"):  # how typer words a wrong use
        text, exit_code = error.format_message(), 2
    else:
        name = type(error).__name__
        text = f"this should not happen: {name}: {error}. Please report it, with --debug."
        exit_code = 1
    if text:  # typer has said the help itself
        typer.echo(f"beepwatch: {without_secrets(' '.join(text.split()))}", err=True)
    return exit_code


def _example(text: str) -> str:
    return f"[bold]Example:[/bold] {text}"


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log more; show tracebacks.")] = False,
) -> None:
    """Options that come before the verb."""
    if version:
        typer.echo(f"beepwatch {__version__}")
        raise typer.Exit


@app.command(epilog=_example("beepwatch demo --speed max"))
def demo(
    speed: Speed = "10",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the clips are kept.")
    ] = None,
) -> int:
    """The whole daemon on a bundled recording: no microphone, no token needed."""
    from beepwatch.daemon.demonstration import demonstrate

    return demonstrate(_speed(speed), out, "debug" if _state["debug"] else "warning")


@app.command(epilog=_example("beepwatch run --source microphone:USB"))
def run(
    config: ConfigFile = None, source: Source = None, speed: Speed = "1", rate: Rate = None
) -> int:
    """The daemon in the foreground, until ^C."""
    from beepwatch.daemon import entry

    entry.keep_out("beepwatch.daemon.supervisor")
    from beepwatch.daemon import running

    settings, token = _settings(config, source, rate)
    # On a terminal, SIGHUP says that its window was closed.
    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    read_again = None if on_terminal else partial(_settings, config, source, rate)
    return running.run(
        settings,
        token=token,
        speed=_speed(speed),
        log_level=_log_level(),
        read_again=read_again,
    )


@app.command(epilog=_example("beepwatch record --label beep --minutes 10 --out recordings"))
def record(
    label: Annotated[str, typer.Option("--label", help="What is being recorded; a folder's name.")],
    minutes: Annotated[float | None, typer.Option("--minutes", min=0.01)] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR")] = Path("recordings"),
    config: ConfigFile = None,
    source: Source = None,
    speed: Speed = "1",
    rate: Rate = None,
) -> int:
    """Write every window that is not silent as a WAV file, as training data."""
    from rich.console import Console

    from beepwatch.capture.recording import record as record_session

    settings, _ = _settings(config, source, rate)
    _logging()
    stop = _stop_on_signals()
    record_session(
        settings.capture,
        label=label,
        minutes=minutes,
        out=out,
        speed=_speed(speed),
        stop=stop,
        console=Console(stderr=True),
    )
    return 0


@app.command(epilog=_example("beepwatch scan recordings/ --json"))
def scan(
    paths: Annotated[list[Path], typer.Argument(help="Audio files, or directories of them.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table of all found.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="DIR", help="Write an Audacity label track for each."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads. Default: one a core.")
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Find sounds in recordings."""
    from beepwatch.classify.bundle import find_bundle
    from beepwatch.daemon import scan as scanning
    from beepwatch.daemon.found import written

    model = _load(config).config.model
    given = scanning.recordings(paths)
    failed = False
    with scanning.quiet_decoders(), written(given, table=csv, labels=labels) as write:
        for scanned in scanning.scan(
            given,
            bundle=find_bundle(model.bundle),
            model=model,
            workers=workers or scanning.available_cores(),
        ):
            if scanned.problem is not None:
                failed = True
                typer.echo(f"beepwatch: {scanned.problem}", err=True)
            for found in scanned.found:
                typer.echo(found.as_json() if json else found.as_line())
            write(scanned)
    return 1 if failed else 0


@app.command(epilog=_example("beepwatch events --since 2h"))
def events(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    since: Annotated[
        str | None, typer.Option("--since", help="90s, 30m, 2h, 3d, 1w, or a time.")
    ] = None,
    config: ConfigFile = None,
) -> int:
    """What was heard, what was told, and what is still to be told."""
    from rich.console import Console

    from beepwatch.clock import SystemClock
    from beepwatch.store import listing
    from beepwatch.store.database import Database

    store = _load(config).config.store
    after = listing.since_time(since, SystemClock().utc()) if since else None
    database = Database(store.path)
    with contextlib.closing(database):
        rows = listing.event_rows(database, after)
        if json:
            typer.echo(listing.json_lines(rows), nl=False)
        else:
            Console().print(listing.table(rows, listing.notice_rows(database, after)))
    return 0


@app.command(epilog=_example("beepwatch doctor"))
def doctor(config: ConfigFile = None, source: Source = None) -> int:
    """Check microphone, level, ffmpeg, model, disk and network: what is wrong, what to do."""
    from beepwatch.daemon import doctor as checking

    loaded = _load(config, {"capture.source": source} if source else None)
    _logging("error")
    bad = set()
    for check in checking.checks(loaded):
        if not check.ok:
            bad.add(check.name)
        typer.echo(check.as_line())
    if bad & {"microphone", "model"}:
        return 3
    return 1 if bad else 0


@app.command(epilog=_example("beepwatch train models/beep/recipe.toml --data recordings"))
def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe of a model, TOML.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Default: beside the recipe.")
    ] = None,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Where checkpoints are kept.")
    ] = Path("runs"),
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes composing clips. Default: one a core."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="For a step. Default: half the cores.")
    ] = None,
) -> int:
    """Train a model from its recipe; after an interruption the same command goes on."""
    from rich.console import Console

    training = _training_extra("beepwatch.train.training")
    from beepwatch.daemon.scan import available_cores
    from beepwatch.train.display import display_on

    _logging()
    with display_on(Console(stderr=True)) as display:
        training.train(
            recipe,
            data,
            out or recipe.parent,
            runs=runs,
            workers=available_cores() if workers is None else workers,
            threads=threads,
            display=display,
        )
    return 0


@app.command(epilog=_example("beepwatch evaluate --data recordings --split dev"))
def evaluate(
    data: Data,
    split: Annotated[str, typer.Option("--split", help="dev or test.")] = "dev",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Compare with everything, and write report, curve and worst errors there."
        ),
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Measure a model on recordings: recall and false alarms, side by side with simple rules."""
    from beepwatch.classify.bundle import find_bundle

    model = _load(config).config.model
    _logging()
    evaluation = _training_extra("beepwatch.train.evaluation")
    bundle = find_bundle(model.bundle)
    if out is None:
        found = evaluation.evaluate(bundle, data, split, report=_progress)
    else:
        gallery = _training_extra("beepwatch.train.gallery")
        found = gallery.evaluate_into(out, bundle, data, split, report=_progress)
    typer.echo(found.table())
    return 0


@telegram_app.command("pair", epilog=_example("beepwatch telegram pair"))
def telegram_pair(config: ConfigFile = None) -> int:
    """Find the chat by itself: open the link, send the code, done."""
    from beepwatch.config import default_file
    from beepwatch.notify import bot

    loaded = _load(config)
    token = telegram_token(loaded.config.notify.telegram)
    bot.pair(
        loaded.config.notify.telegram,
        config_file=config or loaded.file or default_file(),
        token=token,
        ask=lambda: typer.prompt("The bot's token, from @BotFather", hide_input=True, type=str),
        say=typer.echo,
    )
    return 0


@telegram_app.command("test", epilog=_example("beepwatch telegram test"))
def telegram_test(config: ConfigFile = None) -> int:
    """Send a message with a short beep to every configured chat."""
    from beepwatch.clock import SystemClock
    from beepwatch.notify import bot

    settings, token = _settings(config)
    notify = settings.notify
    bot.send_test(
        notify.telegram, token=token, room=notify.room, now=SystemClock().utc(), say=typer.echo
    )
    return 0


@service_app.command("install", epilog=_example("beepwatch service install"))
def service_install(user: OfUser = False) -> int:
    """Write, verify, enable and start the unit; may be run again after every update."""
    _service(user).install()
    return 0


@service_app.command("uninstall", epilog=_example("beepwatch service uninstall"))
def service_uninstall(user: OfUser = False) -> int:
    """Stop and remove the unit; settings, events and clips stay."""
    _service(user).uninstall()
    return 0


@service_app.command("status", epilog=_example("beepwatch service status"))
def service_status(user: OfUser = False) -> int:
    """Since when it runs, what it listens to, what it heard last, what is still to be told."""
    from beepwatch.clock import SystemClock

    service = _service(user)
    for word, line in service.report(SystemClock()):
        typer.echo(f"{word:<9} {line}")
    return 0 if service.active else 1


@config_app.command("check", epilog=_example("beepwatch config check --config beepwatch.toml"))
def config_check(config: ConfigFile = None) -> int:
    """Say whether the configuration can be used."""
    loaded = _load(config)
    typer.echo(f"{loaded.file or 'no configuration file; defaults'}: in order")
    return 0


@config_app.command("show", epilog=_example("beepwatch config show"))
def config_show(config: ConfigFile = None) -> int:
    """Every setting, its value and where it comes from; no secrets."""
    for key, value, origin in display_values(_load(config)):
        typer.echo(f"{key} = {value}  # {origin}")
    return 0


def _service(user: bool) -> "Service":
    from beepwatch.daemon import service

    return service.Service(service.user_scope() if user else service.system_scope(), typer.echo)


def _load(file: Path | None, overrides: dict[str, Any] | None = None) -> Loaded:
    return load(file, overrides=overrides)


def _settings(
    file: Path | None, source: str | None = None, rate_hz: int | None = None
) -> tuple[Config, "Secret | None"]:
    overrides: dict[str, Any] = {}
    if source is not None:
        overrides["capture.source"] = source
    if rate_hz is not None:
        overrides["capture.rate_hz"] = rate_hz
    settings = _load(file, overrides).config
    return settings, telegram_token(settings.notify.telegram)


def _speed(text: str) -> float | Literal["max"]:
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.01 <= speed <= 1_000:
        raise ConfigurationError(f"--speed is {text!r}; give 0.01 to 1000, or max.")
    return speed


def _log_level() -> str:
    return "debug" if _state["debug"] else "info"


def _logging(level: str = "warning") -> None:
    from beepwatch.logs import LogSettings, configure_logging

    configure_logging(LogSettings(level="debug" if _state["debug"] else level))


def _stop_on_signals() -> threading.Event:
    import signal

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def _training_extra(module: str) -> Any:  # noqa: ANN401 - a module
    """A module of `train/`, which needs torch. Raises ConfigurationError without it."""
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"training needs {error.name}, which is not installed. "
            "Install it with: pip install 'beepwatch[train]'."
        ) from error
