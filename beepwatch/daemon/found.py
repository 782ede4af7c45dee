"""What a scan found, and the forms in which it leaves: lines, JSON, a table, Audacity labels."""

import csv
import errno
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from beepwatch.decide.episodes import Episode
from beepwatch.errors import BeepwatchError, ConfigurationError
from beepwatch.train.datasets.remote import Location
from beepwatch.wording import counted, printable


class NoLabelTrack(BeepwatchError):
    """A recording whose label track cannot have its name; those of others can."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One episode in a recording; the form of `scan --json`, and the columns of `scan --csv`."""

    file: str
    label: str
    onset_s: float
    offset_s: float
    pulses: int
    score: float

    def as_json(self) -> str:
        """One line."""
        return json.dumps(msgspec.to_builtins(self))

    def as_line(self) -> str:
        """For people."""
        pulses = counted(self.pulses, "pulse")
        return (
            f"{printable(self.file)}  {self.onset_s:9.2f} s  {self.label}  "
            f"{pulses} in {self.offset_s - self.onset_s:.1f} s  score {self.score:.2f}"
        )

    def as_audacity_label(self) -> str:
        """One line of a label track: what `File > Import > Labels` reads."""
        return f"{self.onset_s:.3f}\t{self.offset_s:.3f}\t{self.label}"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One recording to scan."""

    file: Location
    name: Path  # below the directory that was given, or its own
    problem: str | None = None  # why there is nothing to scan


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: what was found and, if it could not be read to its end, why."""

    given: Given
    found: tuple[Found, ...] = ()
    problem: str | None = None


def found(file: Location, episode: Episode) -> Found:
    """A closed episode, in seconds from the recording's first sample."""
    return Found(
        file=str(file),
        label=episode.label,
        onset_s=round(episode.pulses[0].onset_s, 3),
        offset_s=round(episode.pulses[-1].offset_s, 3),
        pulses=episode.count,
        score=round(episode.peak_score, 4),
    )


@contextmanager
def written(
    given: Iterable[Given], *, table: Path | None, labels: Path | None
) -> Iterator[Callable[[Scanned], None]]:
    """What has to be called with every answer, so that it is in the files that were asked for.

    Both are written as the answers come: a scan that is stopped leaves what it had found. Raises
    ConfigurationError, at the beginning where it can be known then. What is called raises
    NoLabelTrack for a recording with too long a name.
    """
    with ExitStack() as stack:
        writers: list[Callable[[Scanned], None]] = []
        if table is not None:
            writers.append(stack.enter_context(_table(table)))
        if labels is not None:
            writers.append(_label_tracks(labels, given))

        def write(scanned: Scanned) -> None:
            for writer in writers:
                writer(scanned)

        yield write


@contextmanager
def _table(path: Path) -> Iterator[Callable[[Scanned], None]]:
    with _told(path):
        _check_is_ours(path)
        file = path.open("w", newline="", encoding="utf-8", errors="surrogateescape")
    with file:
        rows = csv.DictWriter(file, Found.__struct_fields__, lineterminator="\n")
        rows.writeheader()

        def write(scanned: Scanned) -> None:
            with _told(path):
                rows.writerows(msgspec.to_builtins(one) for one in scanned.found)
                file.flush()

        yield write


def _check_is_ours(path: Path) -> None:
    """A recording that was given to --csv by mistake would be gone. Raises ConfigurationError."""
    if not path.is_file():
        return
    header = ",".join(Found.__struct_fields__).encode()
    with path.open("rb") as file:
        begins = file.read(len(header))
    if begins not in (b"", header):
        raise ConfigurationError(
            f"{path} is there already and is no table of a scan. Name another file with --csv."
        )


def _label_tracks(directory: Path, given: Iterable[Given]) -> Callable[[Scanned], None]:
    """Writes `directory`/NAME.txt for each recording; empty where nothing was found.

    An empty one takes the place of an older scan's. Raises ConfigurationError if two recordings
    would share one.
    """
    owners: dict[Path, Location] = {}
    for one in given:
        owner = owners.setdefault(one.name, one.file)
        if owner.absolute() != one.file.absolute():
            raise ConfigurationError(
                f"--labels: {owner} and {one.file} would both get {directory / one.name}.txt. "
                "Give the directory above both instead, or scan them apart."
            )
    with _told(directory):
        directory.mkdir(parents=True, exist_ok=True)

    def write(scanned: Scanned) -> None:
        if scanned.problem is not None and not scanned.found:
            return
        path = directory / scanned.given.name.with_name(f"{scanned.given.name.name}.txt")
        lines = (f"{one.as_audacity_label()}\n" for one in scanned.found)
        with _told(path), _named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(lines), encoding="utf-8")

    return write


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise NoLabelTrack(
            f"{path} cannot be written: {error.strerror}. Give the recording a shorter name."
        ) from None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Name another place, or make room."
        ) from None
