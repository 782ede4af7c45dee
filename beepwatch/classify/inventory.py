"""What is on the shelf, and which machines are known, for people and for programs."""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Literal

import msgspec
from rich.table import Table
from rich.text import Text

from beepwatch.classify.heads import Expected
from beepwatch.classify.machines import Machines
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import unusable_because
from beepwatch.errors import ModelError


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One taught sound, usable or not."""

    name: str
    examples: int
    versions: int  # that a rollback could go back to
    taught_at: datetime  # UTC
    problem: str = ""  # why it is left out; empty if it is used
    kind: str = ""
    model_id: str = ""
    stale: bool = False  # taught for another model
    threshold: float | None = None
    expected: Expected | None = None


def inventory(shelf: Shelf, model_id: str, labels: Iterable[str]) -> list[Entry]:
    """By name, as judged for the network that gives these labels."""
    known = tuple(labels)
    return [_entry(shelf, name, model_id, known) for name in shelf.digests()]


def _entry(shelf: Shelf, name: str, model_id: str, labels: tuple[str, ...]) -> Entry:
    entry = Entry(
        name=name,
        examples=len(shelf.examples(name)),
        versions=len(shelf.versions(name)),
        taught_at=shelf.taught_at(name),
    )
    try:
        head = shelf.head(name)
    except ModelError as error:
        return msgspec.structs.replace(entry, problem=str(error))
    return msgspec.structs.replace(
        entry,
        kind=head.kind,
        model_id=head.model_id,
        stale=head.model_id != model_id,
        threshold=head.threshold,
        expected=head.expected,
        problem=unusable_because(head, model_id, labels) or "",
    )


class MachineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One learned machine, usable or not."""

    name: str
    kind: Literal["machine"] = "machine"
    versions: int  # that a rollback could go back to
    taught_at: datetime  # UTC
    problem: str = ""  # why it is left out; empty if it is used
    learned_s: float | None = None
    states: int | None = None  # ways of running
    faults: tuple[str, ...] = ()  # that it can name


def machine_inventory(machines: Machines) -> list[MachineEntry]:
    """By name."""
    return [_machine_entry(machines, name) for name in machines.digests()]


def _machine_entry(machines: Machines, name: str) -> MachineEntry:
    entry = MachineEntry(
        name=name,
        versions=len(machines.versions(name)),
        taught_at=machines.taught_at(name),
    )
    try:
        normal, faults = machines.normal(name), machines.faults(name)
    except ModelError as error:
        return msgspec.structs.replace(entry, problem=str(error))
    return msgspec.structs.replace(
        entry,
        learned_s=normal.learned_s,
        states=len(normal.states),
        faults=faults.labels if faults else (),
    )


def json_lines(entries: Iterable[Entry | MachineEntry]) -> str:
    """One object a line."""
    return "".join(f"{msgspec.json.encode(entry).decode()}\n" for entry in entries)


def table(entries: Iterable[Entry], zone: tzinfo | None = None) -> Table:
    """For a terminal; times in `zone`, or the machine's own."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("name", "examples", "taught", "threshold", "expected", "state"):
        shown.add_column(heading, justify="right" if heading == "examples" else "left")
    for entry in entries:
        shown.add_row(
            Text(entry.name),
            str(entry.examples),
            f"{entry.taught_at.astimezone(zone):%Y-%m-%d %H:%M}",
            "" if entry.threshold is None else f"{entry.threshold:.2f}",
            Text(_expected_words(entry.expected)),
            Text(_state(entry)),
        )
    return shown


def machine_table(entries: Iterable[MachineEntry]) -> Table:
    """The same of machines."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("machine", "learned from", "taught", "ways of running", "names", "state"):
        shown.add_column(heading)
    for entry in entries:
        shown.add_row(
            Text(entry.name),
            "" if entry.learned_s is None else f"{entry.learned_s / 60:.1f} min",
            f"{entry.taught_at.astimezone():%Y-%m-%d %H:%M}",
            "" if entry.states is None else str(entry.states),
            Text(", ".join(entry.faults)),
            Text(f"unusable: {entry.problem}" if entry.problem else "in use"),
        )
    return shown


def _expected_words(expected: Expected | None) -> str:
    if expected is None:
        return ""
    nearest = f", nearest: {expected.nearest}" if expected.nearest else ""
    caught = f"catches {expected.caught} of {expected.examples}"
    return f"{caught}{nearest}, false alarms: {expected.alarms}"


def _state(entry: Entry) -> str:
    if entry.stale:
        return f"stale: taught for model {entry.model_id}; teach it again"
    if entry.problem:
        return f"unusable: {entry.problem}"
    return "in use" if entry.kind == "sound" else "in use: silences what is no beep"
