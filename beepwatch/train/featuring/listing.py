"""Which recordings a feature store is made of, and what is known of each."""

import csv
from pathlib import PurePosixPath

import msgspec

from beepwatch.errors import ConfigurationError, UnreadableAudio
from beepwatch.train.datasets.catalogue import (
    NAME,
    clips_below,
    is_text,
    no_recordings,
    table_of,
)
from beepwatch.train.datasets.remote import Location, Remote, on_disk, recordings_below
from beepwatch.validation import shortened


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A recording of a data set, as its table or its folder has it."""

    path: str
    label: str = ""
    session: str = ""
    device: str = ""
    split: str = ""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a data set's directory has."""

    recordings: list[Listed]
    left_out: int
    problems: list[str]  # a line for each folder or file that cannot be one of them


def list_recordings(data: Location) -> Listing:
    """By path: the table's rows, else all files, labelled by the folder that they lie in.

    What the quarantine names is left out. Raises CatalogueError, UnreadableAudio.
    """
    problems: list[str] = []
    if (data / NAME).exists():
        rows = table_of(data).rows.values()
        found = [
            Listed(**{name: row.get(name, "") for name in Listed.__struct_fields__}) for row in rows
        ]
    else:
        paths = (
            recordings_below(data)
            if isinstance(data, Remote)
            else clips_below(data, lambda _folder, problem: problems.append(problem))
        )
        found = [Listed(path=path, label=PurePosixPath(path).parent.name) for path in paths]
    banned = _quarantined(data)
    left_out = [one for one in found if one.path in banned]
    found = [one for one in found if one.path not in banned]
    if not found and left_out:
        raise UnreadableAudio(
            f"{data / 'quarantine.csv'} names every recording of {data}, so there is none to use. "
            "Mend them, or take the list away."
        )
    if not found:
        raise no_recordings(data, problems)
    unfit = [one.path for one in found if not is_text(one.path)]
    return Listing(
        recordings=sorted((one for one in found if is_text(one.path)), key=lambda one: one.path),
        left_out=len(left_out),
        problems=problems
        + [f"{shortened(ascii(path))}: its name is no text. Rename it." for path in unfit],
    )


def _quarantined(data: Location) -> set[str]:
    if not (data / "quarantine.csv").exists():
        return set()
    from beepwatch.train.datasets.checking import quarantined  # with all that checks recordings

    try:
        with on_disk(data / "quarantine.csv") as file:
            return quarantined(file)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ConfigurationError(
            f"{data / 'quarantine.csv'} is no list of `dataset check`: {error}. Move it away."
        ) from error
