"""Features of a data set: which rows there are already, which have to be made, and the store.

Rows are known by what decides them: the recording's content, the recipe and the code. So only
what is new is made, whichever of these changed, and an interrupted run goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from beepwatch.clock import Clock, SystemClock
from beepwatch.errors import ConfigurationError, DiskFull, UnreadableAudio
from beepwatch.train.datasets.crossing import refuse_mixing_across
from beepwatch.train.datasets.remote import (
    Location,
    Remote,
    address_of,
)
from beepwatch.train.featuring.crew import Crew, Report
from beepwatch.train.featuring.devices import opened
from beepwatch.train.featuring.listing import Listed, Listing, list_recordings
from beepwatch.train.featuring.provenance import PROCESSOR, versions_of
from beepwatch.train.featuring.recipe import read_feature_recipe
from beepwatch.train.featuring.sound import ffmpeg_version
from beepwatch.train.featuring.spectra import column_names
from beepwatch.train.featuring.stages import check_columns
from beepwatch.train.featuring.store import (
    Draft,
    Entry,
    FeatureStore,
    Journal,
    Place,
    index_text,
    inputs_text,
)
from beepwatch.train.featuring.summary import meta_of
from beepwatch.train.featuring.work import (
    Done,
    Job,
    Made,
    Plan,
    Stamp,
    Version,
    key_of,
    stamp_of,
    stamp_of_mark,
    sum_up,
)

# A file that was written so shortly before can be written again without looking different.
_TOO_FRESH_S = 2.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has come to."""

    recordings: int  # in the store
    rows: int  # recordings and their augmented versions
    made: int  # of the rows, in this run
    frames: int
    columns: int
    left_out: int  # recordings that the quarantine names
    problems: tuple[str, ...]  # a line for each other recording that is not in it
    written: bool  # False: everything was as it had to be


def extract(
    recipe: Path,
    data: Location,
    out: Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    device: str = PROCESSOR,
    report: Report = lambda what, done, of: None,
    say: Callable[[str], None] = lambda line: None,
    clock: Clock | None = None,
) -> Outcome:
    """Bring the feature store `out` up to what the recipe makes of the data set.

    A `device` that cannot be used is said, and the processor does it. Raises ConfigurationError,
    FeatureStoreError, SpreadError, CatalogueError, DiskFull, DeviceError, and UnreadableAudio if
    there is not a single recording to be read.
    """
    if cluster is not None and device != PROCESSOR:
        raise ConfigurationError("--dask and --device exclude one another. Give one.")
    followed = read_feature_recipe(recipe)
    check_columns(followed)
    listing = list_recordings(data)
    splits = {one.path: one.split for one in listing.recordings}
    refuse_mixing_across(splits, followed.augment, followed.is_augmented)
    store = FeatureStore(out)
    now_s = (clock or SystemClock()).utc().timestamp()
    with store.held(), opened(device, followed, say) as (batches, name):
        try:
            versions = versions_of(followed, data, name)
        except OSError as error:
            raise ConfigurationError(
                f"{recipe}: {error.filename} is to be mixed in and cannot be read: "
                f"{error.strerror}."
            ) from error
        plan = Plan(
            recipe=followed,
            versions=versions,
            data=address_of(data),
            into=str(store.rows),
            device=name,
        )
        run = _Run(store, plan, data, listing, int((now_s - _TOO_FRESH_S) * 1e9))
        crew = Crew(workers, cluster, batches, report)
        try:
            run.look(crew, here=cluster is None)
            run.make(crew)
        except OSError as error:
            raise DiskFull(f"{out} cannot be written: {error.strerror}.") from error
        return run.finish()


class _Run:
    """One run over a data set."""

    def __init__(
        self, store: FeatureStore, plan: Plan, data: Location, listing: Listing, fresh_ns: int
    ) -> None:
        self._data = data
        self._marks = data.below() if isinstance(data, Remote) else {}  # all by one question
        self._store = store
        self._plan = plan
        self._listing = listing
        self._listed = listing.recordings
        self._fresh_ns = fresh_ns
        self._columns = column_names(plan.recipe)
        self._places: dict[str, Place] = {}  # by key
        self._keys_before: list[str] = []  # of the store as it is
        self._seen: dict[str, tuple[Stamp, str]] = {}
        self._sha256: dict[str, str] = {}  # by path, of recordings as they are now
        self._problems: dict[str, str] = {}
        self._made = 0

    def look(self, crew: Crew, *, here: bool) -> None:
        """Find out which rows there are and what has become of the recordings.

        Of those who decode elsewhere nobody knows what they decode with.
        """
        self._look_into_store(here=here)
        for done in self._store.journal(len(self._columns)):
            kept = tuple(made for made in done.made if not here or _is_read_so(made.decoder))
            self._learn(msgspec.structs.replace(done, made=kept))
        before, self._seen, self._sha256 = self._seen, {}, {}
        unknown: list[Job] = []
        for one in self._listed:
            stamp = self._stamp(one.path)
            if stamp is not None and one.path in before and before[one.path][0] == stamp:
                self._seen[one.path] = before[one.path]
                self._sha256[one.path] = before[one.path][1]
            elif stamp is not None:
                unknown.append(Job(path=one.path))
        if self._places and unknown:  # what only moved or was touched need not be made again
            for answer in crew.done("reading", sum_up, self._plan, unknown):
                for done in answer:
                    self._learn(done)

    def _look_into_store(self, *, here: bool) -> None:
        meta = self._store.meta()
        if meta is None:
            return
        digests = meta["rows"]
        self._seen = self._store.seen()
        for entry in self._store.entries(digests):
            version = Version(name=entry.augmentation, place=-1, digest=digests[entry.augmentation])
            key = key_of(entry.sha256, version)
            self._keys_before.append(key)
            if here and not _is_read_so(entry.decoder):
                continue
            self._places.setdefault(key, _place_of(entry, key))
        wanted = {version.digest for version in self._plan.versions}
        if not wanted & set(digests.values()):
            self._places.clear()

    def _stamp(self, path: str) -> Stamp | None:
        file = self._data / path
        try:
            return stamp_of_mark(self._marks[path]) if path in self._marks else stamp_of(file)
        except OSError as error:
            reason = (error.strerror or "").lower()
            self._problems[path] = f"{file} cannot be read: {reason}. Mend the table or the file."
        except UnreadableAudio as error:
            self._problems[path] = str(error)
        return None

    def _learn(self, done: Done) -> None:
        """What a job, of this run or of an interrupted one, has found."""
        if done.disk_full:
            raise DiskFull(f"{done.problem} What is made so far is kept.")
        if done.problem is not None:
            self._problems[done.path] = done.problem
            return
        self._sha256[done.path] = done.sha256
        if done.stamp is not None:
            self._seen[done.path] = done.stamp, done.sha256
        for made in done.made:
            bare = msgspec.structs.replace(made, rows=None)
            self._places[made.key] = Place(made=bare, first_frame=None)

    def make(self, crew: Crew) -> None:
        """Make the rows that are missing."""
        jobs = list(self._jobs())
        if not jobs:
            return
        with self._store.journalling() as journal:
            for answer in crew.made(self._plan, jobs):
                self._take(answer, journal)

    def _take(self, answer: Sequence[Done], journal: Journal) -> None:
        trusted = [self._trusted(done) for done in answer]
        journal.add(done for done in trusted if done.problem is None)
        for done in trusted:
            self._learn(done)
            self._made += len(done.made)

    def _trusted(self, done: Done) -> Done:
        """Without the stamp if it may stay the same when the file does not."""
        if done.stamp is None or done.stamp.changed_ns < self._fresh_ns:
            return done
        return msgspec.structs.replace(done, stamp=None)

    def _jobs(self) -> Iterator[Job]:
        for one in self._listed:
            if one.path in self._problems:
                continue
            sha256 = self._sha256.get(one.path)
            versions = tuple(
                version.name
                for version in self._versions(one)
                if sha256 is None or key_of(sha256, version) not in self._places
            )
            if versions:
                yield Job(path=one.path, sha256=sha256, versions=versions)

    def _versions(self, one: Listed) -> Iterator[Version]:
        augmented = self._plan.recipe.is_augmented(one.split)
        return (version for version in self._plan.versions if version.place < 0 or augmented)

    def finish(self) -> Outcome:
        """Put the store together, unless it is what it has to be."""
        named = (self._problems[path] for path in sorted(self._problems))
        problems = [*self._listing.problems, *named]
        if len(self._problems) == len(self._listed):
            raise UnreadableAudio(
                problems[0]
                if len(problems) == 1
                else f"none of {len(problems)} recordings can be used. The first: {problems[0]}"
            )
        entries, keys = self._entries()
        index = index_text(entries)
        fresh = {path: at for path, at in self._seen.items() if at[0].changed_ns < self._fresh_ns}
        draft = Draft(
            index=index,
            inputs=inputs_text(fresh),
            meta=meta_of(self._plan, entries, index, sorted(self._problems)),
            keys=tuple(keys),
            columns=len(self._columns),
        )
        written = not self._store.equals(draft)
        if written:
            self._write(draft)
        self._store.tidy()
        return Outcome(
            recordings=len(self._listed) - len(self._problems),
            rows=len(entries),
            made=self._made,
            frames=sum(entry.frames for entry in entries),
            columns=len(self._columns),
            left_out=self._listing.left_out,
            problems=tuple(problems),
            written=written,
        )

    def _write(self, draft: Draft) -> None:
        # By another decoder a key's rows are others.
        there = all(self._places[key].first_frame is not None for key in draft.keys)
        same_rows = there and self._keys_before == list(draft.keys)
        try:
            self._store.write(draft, self._places, same_rows=same_rows)
        except OSError as error:
            raise DiskFull(
                f"{self._store.directory} cannot be written: {error.strerror}. "
                "Make room, and run this again: what is made so far is kept."
            ) from error

    def _entries(self) -> tuple[list[Entry], list[str]]:
        entries: list[Entry] = []
        keys: list[str] = []
        first = 0
        for one in self._listed:
            if one.path in self._problems:
                continue
            sha256 = self._sha256[one.path]
            for version in self._versions(one):
                keys.append(key_of(sha256, version))
                made = self._places[keys[-1]].made
                entries.append(_entry_of(one, version, made, first, sha256))
                first += made.frames
        return entries, keys


def _entry_of(one: Listed, version: Version, made: Made, first: int, sha256: str) -> Entry:
    return Entry(
        path=one.path,
        label=one.label,
        session=one.session,
        device=one.device,
        split=one.split,
        augmentation=version.name,
        parent=one.path if version.name else "",
        first_frame=first,
        frames=made.frames,
        sha256=sha256,
        rate_hz=made.rate_hz,
        duration_s=made.duration_s,
        decoder=made.decoder,
    )


def _is_read_so(decoder: str) -> bool:
    """Whether a recording would be decoded by the same again; if there is none, it was enough."""
    return not decoder or ffmpeg_version() in ("", decoder)


def _place_of(entry: Entry, key: str) -> Place:
    made = Made(
        key=key,
        frames=entry.frames,
        duration_s=entry.duration_s,
        rate_hz=entry.rate_hz,
        decoder=entry.decoder,
    )
    return Place(made=made, first_frame=entry.first_frame)
