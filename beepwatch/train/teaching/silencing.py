"""From clips that were called wrong to vetoes that were found to silence them and nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from beepwatch.classify.heads import Head
from beepwatch.classify.taught import TaughtEngine, untaught
from beepwatch.decide.hindsight import WholeSound
from beepwatch.train.teaching.disguise import Sound
from beepwatch.train.teaching.grouping import FEWEST_OTHERS, Group, grouped, loners
from beepwatch.train.teaching.judged import Judged, alarms, as_example, named_events
from beepwatch.train.teaching.negatives import Bank
from beepwatch.train.teaching.vetoes import (
    Lesson,
    Made,
    Tones,
    fixed_tones,
    make_beeps,
    moving_tones,
    silenced,
)
from beepwatch.train.teaching.weighing import Alone, by_worth, silent_by, worth

MOST_VETOES = 20  # each costs a little of every second
MOST_CLIPS = 20  # that a veto is made of, the newest
MOST_CHOICES = 4  # of pitches that are tried together: each takes half a second
MOST_LOST = 0.05  # share of made-up beeps, put where a veto has its say or just beside


class Veto(msgspec.Struct, frozen=True, kw_only=True):
    """One that may go on the shelf, and the clips that it was made of."""

    head: Head
    events: tuple[int, ...]


class Silencing(msgspec.Struct, kw_only=True):
    """What came of it."""

    put: list[Veto] = []
    taken_away: list[str] = []
    learnt: set[int] = set()  # events
    told: list[str] = []
    refused: list[str] = []


class _Trial(msgspec.Struct, frozen=True, kw_only=True):
    tones: Tones
    head: Head
    same: float  # share of other devices' beeps at its pitches that it silences too
    silent: frozenset[int]  # events of the group
    problem: str  # what else it would cost, for a line; empty if hardly anything


class Silencer:
    """For one shipped label. `engine` has the heads that are in use."""

    def __init__(
        self,
        engine: TaughtEngine,
        label: str,
        right: Sequence[Judged],
        wrong: Sequence[Judged],
        *,
        bank: Bank | None,
        room: Sound | None,
    ) -> None:
        self._label = label
        self._engine = engine
        self._before = {head.name: head for head in engine.heads if head.kind == "veto"}
        self._bare = engine.with_heads([head for head in engine.heads if head.kind == "sound"])
        self._ears = {  # that know what they were asked before, whatever the veto
            one.event_id: WholeSound(one.pcm, untaught(engine)) for one in (*right, *wrong)
        }
        self._right = {one.event_id: one for one in right if self._is_told(one, self._bare)}
        examples = [(one, as_example(one, self._bare, label)) for one in wrong]
        self._wrong = {one.event_id: one for one, _ in examples}
        self._examples = {one.event_id: found for one, found in examples if found is not None}
        self._faint = {
            event for event in self._examples if not self._is_told(self._wrong[event], self._bare)
        }
        self._bank = bank
        self._room = room
        self._beeps: Made | None = None
        self._found = Silencing()

    def learn(self, stale: Iterable[str] = ()) -> Silencing:
        """Make anew what has something new, and what would silence a clip that is right.

        `stale` are the names of vetoes that were made for another network.
        """
        found = self._found
        found.learnt.update(one for one in self._wrong if one not in self._examples)
        due = {*self._contradicted(), *stale}
        groups = grouped(self._examples)
        together = loners(groups)
        for group in [one for one in groups if len(one.events) > 1][-MOST_VETOES:]:
            self._learn(group, due)
        if together is not None:
            self._learn(together, due)
        for group in [one for one in groups if len(one.events) == 1][-MOST_VETOES:]:
            if together is None or self._alarms_still(group.events[0]):
                self._learn(group, due)
        self._take_away(due)
        return found

    def _learn(self, group: Group, due: set[str]) -> None:
        used = [self._wrong[event].correction.used for event in group.events]
        if all(used) and group.name not in due:
            return  # learnt, or taken away again by somebody
        if len(self._vetoes()) >= MOST_VETOES and group.name not in self._vetoes():
            self._found.refused.append(
                f"{named_events(group.events)}: not learnt, there are {MOST_VETOES} of its kind "
                "already. Take one away: beepwatch teach --remove NAME."
            )
            return
        quiet = self._quiet(self._without(group), group.events)
        if group.name not in due and len(quiet) == len(group.events):
            self._found.learnt.update(group.events)  # by what is learnt of others
            return
        best, reason = self._best(group)
        if best is None:
            if self._quiet_before(group) == len(group.events):
                self._found.learnt.update(group.events)
            elif not group.moving:  # its clips get another chance, each for itself
                self._found.refused.append(f"{group.name} is not learnt: {reason}.")
            return
        due.discard(group.name)
        self._accept(group, best)

    def _accept(self, group: Group, head: Head) -> None:
        quiet = self._quiet(self._with(head), group.events)
        if group.moving:  # what still alarms is tried by itself
            group.events = quiet
        if head != self._before.get(group.name):
            self._found.put.append(Veto(head=head, events=tuple(group.events[-MOST_CLIPS:])))
            self._found.told.append(
                f"{group.name}: learnt from what you called wrong "
                f"({named_events(group.events)}); "
                f"{len(quiet)} of {len(group.events)} would be silent now."
            )
        self._found.learnt.update(group.events)
        self._engine = self._with(head)

    def _best(self, group: Group) -> tuple[Head | None, str]:
        """The best veto of a group that costs nothing; without one the reason, for a line."""
        examples = [self._examples[event] for event in group.events[-MOST_CLIPS:]]
        fixed = None if group.moving else fixed_tones(examples)
        moving = moving_tones(examples)
        kept = [as_example(one, self._bare, self._label) for one in self._right.values()]
        lesson = Lesson(
            examples,
            [one for one in kept if one is not None],
            self._bare,
            self._label,
            self._made(),
            pitches_hz=(fixed or moving).pitches_hz,
            bank=self._bank,
            room=self._room,
        )
        reason = "its clips would not be silent"
        least = max(self._quiet_before(group), 1)
        for trial in self._trials(group, lesson, fixed, moving, least):
            reason = trial.problem or reason
            if trial.problem or len(trial.silent) < least:
                continue
            expected = msgspec.structs.replace(
                trial.head.expected, examples=len(group.events), caught=len(trial.silent)
            )
            return msgspec.structs.replace(trial.head, expected=expected), ""
        return None, reason

    def _trials(
        self, group: Group, lesson: Lesson, fixed: Tones | None, moving: Tones, least: int
    ) -> Iterator[_Trial]:
        """The best choice of fixed pitches first; where none will do, what knows no pitch."""
        if fixed is not None:
            yield from self._of_pitches(group, lesson, fixed, least)
        if len(group.events) >= FEWEST_OTHERS:
            yield self._tried(group, lesson, moving)

    def _of_pitches(
        self, group: Group, lesson: Lesson, fixed: Tones, least: int
    ) -> Iterator[_Trial]:
        """First single pitches that cost other beeps, for the reason; then choices of those that do
        not, the best first, each weighed by what it costs as it is; at last these one by one.
        """
        single = {
            hz: self._tried(group, lesson, msgspec.structs.replace(fixed, pitches_hz=(hz,)))
            for hz in fixed.pitches_hz
        }
        yield from (one for one in single.values() if one.problem)
        alone = [
            Alone(pitch_hz=hz, same=one.same, silent=one.silent)
            for hz, one in single.items()
            if not one.problem
        ]
        alarming = set(group.events) - set(self._quiet(self._without(group), group.events))
        events = alarming or set(group.events)
        promising = [one for one in by_worth(alone, events) if len(silent_by(one)) >= least]
        found: list[tuple[float, _Trial]] = []
        for several in promising[:MOST_CHOICES]:
            if found and worth(several, events) <= max(one for one, _ in found):
                break
            pitches_hz = tuple(one.pitch_hz for one in several)
            tones = msgspec.structs.replace(fixed, pitches_hz=pitches_hz)
            trial = (
                single[pitches_hz[0]] if len(several) == 1 else self._tried(group, lesson, tones)
            )
            if trial.silent >= silent_by(several):  # no less than its pitches do one by one
                as_it_is = [msgspec.structs.replace(one, same=trial.same) for one in several]
                found.append((worth(as_it_is, events), trial))
        found.sort(key=lambda one: one[0], reverse=True)
        yield from (trial for _, trial in found)
        yield from (single[several[0].pitch_hz] for several in promising if len(several) == 1)

    def _tried(self, group: Group, lesson: Lesson, tones: Tones) -> _Trial:
        head, same = lesson.veto(group.name, tones)
        return _Trial(
            tones=tones,
            head=head,
            same=same,
            silent=frozenset(self._quiet(self._with(head), group.events)),
            problem=self._problem(head, tones),
        )

    def _problem(self, head: Head, tones: Tones) -> str:
        """What a veto would cost, for a line; empty if hardly anything."""
        engine = self._with(head)
        lost = [event for event, one in self._right.items() if not self._is_told(one, engine)]
        if lost:
            return f"it would silence {named_events(lost)} too, which you called right"
        made = self._made().checked
        silent = silenced(head, self._bare.with_heads([]), self._label, made, tones.beside)
        if silent > MOST_LOST * len(made):
            return f"it cannot be told from beeps: {silent} of {len(made)} would be silenced too"
        return ""

    def _contradicted(self) -> set[str]:
        """Vetoes in use that silence a clip which is right, as its newer verdict says."""
        found = set()
        for name, head in self._before.items():
            engine = self._bare.with_heads([head])
            if any(not self._is_told(one, engine) for one in self._right.values()):
                found.add(name)
        return found

    def _take_away(self, due: set[str]) -> None:
        contradicted = [name for name in self._contradicted() if name in due]
        for name in sorted(contradicted):
            self._found.taken_away.append(name)
            self._found.told.append(f"{name} is taken away: it silenced what you called right.")

    def _quiet_before(self, group: Group) -> int:
        head = self._before.get(group.name)
        return 0 if head is None else len(self._quiet(self._bare.with_heads([head]), group.events))

    def _quiet(self, engine: TaughtEngine, events: Iterable[int]) -> list[int]:
        return [one for one in events if not self._alarms_still(one, engine)]

    def _alarms_still(self, event: int, engine: TaughtEngine | None = None) -> bool:
        """One that is told only with the sound before its clip is silent when nothing is left."""
        engine = engine or self._engine
        if event in self._faint:
            return as_example(self._wrong[event], engine, self._label) is not None
        return self._is_told(self._wrong[event], engine)

    def _is_told(self, one: Judged, engine: TaughtEngine) -> bool:
        return alarms(engine, one.answers, self._label, self._ears[one.event_id])

    def _vetoes(self) -> Mapping[str, Head]:
        return {head.name: head for head in self._engine.heads if head.kind == "veto"}

    def _with(self, head: Head) -> TaughtEngine:
        others = [one for one in self._engine.heads if one.name != head.name]
        return self._engine.with_heads([*others, head])

    def _without(self, group: Group) -> TaughtEngine:
        return self._engine.with_heads(
            [one for one in self._engine.heads if one.name != group.name]
        )

    def _made(self) -> Made:
        if self._beeps is None:
            self._beeps = make_beeps(self._bare.with_heads([]), self._label)
        return self._beeps
