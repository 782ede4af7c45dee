"""Sounds, among the verbs of teaching: from recordings or the microphone, or from a friend."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from beepwatch.cli.options import (
    progress,
    signals_as_before,
    speed_of,
    start_logging,
    stop_on_signals,
)
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.wording import counted, printable

if TYPE_CHECKING:
    from beepwatch.classify.parcels import Parcel
    from beepwatch.config import Loaded
    from beepwatch.train.teaching.auditions import Audition
    from beepwatch.train.teaching.examples import Example
    from beepwatch.train.teaching.lessons import School

LEAST_ROOM_S = 20.0  # of the room, to be of use when somebody has had enough of it
NOTICED = "A running beepwatch takes note by itself."


def learn(
    loaded: "Loaded",
    name: str,
    files: list[Path],
    *,
    room: Path | None,
    listen: bool,
    wanted: int,
    speed: str,
) -> None:
    """A sound from files, from the microphone, or again from the examples that are kept of it."""
    from beepwatch.classify.machines import Machines
    from beepwatch.classify.shelf import Shelf
    from beepwatch.clock import SystemClock
    from beepwatch.train.teaching import lessons

    if listen and files:
        raise ConfigurationError("found both files and --listen; give one of them.")
    start_logging()
    school = _school(loaded)
    school.check_name(name)
    Machines(loaded.config.store.path).check_not_here(name)
    if files:
        lessons.check_count(name, len(files))
    Shelf(loaded.config.store.path).check_can_take(name)  # or all the listening would be in vain
    if room is not None:
        school.put_room_file(room)
    if listen:
        found = _listened(loaded, school, name, wanted, speed)
    else:
        found = _read(school, files) if files else _kept(school, name)
    try:
        taught = school.learn(name, found, SystemClock().utc())
    except KeyboardInterrupt:
        progress(f"broken off while it learned: {name} is as it was before")
        raise
    for line in lessons.report(taught.head):
        typer.echo(line)
    typer.echo(NOTICED)


def _read(school: "School", files: list[Path]) -> list["Example"]:
    from beepwatch.train.teaching import lessons
    from beepwatch.train.teaching.examples import read_example

    found = [read_example(file, school.engine) for file in files]
    for one in found:
        typer.echo(printable(lessons.found_line(one, school.engine.frame_s)))
    distinct = lessons.without_copies(found)
    if copies := len(found) - len(distinct):
        progress(f"{counted(copies, 'recording')} left out: the same was given before")
    return distinct


def _kept(school: "School", name: str) -> list["Example"]:
    found = school.kept(name)
    typer.echo(f"{name}: again from its {counted(len(found), 'example')}")
    return found


def take_in(loaded: "Loaded", file: Path, *, replace: bool) -> None:
    """A sound that was exported, compared with those that are there; one of another network is
    taught again from its examples.
    """
    from beepwatch.classify import parcels
    from beepwatch.classify.bundle import find_bundle, load_bundle
    from beepwatch.classify.machines import Machines
    from beepwatch.classify.shelf import Shelf
    from beepwatch.classify.taught import unusable_because
    from beepwatch.clock import SystemClock

    parcel = parcels.open_parcel(file)
    head = parcel.head
    Machines(loaded.config.store.path).check_not_here(head.name)
    shelf = Shelf(loaded.config.store.path)
    parcels.check_may_take_in(shelf, head.name, replace=replace)
    info = load_bundle(find_bundle(loaded.config.model.bundle)).info
    problem = unusable_because(head, info.model_id, info.labels)
    count = counted(len(parcel.files), "example")
    lines: list[str] = []
    anew = head.model_id != info.model_id and bool(parcel.files)
    if head.kind == "sound":
        if anew:
            lines = _taught_again(loaded, parcel)
        elif problem is None and shelf.digests().keys() - {head.name}:
            lines = _compared(loaded, parcel)
    if lines:
        how = f"taught again from its {count} for the model in use" if anew else f"with {count}"
        for line in [f"{head.name} is there, {how}.", *lines, NOTICED]:
            typer.echo(line)
        return
    parcels.take_in(shelf, parcel, SystemClock().utc(), replace=replace)
    silences = " It tells nothing: it silences beeps that sound like them."
    typer.echo(
        f"{head.name} is there, with {count}.{silences if head.kind == 'veto' else ''} "
        f"{problem or NOTICED}"
    )


def _taught_again(loaded: "Loaded", parcel: "Parcel") -> list[str]:
    """What is told of it; nothing, after a line that says why, if it could not be."""
    from beepwatch.clock import SystemClock
    from beepwatch.train.teaching import lessons

    start_logging()
    school = _school(loaded)
    name = parcel.head.name
    try:
        school.check_name(name)
        return lessons.report(school.taught_anew(parcel, SystemClock().utc()))
    except BeepwatchError as error:
        progress(f"{name} could not be taught again from its examples: {error}")
        return []


def _compared(loaded: "Loaded", parcel: "Parcel") -> list[str]:
    """What is told of it beside the others; nothing, after a line that says why, if it cannot."""
    from beepwatch.clock import SystemClock
    from beepwatch.train.teaching import lessons

    start_logging()
    try:
        return lessons.report(_school(loaded).take_in(parcel, SystemClock().utc()))
    except BeepwatchError as error:
        progress(f"{parcel.head.name} was not compared with what is there: {error}")
        return []


def _school(loaded: "Loaded") -> "School":
    from beepwatch.classify.bundle import find_bundle, load_bundle
    from beepwatch.classify.engines import open_engine
    from beepwatch.classify.shelf import Shelf
    from beepwatch.train.teaching.lessons import School

    bundle = load_bundle(find_bundle(loaded.config.model.bundle))
    return School(bundle, open_engine(bundle), Shelf(loaded.config.store.path), progress)


def _listened(
    loaded: "Loaded", school: "School", name: str, wanted: int, speed: str
) -> list["Example"]:
    from rich.console import Console

    from beepwatch.train.teaching.auditions import Audition

    if loaded.config.capture.source == "stdin":
        raise ConfigurationError(
            "the sound comes from stdin, so nobody can answer there which beep it was. "
            "Give another --source, or recordings."
        )
    with signals_as_before():
        stop = stop_on_signals()
        audition = Audition(
            loaded.config.capture,
            school.engine,
            console=Console(stderr=True),
            ask=lambda question: _answer(question, stop),
            stop=stop,
            speed=speed_of(speed),
        )
        if school.room() is None:
            _listen_to_room(school, audition, stop)
        found = audition.examples(wanted)
    if not found:
        raise BeepwatchError(
            f"no example of {name!r} was taken. Move the microphone nearer and try again, "
            f"or record it with your phone: beepwatch teach {name} FILES."
        )
    progress(f"learning from {counted(len(found), 'example')}")
    return found


def _listen_to_room(school: "School", audition: "Audition", stop: threading.Event) -> None:
    """Keep a minute of the room. Raises BeepwatchError where no beep can be heard after it."""
    from beepwatch.train.teaching.lessons import ROOM_S

    room = audition.room()
    heard_s = len(room) / school.engine.rate_hz
    ended = heard_s < ROOM_S
    kept = bool(room.any()) and (not ended or (stop.is_set() and heard_s >= LEAST_ROOM_S))
    if kept:
        school.put_room(room)
    if not ended:
        return
    said = f"{heard_s:.0f} s of the {ROOM_S:.0f} s of your room were heard"
    if not stop.is_set():
        raise BeepwatchError(
            f"the sound ended when {said}, so there was no beep to take. Name another --source, "
            "or give the recording itself: beepwatch teach NAME FILES."
        )
    if kept:
        fate = "are kept. The next --listen goes on to the beeps."
    elif room.any() or not room.size:
        fate = "are too few to keep. The next --listen begins with the room again."
    else:
        fate = "were digital silence, and are not kept. Run `beepwatch doctor`."
    raise BeepwatchError(f"ended before any beep: {said}, and {fate}")


def _answer(question: str, stop: threading.Event) -> str:
    """What was typed; "" for ^C, or where nobody can type, and that ends the sitting."""
    with signals_as_before():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            typed = typer.prompt(
                question, default="n", show_default=False, prompt_suffix="", err=True
            )
        except typer.Abort:
            stop.set()
            typer.echo(err=True)
            return ""
    return str(typed)
