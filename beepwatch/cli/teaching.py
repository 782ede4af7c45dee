"""Verbs about sounds of your own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from beepwatch.cli import machines, taught_sounds
from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    Source,
    Speed,
    complain,
    example,
    load_settings,
    overrides_of,
    progress,
    reachable_state,
    speed_of,
    start_logging,
)
from beepwatch.cli.taught_sounds import NOTICED
from beepwatch.errors import ConfigurationError, NotTaught
from beepwatch.wording import counted

if TYPE_CHECKING:
    from beepwatch.classify.bundle import BundleInfo
    from beepwatch.classify.machines import Machines
    from beepwatch.classify.shelf import Shelf
    from beepwatch.config import Loaded

Action = Callable[["Loaded"], int | None]  # its exit code, if it is not 0


class Lesson(NamedTuple):
    """What is to be taught, from where."""

    name: str
    files: list[Path]
    listen: bool
    room: Path | None
    wanted: int
    speed: str
    normal: bool  # it is how a machine sounds when it is well
    faults: bool  # it is which faults a machine may have
    judge: bool  # nothing is: recordings of a machine are judged
    json: bool


@app.command(epilog=example("beepwatch teach washer clip1.wav clip2.m4a clip3.mp3"))
def teach(
    name: Annotated[
        str | None, typer.Argument(help="What to call the sound: washer, oven, doorbell.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILES]...|TIME",
            help="1 to 20 recordings of it, of any format; best 3. Without any: those of before. "
            "With --normal --listen, how long: 30m; with --faults, a directory.",
        ),
    ] = None,
    normal: Annotated[
        bool,
        typer.Option(
            "--normal", help="It is a machine: learn how it sounds while it is well, to watch it."
        ),
    ] = False,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults",
            help="Learn to name the faults of a learned machine, from recordings in folders by "
            "fault, or with a dataset.csv: `teach fan --faults DIR`.",
        ),
    ] = False,
    judge: Annotated[
        bool,
        typer.Option("--judge", help="Say how strange a learned machine sounds in FILES."),
    ] = False,
    listen: Annotated[
        bool, typer.Option("--listen", help="Take the sound from the microphone, now.")
    ] = False,
    room: Annotated[
        Path | None,
        typer.Option("--room", metavar="FILE", help="A minute of the room without the sound."),
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", min=1, max=20, help="How many --listen wants.")
    ] = 3,
    source: Source = None,
    speed: Speed = "1",
    listed: Annotated[
        bool, typer.Option("--list", help="What is taught, since when, how good it is.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --list and --judge: an object a line.")
    ] = False,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NAME", help="Take a sound or a machine away.")
    ] = None,
    rollback: Annotated[
        str | None, typer.Option("--rollback", metavar="NAME", help="Back to the version before.")
    ] = None,
    from_feedback: Annotated[
        bool,
        typer.Option("--from-feedback", help="Learn from the taps on right and wrong."),
    ] = False,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option("--export", metavar="NAME FILE", help="Into a file that a friend can use."),
    ] = None,
    given: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="A sound that was exported.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --import: replace a sound of that name.")
    ] = False,
    config: ConfigFile = None,
) -> int:
    """Teach a sound of your own, a machine, or what was tapped wrong; list, remove, go back."""
    lesson = Lesson(
        name or "",
        files or [],
        listen=listen,
        room=room,
        wanted=examples,
        speed=speed,
        normal=normal,
        faults=faults,
        judge=judge,
        json=json,
    )
    speed_of(speed)  # whether or not something is played
    possible: list[tuple[str, bool, Action]] = [
        (f"the name {name!r}", name is not None, lambda loaded: _lesson(loaded, lesson)),
        ("--list", listed, lambda loaded: _list(loaded, as_json=json)),
        ("--from-feedback", from_feedback, _learn_from_feedback),
        ("--remove", remove is not None, lambda loaded: _remove(loaded, remove or "")),
        ("--rollback", rollback is not None, lambda loaded: _roll_back(loaded, rollback or "")),
        (
            "--export",
            export is not None,
            lambda loaded: _export(loaded, *(export or ("", Path()))),
        ),
        (
            "--import",
            given is not None,
            lambda loaded: taught_sounds.take_in(loaded, given or Path(), replace=force),
        ),
    ]
    found = {what: action for what, wanted, action in possible if wanted}
    if not found:
        raise _nothing_to_do(lesson)
    if len(found) > 1:
        raise ConfigurationError(
            f"found {' and '.join(found)}; give one of them. See: beepwatch teach --help."
        )
    loaded = load_settings(config, overrides_of(source))
    reachable_state(loaded.config, loaded.file)
    (action,) = found.values()
    return action(loaded) or 0


def _nothing_to_do(lesson: Lesson) -> ConfigurationError:
    given = {
        "--normal": lesson.normal,
        "--faults": lesson.faults,
        "--judge": lesson.judge,
        "--listen": lesson.listen,
        "--room": lesson.room is not None,
    }
    about = [option for option, wanted in given.items() if wanted]
    found = f"found {' and '.join(about)} without a NAME" if about else "found no NAME"
    return ConfigurationError(
        f"{found}. Give a sound a name and recordings, such as `beepwatch teach washer clip1.wav "
        "clip2.wav clip3.wav`, or --list to see what is taught. See: beepwatch teach --help."
    )


def _lesson(loaded: "Loaded", lesson: Lesson) -> int | None:
    ways = {"--normal": lesson.normal, "--faults": lesson.faults, "--judge": lesson.judge}
    given = [option for option, wanted in ways.items() if wanted]
    if not given:
        taught_sounds.learn(
            loaded,
            lesson.name,
            lesson.files,
            room=lesson.room,
            listen=lesson.listen,
            wanted=lesson.wanted,
            speed=lesson.speed,
        )
        return None
    if len(given) > 1:
        raise ConfigurationError(f"found both {' and '.join(given)}; give one of them.")
    if lesson.room is not None:
        raise ConfigurationError("--room is for sounds; a machine is learned with its room.")
    if lesson.normal:
        machines.learn(loaded, lesson.name, lesson.files, listen=lesson.listen, speed=lesson.speed)
        return None
    if lesson.listen:
        raise ConfigurationError(f"found both {given[0]} and --listen; give recordings.")
    if lesson.faults:
        return machines.learn_faults(loaded, lesson.name, lesson.files)
    return machines.judge(loaded, lesson.name, lesson.files, as_json=lesson.json)


def _learn_from_feedback(loaded: "Loaded") -> int:
    from beepwatch.clock import SystemClock
    from beepwatch.train.teaching.feedback import learn

    start_logging()
    outcome = learn(loaded.config, SystemClock().utc(), progress)
    for line in outcome.told:
        typer.echo(line)
    for line in outcome.refused:
        complain(line)
    if outcome.told:
        typer.echo(NOTICED)
    elif not outcome.refused:
        typer.echo(outcome.summary)
    return 1 if outcome.refused else 0


def _list(loaded: "Loaded", *, as_json: bool) -> None:
    from rich.console import Console

    from beepwatch.classify import inventory
    from beepwatch.classify.machines import Machines
    from beepwatch.classify.shelf import Shelf

    info = _model(loaded)
    state = loaded.config.store.path
    sounds = inventory.inventory(Shelf(state), info.model_id, info.labels)
    known = inventory.machine_inventory(Machines(state))
    if as_json:
        typer.echo(inventory.json_lines([*sounds, *known]), nl=False)
        return
    if sounds:
        Console().print(inventory.table(sounds))
    elif not known:
        typer.echo("no sound is taught yet. To teach one: beepwatch teach NAME FILES.")
    if sounds and known:
        typer.echo()
    if known:
        Console().print(inventory.machine_table(known))


def _remove(loaded: "Loaded", name: str) -> None:
    from beepwatch.classify.shelf import Shelf

    holder = _holder(loaded, name)
    ruled = isinstance(holder, Shelf) and any(rule.label == name for rule in loaded.config.rules)
    if ruled and name in holder.digests() and name not in _model(loaded).labels:
        raise ConfigurationError(
            f"rules.label is {name!r} in {loaded.file}, and with such a rule and without such a "
            "sound beepwatch does not start. Take the rule out first."
        )
    holder.remove(name)
    typer.echo(f"{name} is taken away. {NOTICED}")


def _roll_back(loaded: "Loaded", name: str) -> None:
    holder = _holder(loaded, name)
    holder.rollback(name)
    left = len(holder.versions(name))
    typer.echo(f"{name} is as it was; {counted(left, 'earlier version')} left. {NOTICED}")


def _holder(loaded: "Loaded", name: str) -> "Shelf | Machines":
    """Where the name is known. Raises NotTaught if it is nowhere."""
    from beepwatch.classify.machines import Machines
    from beepwatch.classify.shelf import Shelf

    shelf, known = Shelf(loaded.config.store.path), Machines(loaded.config.store.path)
    if name in shelf.digests() or not known.digests():
        return shelf  # which says what there is if it is not
    if name in known.digests():
        return known
    there = ", ".join([*shelf.digests(), *known.digests()])
    raise NotTaught(
        f"there is neither a taught sound nor a learned machine {name!r}; there are: {there}. "
        "See: beepwatch teach --list."
    )


def _export(loaded: "Loaded", name: str, file: Path) -> None:
    from beepwatch.classify.parcels import export
    from beepwatch.classify.shelf import Shelf

    holder = _holder(loaded, name)
    if not isinstance(holder, Shelf):
        raise ConfigurationError(
            f"{name} is a machine, and what was learned of it holds for this place and microphone "
            f"alone. Learn it where it is to be watched: beepwatch teach {name} --normal --listen."
        )
    count = export(holder, name, file)
    typer.echo(f"{file} has {name} with {counted(count, 'example')}: sound from your room.")


def _model(loaded: "Loaded") -> "BundleInfo":
    from beepwatch.classify.bundle import find_bundle, load_bundle

    return load_bundle(find_bundle(loaded.config.model.bundle)).info
