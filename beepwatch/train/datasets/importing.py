"""`beepwatch dataset import`: recordings from anywhere into a data set's folders, by label.

What is there is never written over: a clip is drafted beside, and gets its name only if that is
free, or if the very same clip has it already. So an import that was interrupted, or is run again,
goes on. Sources are only read.
"""

import errno
import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from beepwatch.capture.files import AUDIO_SUFFIXES
from beepwatch.errors import ConfigurationError, DiskFull, UnreadableAudio
from beepwatch.train.datasets.catalogue import Catalogue, check_text, seconds_cell, with_cells
from beepwatch.train.datasets.containers import container_of, lacking
from beepwatch.train.datasets.cutting import (
    Cut,
    Piece,
    Stretch,
    stretches_between_silences,
    stretches_of_length,
    write_pieces,
)
from beepwatch.train.datasets.gathering import Job, Manner, check_is_there, folder_of, gather
from beepwatch.train.datasets.inspecting import digest_of
from beepwatch.train.datasets.media import Media, media_of
from beepwatch.train.datasets.publishing import publish
from beepwatch.train.datasets.receipts import Receipts
from beepwatch.train.datasets.spreading import Lost, spread
from beepwatch.train.datasets.surveying import FOLDER
from beepwatch.validation import shortened
from beepwatch.wording import counted

_ROWS_AT_ONCE = 2_000
_FULL = "the disk is full"
Cells = dict[str, str]


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that was brought in."""

    source: str
    clips: tuple[Cells, ...]
    new: int  # of them; the others were there
    left_out_s: float  # of rests and silences
    problem: str = ""  # why not all of it


class Imported(msgspec.Struct, kw_only=True):
    """What an import did."""

    recordings: int = 0
    clips: int = 0
    new: int = 0
    left_out_s: float = 0.0
    left_out: int = 0  # recordings of which the layout or the table says nothing
    without_file: tuple[str, ...] = ()  # what the table names and no source has
    archives: tuple[str, ...] = ()  # that lie in a source, and are not opened
    problems: list[str] = []


def import_recordings(
    sources: Sequence[Path],
    out: Path,
    manner: Manner,
    *,
    workers: int = 1,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Imported:
    """Bring recordings into a data set and list them in its table.

    A recording or an archive that cannot be read costs a line. Raises ConfigurationError for what
    was asked for wrongly, CatalogueError, DiskFull.
    """
    check_text({"label": manner.label, "licence": manner.licence})
    for source in sources:  # before anything is made
        check_is_there(source)
    imported = Imported()
    rows: list[Cells] = []
    catalogue = Catalogue(out)
    with _full_disk_told(), _workshop(out) as place:
        catalogue.table()  # one that is none is said before anything is written
        gathered = gather(sources, out, place, manner)
        imported.left_out = gathered.left_out
        imported.without_file = gathered.without_file
        imported.archives = gathered.archives
        imported.problems += gathered.problems
        with Receipts(out, manner) as receipts:
            for number, one in enumerate(
                _all_brought(gathered.jobs, out, place, manner, workers, receipts), start=1
            ):
                if isinstance(one, Lost):
                    if one.problem.startswith(_FULL):  # for the table too; the receipts are there
                        raise DiskFull(one.problem)
                    imported.problems.append(_line(one.item, one.problem))
                else:
                    _add(imported, one)
                    rows += one.clips
                if len(rows) >= _ROWS_AT_ONCE:
                    _list(catalogue, rows)
                    rows = []
                report(number, len(gathered.jobs))
        _list(catalogue, rows)
    return imported


def _list(catalogue: Catalogue, rows: Sequence[Cells]) -> None:
    """A table that says it all already is not written again."""
    if rows:
        catalogue.revise(lambda table: with_cells(table, rows))


def _all_brought(
    jobs: Sequence[Job], out: Path, place: Path, manner: Manner, workers: int, receipts: Receipts
) -> Iterator[Brought | Lost[Job]]:
    """One for each job, in order; those that were brought before are not brought again."""
    before = {job.source: clips for job in jobs if (clips := receipts.find(job)) is not None}
    new = spread(
        partial(bring, out=out, place=place, manner=manner),
        (job for job in jobs if job.source not in before),
        workers,
    )
    for job in jobs:
        if job.source in before:
            yield Brought(source=job.source, clips=before[job.source], new=0, left_out_s=0.0)
            continue
        one = next(new)
        if not isinstance(one, Lost) and not one.problem:
            receipts.keep(job, one.clips)
        yield one


def _add(imported: Imported, one: Brought) -> None:
    imported.recordings += 1
    imported.clips += len(one.clips)
    imported.new += one.new
    imported.left_out_s += one.left_out_s
    if one.problem:
        imported.problems.append(one.problem)


def _line(job: Job, problem: str) -> str:
    """A problem under the name that the recording was given by, not where it was unpacked."""
    for place in (f"{job.file}: ", f"{job.file} "):
        problem = problem.removeprefix(place)
    return f"{job.source}: {problem}"


@contextmanager
def _workshop(out: Path) -> Generator[Path]:
    """A folder for drafts and what comes out of archives, gone afterwards; one import at a time."""
    folder = out / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "importing.lock").open("w")
    except OSError as error:
        raise ConfigurationError(
            f"{out} cannot be written to: {error.strerror}. Name another folder with --out."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another import is writing to {out}. Wait until it is done."
            ) from None
        for left in folder.glob("importing-*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        place = Path(tempfile.mkdtemp(prefix="importing-", dir=folder))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def bring(job: Job, *, out: Path, place: Path, manner: Manner) -> Brought:
    """One recording into the data set. Raises UnreadableAudio, DiskFull, OSError."""
    with _full_disk_told():
        return _brought(job, out, place, manner)


@contextmanager
def _full_disk_told() -> Iterator[None]:
    """Raises DiskFull where there is no room."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{_FULL}. Free some space and import again.") from error
        raise


def _brought(job: Job, out: Path, place: Path, manner: Manner) -> Brought:
    if job.file.stat().st_size == 0:
        raise UnreadableAudio("is empty (0 bytes). Record or copy it again.")
    media = media_of(job.file, container_of(job.file))
    importing = _Importing(job, out, manner, media)
    draft = place / hashlib.sha256(job.source.encode()).hexdigest()[:24]
    cut = manner.cut
    whole = not (cut.length_ms or cut.at_silence or job.described.parts is not None)
    if whole and manner.channel == "keep" and job.file.suffix.lower() in AUDIO_SUFFIXES:
        return importing.copy(draft)
    return importing.cut(draft, _stretches(job, cut, media))


def _stretches(job: Job, cut: Cut, media: Media) -> Iterator[Stretch]:
    if job.described.parts is not None:
        stretches = [
            Stretch(
                start=round(part.start_s * media.rate_hz),
                end=round(part.end_s * media.rate_hz),
                label=part.label,
            )
            for part in job.described.parts
        ]
        return iter(sorted(stretches, key=lambda one: (one.start, one.end)))
    if cut.at_silence:
        return iter(stretches_between_silences(job.file, cut))
    if cut.length_ms:
        return stretches_of_length(media.rate_hz, cut.length_ms)
    return iter([Stretch(start=0, end=1 << 62)])


class _Importing:
    """The clips of one recording as they get their names."""

    def __init__(self, job: Job, out: Path, manner: Manner, media: Media) -> None:
        self._job = job
        self._out = out
        self._manner = manner
        self._media = media
        self._clips: list[Cells] = []
        self._new = 0
        self._kept_frames = 0
        self._session = str(PurePosixPath(job.source).with_suffix(""))

    def copy(self, draft: Path) -> Brought:
        """As it is."""
        shutil.copyfile(self._job.file, draft)
        media = self._media
        cells = {
            "rate_hz": str(media.rate_hz),
            "channels": str(media.channels),
            "bits": str(media.bits or ""),
        }
        self._publish(draft, self._job.described.label, self._job.file.suffix.lower(), cells)
        return self._brought(0.0, "")

    def cut(self, draft: Path, stretches: Iterator[Stretch]) -> Brought:
        """In pieces, or decoded to be mono or WAV."""
        frames, problem = 0, ""
        try:
            frames = write_pieces(
                self._job.file, stretches, self._manner.channel, self._media, draft, self._take
            )
        except UnreadableAudio as error:
            if not self._clips:
                raise
            problem = _line(self._job, f"{error} What comes before was imported.")
        else:
            problem = self._cut_short() or self._behind_the_end(
                frames / max(1, self._media.rate_hz)
            )
        overlapping = self._job.described.parts is not None
        left = 0 if overlapping or problem else max(0, frames - self._kept_frames)
        return self._brought(left / max(1, self._media.rate_hz), problem)

    def _cut_short(self) -> str:
        """A line about what is missing where a decoder passes over it; no clip will tell of it."""
        lacks = lacking(self._job.file, container_of(self._job.file))
        return (
            _line(
                self._job,
                f"is cut short: {lacks}. Record or copy it again. What comes before was imported.",
            )
            if lacks
            else ""
        )

    def _behind_the_end(self, length_s: float) -> str:
        """A line about labels of a track that none of the sound belongs to, if there are any."""
        behind = [part for part in self._job.described.parts or () if part.start_s >= length_s]
        if not behind:
            return ""
        first = behind[0]
        return _line(
            self._job,
            f"{counted(len(behind), 'label')} behind its end at {length_s:.2f} s, "
            f"{shortened(first.label)!r} at {first.start_s:.2f} s for one. Is the track of it?",
        )

    def _take(self, piece: Piece) -> None:
        cut = self._manner.cut
        wanted = piece.stretch.end - piece.stretch.start
        short = bool(cut.length_ms) and piece.frames < wanted and not cut.keep_rest
        if piece.frames == 0 or (short and self._job.described.parts is None):
            piece.file.unlink()
            return
        if piece.channel in (0, 1) or isinstance(self._manner.channel, int):
            self._kept_frames += piece.frames
        cells = {
            "duration_s": seconds_cell(piece.frames / piece.rate_hz),
            "rate_hz": str(piece.rate_hz),
            "channels": str(piece.channels),
            "bits": str(media_of(piece.file, "wav").bits or ""),
            "start_s": seconds_cell(piece.stretch.start / piece.rate_hz),
            "channel": str(piece.channel or ""),
        }
        of_parts = cut.length_ms or cut.at_silence or self._job.described.parts is not None
        marks = f".{piece.number:04d}" if of_parts else ""
        marks += f".ch{piece.channel}" if piece.channel else ""
        label = piece.stretch.label or self._job.described.label
        self._publish(piece.file, label, f"{marks}.wav", cells)

    def _publish(self, draft: Path, label: str, ending: str, cells: Cells) -> None:
        digest = digest_of(draft)
        folder = self._out / folder_of(label)
        folder.mkdir(exist_ok=True)
        path, is_new = publish(draft, folder, self._job.stem, ending, digest)
        self._new += is_new
        described = {name: cell for name, cell in self._job.described.cells.items() if cell}
        self._clips.append(
            {
                "session": self._session,
                **described,
                **cells,
                "path": path.relative_to(self._out).as_posix(),
                "label": label,
                "sha256": digest,
                "licence": described.get("licence", "") or self._manner.licence,
                "source": self._job.source,
                "codec": self._media.codec,
                "sample_format": self._media.sample_format,
            }
        )

    def _brought(self, left_out_s: float, problem: str) -> Brought:
        return Brought(
            source=self._job.source,
            clips=tuple(self._clips),
            new=self._new,
            left_out_s=left_out_s,
            problem=problem,
        )
