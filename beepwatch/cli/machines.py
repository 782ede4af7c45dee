"""Machines, among the verbs of teaching: how one sounds well, its faults, and how strange now."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beepwatch.cli.options import (
    complain,
    progress,
    say_links,
    signals_as_before,
    speed_of,
    start_logging,
    stop_on_signals,
)
from beepwatch.errors import ConfigurationError
from beepwatch.wording import printable

if TYPE_CHECKING:
    from beepwatch.config import Loaded
    from beepwatch.train.machines.collecting import Collection
    from beepwatch.train.machines.lessons import Heard

LISTEN = "30m"
_SHORTEST_S, _LONGEST_S = 30.0, 86_400.0


def learn(loaded: "Loaded", name: str, files: list[Path], *, listen: bool, speed: str) -> None:
    """How a machine sounds when it is well, from recordings or for so long as FILES says."""
    from beepwatch.classify.machines import Machines
    from beepwatch.classify.shelf import Shelf
    from beepwatch.clock import SystemClock
    from beepwatch.train.machines import lessons
    from beepwatch.train.machines.learning import check_name

    check_name(name)
    Shelf(loaded.config.store.path).check_not_here(name)
    machines = Machines(loaded.config.store.path)
    machines.check_can_take(name)  # or half an hour of listening would be in vain
    if listen:
        heard = _listened(loaded, name, _length_s(files), speed)
    elif files:
        heard = lessons.collect_files(files, _say)
    else:
        raise ConfigurationError(
            f"there is nothing to learn {name} from. Give recordings of it, or --listen {LISTEN}."
        )
    normal = lessons.learn(name, heard)
    again = name in machines.digests()
    machines.put(normal, SystemClock().utc())
    for line in lessons.report(normal, heard.level_dbfs(), loaded.config.machines.enough_s):
        typer.echo(line)
    if again:
        typer.echo(f"To go back to what was learned before: beepwatch teach --rollback {name}.")


def _length_s(words: list[Path]) -> float:
    from beepwatch.store.listing import seconds_of

    text = str(words[0]) if words else LISTEN
    length_s = seconds_of(text)
    if len(words) > 1 or length_s is None or not _SHORTEST_S <= length_s <= _LONGEST_S:
        raise ConfigurationError(
            f"found {' '.join(map(str, words))!r} beside --normal --listen, expected how long to "
            f"listen, from 30s to 1d, such as {LISTEN}. Recordings are given without --listen."
        )
    return length_s


def _listened(loaded: "Loaded", name: str, wanted_s: float, speed: str) -> "Collection":
    from rich.console import Console

    from beepwatch.train.machines.lessons import length_text
    from beepwatch.train.machines.sitting import listen

    start_logging("error")  # what is wrong with the microphone is said in words
    request = (
        f"listening to {name} for {length_text(wanted_s)}: let it run in every way it does. "
        "^C ends earlier and learns from what was heard."
    )
    with signals_as_before():
        heard = listen(
            loaded.config.capture,
            wanted_s,
            console=Console(stderr=True),
            stop=stop_on_signals(),
            speed=speed_of(speed),
            request=request,
        )
    progress(f"heard {length_text(heard.heard_s)}; learning from it")
    return heard


def learn_faults(loaded: "Loaded", name: str, directories: list[Path]) -> int:
    """Which of the faults it has that recordings are labelled with, when it sounds strange."""
    from rich.console import Console

    from beepwatch.classify.machines import Machines
    from beepwatch.daemon.scan import quiet_decoders
    from beepwatch.train.datasets.catalogue import NAME
    from beepwatch.train.display import rated
    from beepwatch.train.machines import diagnosing

    directory = _directory_of_faults(directories)
    machines = Machines(loaded.config.store.path)
    machines.normal(name)
    if not (directory / NAME).exists():  # which lists them
        say_links(directory)
    cases, failed = [], False
    with quiet_decoders(), rated(Console(stderr=True)) as bar:
        task = bar.add_task("listening", total=None, unit="files/s")
        for one in diagnosing.collect(
            directory, lambda done, of: bar.update(task, completed=done, total=of)
        ):
            if isinstance(one, str):
                failed = True
                complain(one)
            else:
                cases.append(one)
    faults = diagnosing.learn(name, directory, cases)
    tried = diagnosing.try_out(name, cases)
    machines.put_faults(faults)
    for line in diagnosing.report(faults, cases, tried):
        typer.echo(line)
    return 1 if failed else 0


def _directory_of_faults(given: list[Path]) -> Path:
    expected = "expected one directory of recordings, in folders by fault or with a dataset.csv."
    if len(given) != 1:
        found = repr(" ".join(map(str, given))) if given else "nothing"
        raise ConfigurationError(f"found {found} beside --faults, {expected}")
    if not given[0].is_dir():
        what = "is a file" if given[0].exists() else "does not exist"
        raise ConfigurationError(f"{str(given[0])!r} beside --faults {what}; {expected}")
    return given[0]


def _as_json(heard: "Heard") -> str:
    """One line; the file's name need not be text."""
    import msgspec

    rest = msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(heard, file="")))
    return json.dumps({**rest, "file": heard.file}, separators=(",", ":"))


def _say(line: str) -> None:
    typer.echo(printable(line))


def judge(loaded: "Loaded", name: str, files: list[Path], *, as_json: bool) -> int:
    """Say of each recording how strange the machine sounds in it."""
    from beepwatch.classify.faults import Diagnostician
    from beepwatch.classify.machines import Machines
    from beepwatch.errors import BeepwatchError
    from beepwatch.train.machines import lessons

    if not files:
        raise ConfigurationError(f"there is nothing to judge. Give recordings of {name}.")
    machines = Machines(loaded.config.store.path)
    normal, faults = machines.normal(name), machines.faults(name)
    doctor = None if faults is None else Diagnostician(faults)
    failed = False
    for _, heard in lessons.judge_files(normal, files, loaded.config.machines.enough_s, doctor):
        if isinstance(heard, BeepwatchError):
            failed = True
            complain(str(heard))
        elif as_json:
            typer.echo(_as_json(heard))
        else:
            _say(lessons.heard_line(heard))
    return 1 if failed else 0
