"""Verbs about sound: record, scan, events."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    Rate,
    Source,
    Speed,
    example,
    load_settings,
    settings_and_token,
    speed_of,
    start_logging,
    stop_on_signals,
)


@app.command(epilog=example("beepwatch record --label beep --minutes 10 --out recordings"))
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

    settings, _ = settings_and_token(config, source, rate)
    start_logging()
    stop = stop_on_signals()
    record_session(
        settings.capture,
        label=label,
        minutes=minutes,
        out=out,
        speed=speed_of(speed),
        stop=stop,
        console=Console(stderr=True),
    )
    return 0


@app.command(epilog=example("beepwatch scan recordings/ --json"))
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

    model = load_settings(config).config.model
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


@app.command(epilog=example("beepwatch events --since 2h"))
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

    store = load_settings(config).config.store
    after = listing.since_time(since, SystemClock().utc()) if since else None
    database = Database(store.path)
    with contextlib.closing(database):
        rows = listing.event_rows(database, after)
        if json:
            typer.echo(listing.json_lines(rows), nl=False)
        else:
            Console().print(listing.table(rows, listing.notice_rows(database, after)))
    return 0
