"""The verb serve."""

import os
from typing import Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import ConfigFile, example, load_settings, of_extra, start_logging


@app.command(epilog=example("beepwatch serve --port 8765"))
def serve(
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="BUNDLE", help="Name or directory. Default: model.bundle."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="Where it listens; anyone there can ask. Default: web.host."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65_535, help="0: any. Default: web.port."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=256, help="Processes. Default: the cores.")
    ] = None,
    queue: Annotated[
        int, typer.Option("--queue", min=0, max=10_000, help="Uploads that may wait for a worker.")
    ] = 64,
    config: ConfigFile = None,
) -> int:
    """Answer over HTTP what can be heard in a recording: POST /inference, POST /v1/classify."""
    server = of_extra("web", "beepwatch.web.inference.server", "the server")
    from beepwatch.classify.bundle import find_bundle, load_bundle
    from beepwatch.web.inference.worker import Settings
    from beepwatch.web.serving import address_of, listen

    settings = load_settings(config).config
    start_logging()
    bundle = load_bundle(find_bundle(model or settings.model.bundle))
    with listen(
        settings.web.host if host is None else host, settings.web.port if port is None else port
    ) as listening:

        def say_where() -> None:
            labels = ", ".join(bundle.info.labels)
            typer.echo(f"listening for {labels}: {address_of(listening)}")

        server.serve_inference(
            Settings(
                bundle=str(bundle.directory),
                runtime=settings.model.runtime,
                state=str(settings.store.path),
            ),
            listening,
            workers=workers or len(os.sched_getaffinity(0)),
            most_waiting=queue,
            started=say_where,
        )
    return 0
