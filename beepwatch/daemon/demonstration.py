"""`beepwatch demo`: the real daemon on a bundled recording; no microphone, no token needed."""

import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import msgspec

from beepwatch.daemon.running import run
from beepwatch.errors import ConfigurationError
from beepwatch.sections import Capture, Config, Console, Notify, Store
from beepwatch.store.database import FILE_NAME
from beepwatch.validation import made

RECORDING = "kitchen.flac"


def demonstrate(speed: float | Literal["max"], directory: Path | None, log_level: str) -> int:
    """Play the recording to the daemon; alerts go to standard output, clips to `directory`.

    Raises ConfigurationError for a directory that cannot be, or holds what was heard already: the
    recording has times of its own, and two runs of it would be told as one.
    """
    directory = made(directory or Path(tempfile.mkdtemp(prefix="beepwatch-demo-")))
    if (directory / FILE_NAME).exists():
        raise ConfigurationError(
            f"{directory} holds what was heard before. Name another folder with --out."
        )
    with as_file(files("beepwatch.daemon").joinpath("demo", RECORDING)) as recording:
        config = Config(
            capture=Capture(source=f"file:{recording}"),
            notify=Notify(room="kitchen", notices=False, console=Console(enabled=True)),
            store=Store(directory=str(directory), min_free_mb=0),
        )
        rules = tuple(msgspec.structs.replace(rule, cooldown_s=12.0) for rule in config.rules)
        return run(
            msgspec.structs.replace(config, rules=rules),
            token=None,
            speed=speed,
            log_level=log_level,
        )
