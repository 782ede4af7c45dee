"""Verbs about the daemon: demo, run, doctor, service."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    OfUser,
    Rate,
    Source,
    Speed,
    example,
    load_settings,
    log_level,
    named,
    overrides_of,
    settings_and_token,
    speed_of,
    start_logging,
    state,
)

if TYPE_CHECKING:
    from beepwatch.daemon.service import Service

service_app = typer.Typer(
    help="Let systemd keep the daemon running.",
    no_args_is_help=True,
    epilog=example("beepwatch service status"),
)
app.add_typer(service_app, name="service")


@app.command(epilog=example("beepwatch demo --speed max"))
def demo(
    speed: Speed = "10",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", parser=named, help="A new folder for the clips."),
    ] = None,
) -> int:
    """The whole daemon on a bundled recording: no microphone, no token needed."""
    from beepwatch.daemon.demonstration import demonstrate

    return demonstrate(speed_of(speed), out, "debug" if state["debug"] else "warning")


@app.command(epilog=example("beepwatch run --source microphone:USB"))
def run(
    config: ConfigFile = None, source: Source = None, speed: Speed = "1", rate: Rate = None
) -> int:
    """The daemon in the foreground, until ^C."""
    from beepwatch.daemon import entry

    entry.keep_out("beepwatch.daemon.supervisor")
    from beepwatch.daemon import running

    settings, token = settings_and_token(config, source, rate)
    # On a terminal, SIGHUP says that its window was closed.
    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    return running.run(
        settings,
        token=token,
        speed=speed_of(speed),
        log_level=log_level(),
        read_again=partial(settings_and_token, config, source, rate),
        hangup_ends=on_terminal,
    )


@app.command(epilog=example("beepwatch doctor"))
def doctor(config: ConfigFile = None, source: Source = None) -> int:
    """What is wrong and what to do: microphone, ffmpeg, model, rules, disk, Telegram, service."""
    from beepwatch.daemon import doctor as checking

    loaded = load_settings(config, overrides_of(source))
    start_logging("error")
    bad = set()
    for check in checking.checks(loaded):
        if not check.ok:
            bad.add(check.name)
        typer.echo(check.as_line())
    if bad & {"microphone", "model"}:
        return 3
    return 1 if bad else 0


@service_app.command("install", epilog=example("beepwatch service install"))
def service_install(user: OfUser = False) -> int:
    """Write, verify, enable and start the unit; may be run again after every update."""
    _service(user).install()
    return 0


@service_app.command("uninstall", epilog=example("beepwatch service uninstall"))
def service_uninstall(user: OfUser = False) -> int:
    """Stop and remove the unit; settings, events and clips stay."""
    _service(user).uninstall()
    return 0


@service_app.command("status", epilog=example("beepwatch service status"))
def service_status(user: OfUser = False) -> int:
    """Since when it runs, what it listens to, what it heard last, what is still to be told."""
    from beepwatch.clock import SystemClock

    service = _service(user)
    for word, line in service.report(SystemClock()):
        typer.echo(f"{word:<9} {line}")
    return 0 if service.active else 1


def _service(user: bool) -> "Service":
    from beepwatch.daemon import service, systemctl

    scope = systemctl.user_scope() if user else systemctl.system_scope()
    return service.Service(scope, typer.echo)
