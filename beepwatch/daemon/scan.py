"""`beepwatch scan`: recordings instead of a microphone, every frame scored once."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path

import msgspec

from beepwatch.capture.files import AUDIO_SUFFIXES
from beepwatch.classify.bundle import load_bundle, shipped_bundles
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import open_taught
from beepwatch.daemon.crew import Crew, Hearing
from beepwatch.daemon.found import Given, Scanned
from beepwatch.sections import Model
from beepwatch.train.datasets.remote import Location, Remote, recordings_below
from beepwatch.train.datasets.walking import files_below

_STANDARD_ERROR = 2  # its file descriptor


def recordings(paths: Iterable[Location]) -> list[Given]:
    """The files as given, and what is audio by its name below the directories, sorted.

    Raises UnreadableAudio and ConfigurationError for a URL that nobody can look below.
    """
    given: list[Given] = []
    for path in paths:
        if not _is_directory(path):
            given.append(Given(file=path, name=Path(path.name)))
            continue
        below = list(_below(path))
        if not below:
            problem = f"{path} holds no audio files. Name a file, or another directory."
            given.append(Given(file=path, name=Path(path.name), problem=problem))
        given += below
    return given


def _below(directory: Location) -> Iterator[Given]:
    if isinstance(directory, Remote):
        for name in recordings_below(directory):
            yield Given(file=directory / name, name=Path(name))
        return
    closed: dict[Path, str] = {}  # what is told of folders that cannot be looked into
    files = files_below(
        directory,
        closed.__setitem__,
        lambda file: file.suffix.lower() in AUDIO_SUFFIXES,
        hidden=True,
    )
    for folder, problem in sorted(closed.items()):
        yield Given(file=folder, name=folder.relative_to(directory), problem=problem)
    for file in files:
        if file.is_file():
            yield Given(file=file, name=file.relative_to(directory))


def _is_directory(path: Location) -> bool:
    """Of what nobody can tell whether it is one, who reads it says what is wrong."""
    try:
        return path.is_dir()
    except OSError:
        return False


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def scan(
    given: Sequence[Given],
    *,
    bundle: Path,
    model: Model,
    shelf: Shelf,
    workers: int,
    say: Callable[[str], None],
    cluster: str | None = None,
) -> Iterator[Scanned]:
    """Scan recordings in order; one that cannot be read costs one line. Raises ModelError.

    A taught sound that cannot be used is said, and the others are looked for. With the address of
    a Dask scheduler as `cluster` its workers scan instead; raises SpreadError if they cannot.
    """
    engine, problems = open_taught(load_bundle(bundle), model.runtime, shelf)
    for problem in problems:
        say(problem)
    for one in given:
        if one.problem is not None:
            yield Scanned(given=one, problem=one.problem)
    files = [one for one in given if one.problem is None]
    if cluster is not None:
        from beepwatch.daemon.cluster import Order, scan_on_cluster

        order = Order(model=_from_anywhere(model), model_id=engine.model_id, heads=engine.heads)
        yield from scan_on_cluster(order, files, cluster)
        return
    yield from Crew(files, lambda one: Hearing(one, engine, engine.thresholds)).answers(workers)


def _from_anywhere(model: Model) -> Model:
    """With a bundle's directory that is the same wherever one stands."""
    directory = Path(model.bundle).expanduser()
    if model.bundle in shipped_bundles() or not directory.is_dir():
        return model
    return msgspec.structs.replace(model, bundle=str(directory.absolute()))


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Only this program writes to standard error, so that a damaged file costs one line.

    libmpg123, inside libsndfile, notes what it skips straight to file descriptor 2, and there is
    no switch for it. In here that descriptor leads nowhere, and `sys.stderr` to a copy of it.
    """
    with ExitStack() as stack:
        if _is_standard_error(sys.stderr):
            own = os.fdopen(os.dup(_STANDARD_ERROR), "w", buffering=1, errors="backslashreplace")
            stack.enter_context(redirect_stderr(stack.enter_context(own)))
        kept = os.dup(_STANDARD_ERROR)
        stack.callback(os.close, kept)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, nowhere)
        os.dup2(nowhere, _STANDARD_ERROR)
        stack.callback(os.dup2, kept, _STANDARD_ERROR)
        yield


def _is_standard_error(stream: object) -> bool:
    try:
        return bool(stream.fileno() == _STANDARD_ERROR)  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # replaced by something that is no file
        return False
