"""The verb serve."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    bundle_of,
    example,
    load_settings,
    of_extra,
    reachable_state,
    say_if_without_taught,
    start_logging,
)
from beepwatch.errors import ConfigurationError

if TYPE_CHECKING:
    from beepwatch.config import Loaded
    from beepwatch.web.inference.answers import ModelShown
    from beepwatch.web.inference.settings import Machine, Recordings, Sounds


@app.command(epilog=example("beepwatch serve --machine fan --port 8765"))
def serve(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="BUNDLE",
            help="Name or directory, also of what `train --features` made. Default: model.bundle.",
        ),
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="NAME",
            help="Instead: judge recordings of a learned machine, as `teach NAME --judge` does.",
        ),
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
    from beepwatch.web.serving import address_of, listen

    if model is not None and machine is not None:
        raise ConfigurationError("found both --model and --machine; give one of them.")
    loaded = load_settings(config)
    start_logging()
    settings = _model(loaded, model) if machine is None else _machine(loaded, machine)
    web = loaded.config.web
    with listen(
        web.host if host is None else host, web.port if port is None else port
    ) as listening:
        server.serve_inference(
            settings,
            listening,
            workers=workers or len(os.sched_getaffinity(0)),
            most_waiting=queue,
            started=lambda heard: typer.echo(f"{_words(heard)}: {address_of(listening)}"),
        )
    return 0


def _words(model: "ModelShown") -> str:
    """What is served."""
    from beepwatch.web.inference.machine import STRANGE

    if model.kind == "machine":
        faults = ", ".join(one for one in model.labels if one not in (STRANGE, *model.normal))
        return f"judging {model.name}{f' and naming its faults, {faults}' if faults else ''}"
    what = "listening for" if model.kind == "sounds" else "telling apart"
    return f"{what} {', '.join(model.labels)}, with the model {model.name} {model.id}"


def _machine(loaded: "Loaded", name: str) -> "Machine":
    """Raises ModelError if it was not learned, or what was learned is damaged."""
    from beepwatch.classify.machines import Machines
    from beepwatch.web.inference.settings import Machine

    state = reachable_state(loaded.config, loaded.file)
    machines = Machines(state)
    machines.normal(name)
    machines.faults(name)
    enough_s = loaded.config.machines.enough_s
    return Machine(name=name, state=str(state), enough_s=enough_s)


def _model(loaded: "Loaded", wanted: str | None) -> "Sounds | Recordings":
    """Of either kind. Raises ModelError."""
    from beepwatch.classify.bundle import is_of_recordings, load_bundle
    from beepwatch.classify.recordings import load_recording_bundle
    from beepwatch.web.inference.settings import Recordings, Sounds

    directory = bundle_of(wanted, loaded.config)
    if is_of_recordings(directory):
        load_recording_bundle(directory)
        return Recordings(bundle=str(directory))
    load_bundle(directory)
    say_if_without_taught(loaded.config, loaded.file)
    return Sounds(
        bundle=str(directory),
        runtime=loaded.config.model.runtime,
        state=str(loaded.config.store.path),
    )
