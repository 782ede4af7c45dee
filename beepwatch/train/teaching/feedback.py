"""From right and wrong, tapped on a phone, to heads that know better: `teach --from-feedback`.

What was called wrong of the shipped label becomes a veto. What was called right or wrong of a
taught sound goes into its head, made anew. Nothing goes on the shelf that was not tried before:
it must hear what was right, take no more of the bank's events for its own, and be silent where it
was wrong. What does not is refused, with one line, and all stays as it was.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from numpy.typing import NDArray

from beepwatch.classify.bundle import Bundle, find_bundle, load_bundle
from beepwatch.classify.engines import open_engine
from beepwatch.classify.heads import Head
from beepwatch.classify.shelf import Shelf
from beepwatch.classify.taught import TaughtEngine, unusable_because, usable_heads
from beepwatch.errors import BeepwatchError, ModelError, UnreadableAudio
from beepwatch.messages import Verdict
from beepwatch.sections import Config
from beepwatch.store.corrections import Correction, corrections, mark_used
from beepwatch.store.database import FILE_NAME, Database
from beepwatch.train.teaching.examples import Example, NoBeepFound, find_example
from beepwatch.train.teaching.judged import Judged, as_example, read_judged
from beepwatch.train.teaching.lessons import Say, School
from beepwatch.train.teaching.relearning import Relearning, Relearnt
from beepwatch.train.teaching.silencing import Silencer
from beepwatch.wording import counted

MOST_CLIPS = 200  # of a label, the newest


class Outcome(msgspec.Struct, kw_only=True):
    """What was learnt, what was not and why; one line each."""

    told: list[str] = []
    refused: list[str] = []
    noted: int = 0  # verdicts that were new, and are learnt or asked for no change
    known: int = 0  # verdicts that were learnt before

    @property
    def summary(self) -> str:
        """What it came to, in one line."""
        if self.told or self.refused:
            return " ".join([*self.told, *self.refused])
        if self.noted:
            return f"{counted(self.noted, 'new verdict')} noted; nothing has to be otherwise."
        if self.known:
            return f"nothing new to learn: {counted(self.known, 'verdict')} learnt before."
        return "nothing to learn: nobody has tapped right or wrong under an alert yet."


def learn(config: Config, now: datetime, say: Say) -> Outcome:
    """Learn for the daemon that is configured so, whether or not it runs.

    Raises ModelError for the shipped model, StoreError for the state directory.
    """
    directory = config.store.path
    if not (directory / FILE_NAME).exists():
        return Outcome()
    bundle = load_bundle(find_bundle(config.model.bundle))
    shelf = Shelf(directory)
    school = School(bundle, open_engine(bundle), shelf, say)
    database = Database(directory)
    try:
        while True:
            with contextlib.suppress(TaughtMeanwhile):
                return Feedback(school, bundle, shelf, database).learn(now)
    finally:
        database.close()


class TaughtMeanwhile(BeepwatchError):
    """What was learnt was compared with a shelf that is another one by now."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A head that goes on the shelf."""

    head: Head
    recordings: Sequence[NDArray] | None  # type: ignore[type-arg]  # int16; None: those of before


class Feedback:
    """One run over everything that somebody has judged."""

    def __init__(self, school: School, bundle: Bundle, shelf: Shelf, database: Database) -> None:
        self._school = school
        self._shelf = shelf
        self._database = database
        self._there = shelf.digests()
        labels, model_id = bundle.info.labels, bundle.info.model_id
        heads, _ = usable_heads(shelf, model_id, labels)
        self._labels = labels
        self._engine = TaughtEngine(school.engine, bundle.info.thresholds, heads)
        self._outcome = Outcome()
        self._changes: list[Change] = []
        self._taken_away: list[str] = []
        self._used: list[Correction] = []

    def learn(self, now: datetime) -> Outcome:
        """Learn what is new, put it on the shelf, and note that it is learnt.

        Asked again without a new tap it changes nothing. Raises StoreError, and TaughtMeanwhile if
        somebody else put something on the shelf; nothing has changed then.
        """
        everything = corrections(self._database)
        new = {one.label for one in everything if not one.used}
        self._outcome.known = sum(one.used for one in everything)
        stale = self._stale_vetoes()
        for label in self._labels:
            if label in new or stale:
                self._silence(label, [one for one in everything if one.label == label], stale)
        for head in self._engine.heads:
            if head.kind == "sound" and head.name in new:
                self._relearn(head, [one for one in everything if one.label == head.name])
        self._drop_unknown(everything)
        if self._shelf.digests() != self._there:
            raise TaughtMeanwhile("something was taught meanwhile. Learn from the taps again.")
        for change in self._changes:
            self._shelf.put(change.head, now, change.recordings)
        for name in self._taken_away:
            self._shelf.remove(name)
        mark_used(self._database, self._used, now)
        self._outcome.noted = len(self._used)
        return self._outcome

    def _silence(self, label: str, judged: Sequence[Correction], stale: Sequence[str]) -> None:
        clips = self._read(judged)
        silencer = Silencer(
            self._engine,
            label,
            _of(clips, Verdict.RIGHT),
            _of(clips, Verdict.WRONG),
            bank=self._school.bank(),
            room=self._school.room(),
        )
        found = silencer.learn(stale)
        by_event = {one.event_id: one for one in clips}
        for veto in found.put:
            pcm = [by_event[event].pcm for event in veto.events]
            self._changes.append(Change(head=veto.head, recordings=pcm))
        self._taken_away += found.taken_away
        self._outcome.told += found.told
        self._outcome.refused += found.refused
        learnt = [one for one in clips if one.event_id in found.learnt]
        self._use([*learnt, *_of(clips, Verdict.RIGHT)])

    def _relearn(self, head: Head, judged: Sequence[Correction]) -> None:
        clips = self._read(judged)
        if not any(not one.correction.used for one in clips):
            return
        try:
            relearnt = self._made_anew(head, clips)
        except BeepwatchError as error:
            self._outcome.refused.append(f"{head.name} stays as it was: {error}")
            return
        if worse := relearnt.after.is_worse_than(relearnt.before):
            self._outcome.refused.append(f"{head.name} stays as it was: {worse}.")
            return
        self._use(clips)
        if relearnt.head == head:
            return
        self._changes.append(Change(head=relearnt.head, recordings=None))
        right, wrong = (len(_of(clips, verdict)) for verdict in (Verdict.RIGHT, Verdict.WRONG))
        self._outcome.told.append(
            f"{head.name}: learnt from {right} right and {wrong} wrong; it would take "
            f"{relearnt.after.wrong} of these wrong ones ({relearnt.before.wrong} before)."
        )

    def _made_anew(self, head: Head, clips: Sequence[Judged]) -> Relearnt:
        examples = self._school.examples(head.name)
        if not examples:
            raise ModelError("it has no examples to learn from. Teach it again.")
        relearning = Relearning(
            examples,
            self._right_examples(clips),
            [
                found
                for one in _of(clips, Verdict.WRONG)
                if (found := as_example(one, self._engine, head.name)) is not None
            ],
            self._school.engine,
            bank=self._school.bank(),
            room=self._school.room(),
        )
        return relearning.relearn(head, self._school.others(head.name))

    def _right_examples(self, clips: Sequence[Judged]) -> list[Example]:
        found: list[Example] = []
        for one in _of(clips, Verdict.RIGHT):
            text = f"the clip of event {one.event_id}"
            try:
                found.append(find_example(text, one.pcm, self._school.engine))
            except NoBeepFound:
                continue  # too faint to be an example of anything
        return found

    def _read(self, judged: Sequence[Correction]) -> list[Judged]:
        found: list[Judged] = []
        for one in judged[-MOST_CLIPS:]:
            try:
                found.append(read_judged(one, self._school.engine))
            except UnreadableAudio as error:
                self._outcome.refused.append(f"event {one.event_id} was left out: {error}")
        return found

    def _use(self, clips: Sequence[Judged]) -> None:
        self._used += [one.correction for one in clips if not one.correction.used]

    def _drop_unknown(self, everything: Sequence[Correction]) -> None:
        """What is taught no more has nothing to learn."""
        known = {*self._labels, *self._shelf.digests()}
        self._used += [one for one in everything if not one.used and one.label not in known]

    def _stale_vetoes(self) -> list[str]:
        """Of another network: the clips are here, so they can be made for this one."""
        found: list[str] = []
        for name in self._shelf.digests():
            try:
                head = self._shelf.head(name)
            except ModelError:
                continue
            model_id = self._school.engine.model_id
            if head.kind == "veto" and unusable_because(head, model_id, self._labels):
                found.append(name)
        return found


def _of(clips: Sequence[Judged], verdict: Verdict) -> list[Judged]:
    return [one for one in clips if one.correction.verdict is verdict]
