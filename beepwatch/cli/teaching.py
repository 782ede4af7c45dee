"""Verbs about sounds of your own."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from beepwatch.cli.app import app
from beepwatch.cli.options import (
    ConfigFile,
    Source,
    Speed,
    example,
    load_settings,
    progress,
    speed_of,
    start_logging,
    stop_on_signals,
)
from beepwatch.errors import ConfigurationError

if TYPE_CHECKING:
    from beepwatch.classify.bundle import BundleInfo
    from beepwatch.config import Loaded
    from beepwatch.train.teaching.examples import Example
    from beepwatch.train.teaching.lessons import School

Action = Callable[["Loaded"], int | None]  # its exit code, if it is not 0


class Lesson(NamedTuple):
    """What is to be taught, from where."""

    name: str
    files: list[Path]
    listen: bool
    room: Path | None
    wanted: int


_NOTICED = "A running beepwatch takes note by itself."


@app.command(epilog=example("beepwatch teach washer clip1.wav clip2.m4a clip3.mp3"))
def teach(
    name: Annotated[
        str | None, typer.Argument(help="What to call the sound: washer, oven, doorbell.")
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Argument(help="1 to 20 recordings of it, of any format; best 3.")
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="Take the examples from the microphone, now.")
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
    json: Annotated[bool, typer.Option("--json", help="With --list: an object a line.")] = False,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NAME", help="Take a sound away.")
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
    """Teach a sound of your own, or what was tapped wrong; list, remove, hand on, go back."""
    lesson = Lesson(name or "", files or [], listen=listen, room=room, wanted=examples)
    possible: list[tuple[bool, Action]] = [
        (name is not None, lambda loaded: _teach(loaded, lesson, speed)),
        (listed, lambda loaded: _list(loaded, as_json=json)),
        (from_feedback, _learn_from_feedback),
        (remove is not None, lambda loaded: _remove(loaded, remove or "")),
        (rollback is not None, lambda loaded: _roll_back(loaded, rollback or "")),
        (export is not None, lambda loaded: _export(loaded, *(export or ("", Path())))),
        (given is not None, lambda loaded: _import(loaded, given or Path(), replace=force)),
    ]
    actions = [action for wanted, action in possible if wanted]
    if len(actions) != 1:
        raise ConfigurationError(
            f"found {len(actions)} things to do, expected one of NAME FILES, NAME --listen, "
            "--from-feedback, --list, --remove, --rollback, --export, --import. "
            "See: beepwatch teach --help."
        )
    overrides = {} if source is None else {"capture.source": source}
    return actions[0](load_settings(config, overrides)) or 0


def _teach(loaded: "Loaded", lesson: Lesson, speed: str) -> None:
    from beepwatch.classify.bundle import find_bundle, load_bundle
    from beepwatch.classify.engines import open_engine
    from beepwatch.classify.shelf import Shelf
    from beepwatch.clock import SystemClock
    from beepwatch.train.teaching import lessons
    from beepwatch.train.teaching.examples import read_example

    if lesson.listen and lesson.files:
        raise ConfigurationError("found both files and --listen; give one of them.")
    start_logging()
    bundle = load_bundle(find_bundle(loaded.config.model.bundle))
    engine = open_engine(bundle)
    shelf = Shelf(loaded.config.store.path)
    school = lessons.School(bundle, engine, shelf, lambda line: typer.echo(line, err=True))
    school.check_name(lesson.name)
    if not lesson.listen:
        lessons.check_count(lesson.name, len(lesson.files))
    if lesson.room is not None:
        school.put_room_file(lesson.room)
    if lesson.listen:
        found = _listened(loaded, school, lesson, speed)
    else:
        found = [read_example(file, engine) for file in lesson.files]
        for one in found:
            typer.echo(lessons.found_line(one, engine.frame_s))
    taught = school.learn(lesson.name, found, SystemClock().utc())
    for line in lessons.report(taught.head):
        typer.echo(line)
    typer.echo(_NOTICED)


def _listened(loaded: "Loaded", school: "School", lesson: Lesson, speed: str) -> list["Example"]:
    from rich.console import Console

    from beepwatch.errors import BeepwatchError
    from beepwatch.train.teaching.auditions import Audition

    audition = Audition(
        loaded.config.capture,
        school.engine,
        console=Console(stderr=True),
        ask=lambda question: str(typer.prompt(question, default="n", prompt_suffix="")),
        stop=stop_on_signals(),
        speed=speed_of(speed),
    )
    if school.room() is None:
        school.put_room(audition.room())
    found = audition.examples(lesson.wanted)
    if not found:
        raise BeepwatchError(
            f"no example of {lesson.name!r} was taken. Move the microphone nearer and try again, "
            f"or record it with your phone: beepwatch teach {lesson.name} FILES."
        )
    return found


def _learn_from_feedback(loaded: "Loaded") -> int:
    from beepwatch.clock import SystemClock
    from beepwatch.train.teaching.feedback import learn

    start_logging()
    outcome = learn(loaded.config, SystemClock().utc(), progress)
    for line in outcome.told:
        typer.echo(line)
    for line in outcome.refused:
        typer.echo(f"beepwatch: {line}", err=True)
    if outcome.told:
        typer.echo(_NOTICED)
    elif not outcome.refused:
        typer.echo(outcome.summary)
    return 1 if outcome.refused else 0


def _list(loaded: "Loaded", *, as_json: bool) -> None:
    from rich.console import Console

    from beepwatch.classify.inventory import inventory, json_lines, table
    from beepwatch.classify.shelf import Shelf

    info = _model(loaded)
    entries = inventory(Shelf(loaded.config.store.path), info.model_id, info.labels)
    if as_json:
        typer.echo(json_lines(entries), nl=False)
    elif entries:
        Console().print(table(entries))
    else:
        typer.echo("no sound is taught yet. To teach one: beepwatch teach NAME FILES.")


def _remove(loaded: "Loaded", name: str) -> None:
    from beepwatch.classify.shelf import Shelf

    shelf = Shelf(loaded.config.store.path)
    ruled = any(rule.label == name for rule in loaded.config.rules)
    if ruled and name in shelf.digests() and name not in _model(loaded).labels:
        raise ConfigurationError(
            f"rules.label is {name!r} in {loaded.file}, and with such a rule and without such a "
            "sound beepwatch does not start. Take the rule out first."
        )
    shelf.remove(name)
    typer.echo(f"{name} is taken away. {_NOTICED}")


def _roll_back(loaded: "Loaded", name: str) -> None:
    from beepwatch.classify.shelf import Shelf

    shelf = Shelf(loaded.config.store.path)
    shelf.rollback(name)
    left = len(shelf.versions(name))
    typer.echo(f"{name} is as it was; {left} earlier version(s) are left. {_NOTICED}")


def _export(loaded: "Loaded", name: str, file: Path) -> None:
    from beepwatch.classify.parcels import export
    from beepwatch.classify.shelf import Shelf

    count = export(Shelf(loaded.config.store.path), name, file)
    typer.echo(f"{file} has {name} with its {count} example(s): sound from your room.")


def _import(loaded: "Loaded", file: Path, *, replace: bool) -> None:
    from beepwatch.classify import parcels
    from beepwatch.classify.shelf import Shelf
    from beepwatch.classify.taught import unusable_because
    from beepwatch.clock import SystemClock

    parcel = parcels.open_parcel(file)
    shelf = Shelf(loaded.config.store.path)
    parcels.take_in(shelf, parcel, SystemClock().utc(), replace=replace)
    info = _model(loaded)
    problem = unusable_because(parcel.head, info.model_id, info.labels)
    name = parcel.head.name
    typer.echo(f"{name} is there, with {len(parcel.files)} example(s). {problem or _NOTICED}")


def _model(loaded: "Loaded") -> "BundleInfo":
    from beepwatch.classify.bundle import find_bundle, load_bundle

    return load_bundle(find_bundle(loaded.config.model.bundle)).info
