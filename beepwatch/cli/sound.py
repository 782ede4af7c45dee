"""Verbs about sound: record, scan, events."""

import contextlib
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    Dask,
    Rate,
    Source,
    Speed,
    complain,
    example,
    finite,
    load_settings,
    named,
    overrides_of,
    reachable_state,
    say_if_without_taught,
    say_links,
    speed_of,
    start_logging,
    stop_on_signals,
)
from beepwatch.config import ONE_THREAD, tell_libraries


@app.command(epilog=example("beepwatch record --label beep --device washer --until-kb 20000"))
def record(
    label: Annotated[str, typer.Option("--label", help="What is being recorded; a folder's name.")],
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.01, callback=finite, help="Stop after so many."),
    ] = None,
    until_kb: Annotated[
        float | None,
        typer.Option(
            "--until-kb",
            min=1,
            callback=finite,
            metavar="KB",
            help="Stop when there is so much of this label, device and room, earlier sessions "
            "included: the same command goes on where it was stopped.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="Which appliance is to be heard.")
    ] = "",
    room: Annotated[str, typer.Option("--room", metavar="NAME", help="In which room.")] = "",
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", parser=named, help="The data set; dataset.csv lists it."
        ),
    ] = Path("recordings"),
    pre_label: Annotated[
        bool, typer.Option("--pre-label/--no-pre-label", help="Note what the model hears in each.")
    ] = True,
    config: ConfigFile = None,
    source: Source = None,
    speed: Speed = "1",
    rate: Rate = None,
) -> int:
    """Write every window that is not silent as a WAV file, as training data."""
    from rich.console import Console

    from beepwatch.capture.recording import record as record_session
    from beepwatch.daemon.clerk import FilingClerk, opening

    loaded = load_settings(config, overrides_of(source, rate))
    settings = loaded.config
    if pre_label:
        say_if_without_taught(settings, loaded.file)
    start_logging()
    stop = stop_on_signals()
    console = Console(stderr=True, markup=False, highlight=False)  # a name is no markup
    say = partial(console.print, soft_wrap=True)
    clerk = FilingClerk(
        out, opening(settings.model, settings.store.path, say) if pre_label else None, say
    )
    record_session(
        settings.capture,
        label=label,
        minutes=minutes,
        out=out,
        appliance=device,
        room=room,
        until_kb=until_kb,
        speed=speed_of(speed),
        stop=stop,
        console=console,
        clerk=clerk,
    )
    return 0 if clerk.listed_all else 1


@app.command(epilog=example("beepwatch scan recordings/ --json"))
def scan(
    paths: Annotated[
        list[str], typer.Argument(help="Audio files, or directories of them; or their URLs.")
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", parser=named, help="Write a table of all found."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="DIR", parser=named, help="Write an Audacity label track for each."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=256, help="Threads. Default: one a core.")
    ] = None,
    dask: Dask = None,
    config: ConfigFile = None,
) -> int:
    """Find sounds in recordings."""
    tell_libraries(*ONE_THREAD)  # before numpy is imported

    from beepwatch.classify.bundle import find_bundle
    from beepwatch.classify.shelf import Shelf
    from beepwatch.daemon import scan as scanning
    from beepwatch.daemon.found import NoLabelTrack, written
    from beepwatch.train.datasets.remote import location_of

    loaded = load_settings(config)
    settings, model = loaded.config, loaded.config.model
    say_if_without_taught(settings, loaded.file)
    places = [location_of(path) for path in paths]
    for place in places:
        say_links(place, hidden=True, within=False)
    given = scanning.recordings(places)
    failed = False
    with scanning.quiet_decoders(), written(given, table=csv, labels=labels) as write:
        for scanned in scanning.scan(
            given,
            bundle=find_bundle(model.bundle),
            model=model,
            shelf=Shelf(settings.store.path),
            workers=workers or scanning.available_cores(),
            cluster=dask,
            say=complain,
        ):
            if scanned.problem is not None:
                failed = True
                complain(scanned.problem)
            for found in scanned.found:
                typer.echo(found.as_json() if json else found.as_line())
            try:
                write(scanned)
            except NoLabelTrack as error:
                failed = True
                complain(str(error))
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
    from beepwatch.clock import SystemClock
    from beepwatch.store import listing
    from beepwatch.store.database import FILE_NAME, Lookout

    loaded = load_settings(config)
    after = None if since is None else listing.since_time(since, SystemClock().utc())
    directory = reachable_state(loaded.config, loaded.file)
    if not (directory / FILE_NAME).exists():  # it is not made by looking
        typer.echo("" if json else _nothing(since), nl=False)
        return 0
    with contextlib.closing(Lookout(directory)) as database:
        rows = listing.event_rows(database, after)
        if json:
            typer.echo(listing.json_lines(rows), nl=False)
        else:
            notices = listing.notice_rows(database, after)
            typer.echo(listing.text_lines(rows, notices) or _nothing(since), nl=False)
    return 0


def _nothing(since: str | None) -> str:
    return f"nothing since {since}\n" if since else "nothing yet. To listen: beepwatch run.\n"
