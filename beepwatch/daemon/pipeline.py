"""From windows to what is to be written: the stations of one process, in their order.

No I/O and no clock: the daemon's classifier, `scan` and the benchmarks run the same chain.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec
import numpy as np

from beepwatch.classify.engines import Engine
from beepwatch.classify.taught import untaught
from beepwatch.daemon.resuming import Earlier, EpisodeKey
from beepwatch.decide import deadman
from beepwatch.decide.episodes import Change, Closed, Counted, Episode, EpisodeTracker
from beepwatch.decide.hindsight import Cut, Hindsight, Span
from beepwatch.decide.pulses import Pulse
from beepwatch.decide.rehearing import Network
from beepwatch.decide.rules import Hold, RuleMachine, Tell
from beepwatch.messages import Alert, AlertKind, Clip, Event, Quiet, Scores, Watch, Window
from beepwatch.sections import Rule
from beepwatch.store.trail import AudioTrail
from beepwatch.store.wishes import absence_key

CLIP_MARGIN_S = 1.0  # before the first pulse and after the last
LONGEST_CLIP_S = 30.0
TRAIL_S = 45.0  # the longest clip, the pause that ends an episode, a few windows
WRITTEN_EVERY_S = 30.0  # the event of an episode that goes on


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written in one transaction.

    Notes with the same `episode` are about the same event. `covered` says that a rule held the
    episode back because the last alert of its label has told of the burst.
    """

    event: Event | None = None
    episode: EpisodeKey | None = None
    clip: Clip | None = None
    alert: Alert | None = None
    covered: bool = False
    picture: bytes | None = None  # PNG, of the event
    ends: str | None = None  # the machine whose open event is over


class TrailedSound(Hindsight):
    """What the trail holds, on the clock of pulses."""

    def __init__(self, trail: AudioTrail, network: Network) -> None:
        super().__init__(network)
        self._trail = trail

    def cut(self, span: Span, pulse: Pulse) -> Cut | None:
        """What there is of a span, without sound where the gate dropped a window."""
        clip = self._trail.cut(*span)
        if clip is None:
            return None
        start_s = pulse.onset_s - (pulse.onset - clip.started_at).total_seconds()
        return np.frombuffer(clip.pcm, dtype=np.int16), start_s


class Pipeline:
    """Classify, decide, and cut the clips of one stream after another.

    `since_s` is when the dead man's switch begins to wait, and `missed` whether it has told of this
    absence; `last_told_s` is the monotonic time of the last alert of each rule, by its number, in
    an earlier life, and `earlier` what that has written; `zone` is the local time of quiet hours.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        thresholds: Mapping[str, float],
        context_s: float,
        rules: Sequence[Rule] = (),
        missing_after_s: float = 0.0,
        zone: tzinfo = UTC,
        since_s: float = 0.0,
        missed: bool = False,
        last_told_s: Mapping[int, float] | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        told_s = last_told_s or {}
        self._engine = engine
        self._trail = AudioTrail(rate_hz=engine.rate_hz, keep_s=TRAIL_S)
        self._hindsight = TrailedSound(self._trail, untaught(engine))
        self._tracker = EpisodeTracker(thresholds, context_s=context_s, ear=self._hindsight)
        self._rules = [
            RuleMachine(rule, zone=zone, last_told_s=told_s.get(number))
            for number, rule in enumerate(rules)
        ]
        self._told_keys = told_keys(rules)
        self._texts = [rule.text or rule.label for rule in rules]
        self._watched = {rule.label for rule in rules}
        self._deadman = deadman.DeadMansSwitch(missing_after_s, since_s=since_s, missed=missed)
        self._watch: deadman.Watch | None = None
        self._watch_number = 0
        self._earlier = earlier or Earlier()
        self._stream_id = ""
        self._heard_until_s = since_s
        self._covered: set[EpisodeKey] = set()
        self._open: dict[EpisodeKey, float] = {}  # monotonic start of the clips to come
        self._full_clips: dict[EpisodeKey, Clip | None] = {}  # of episodes longer than a clip
        self._written_s: dict[EpisodeKey, float] = {}  # when the event was, or its episode began

    @property
    def at_rest(self) -> bool:
        """Whether a next life would decide the same without the sound so far. It would not know
        what company a pulse is in (`decide/company.py`), and may believe one more for that.
        """
        waits = any(rule.waits(self._heard_until_s) for rule in self._rules)
        return self._tracker.at_rest and not waits

    def hear(self, window: Window) -> list[Note]:
        """One window of sound."""
        notes = self._before(window)
        self._trail.lay(window)
        notes += self._notes(self._tracker.hear(score(self._engine, window)))
        return notes + self._after(window)

    def skip(self, quiet: Quiet) -> list[Note]:
        """One window that the gate dropped."""
        notes = self._before(quiet)
        self._trail.lay(quiet)
        notes += self._notes(self._tracker.skip(quiet))
        return notes + self._after(quiet)

    def last(self, length_s: float) -> Clip | None:
        """The newest sound, as far as it was passed on; the rest is silence."""
        return self._trail.cut(self._trail.end_s - length_s, self._trail.end_s)

    def tick(self, now_s: float, at: datetime) -> list[Note]:
        """Time passes without sound."""
        notes = []
        if (missed := self._deadman.tick(now_s)) is not None:
            text = f"nothing heard for {missed.for_s / 60:.0f} min"
            notes.append(Note(alert=_alert(AlertKind.MISSED, text, at, at)))
        if self._watch is not None and (missed := self._watch.tick(now_s)) is not None:
            text = f"nothing heard for {missed.for_s / 60:.0f} min since you asked"
            alert = _alert(AlertKind.MISSED, text, at, at)
            key = absence_key(self._watch_number)
            notes.append(Note(alert=msgspec.structs.replace(alert, dedupe_key=key)))
        return notes

    def watch(self, wish: Watch) -> None:
        """Tell once if nothing is heard for so long; takes the place of an earlier wish."""
        self._watch_number = wish.number
        self._watch = deadman.Watch(wish.since_mono_s, wish.for_s) if wish.for_s else None

    def finish(self) -> list[Note]:
        """The sound is over: end what is open."""
        notes = self._notes(self._tracker.finish())
        return notes + [Note(event=event) for event in self._earlier.all_over()]

    def _before(self, span: Window | Quiet) -> list[Note]:
        """End what is open where another stream begins earlier than the last one was: a network's
        that was ahead of the clock. Else what follows would go on with it, and end before it began.
        """
        other = span.stream_id != self._stream_id
        self._stream_id = span.stream_id
        if other and span.started_mono_s < self._heard_until_s:
            return self._notes(self._tracker.finish())
        return []

    def _after(self, span: Window | Quiet) -> list[Note]:
        """What is due whether or not anything was heard in it."""
        self._heard_until_s = span.started_mono_s
        self._keep_full_clips()
        notes = self._unfinished()
        if self._tracker.at_rest:
            notes += [Note(event=event) for event in self._earlier.over(span.started_at)]
        return notes + self.tick(span.started_mono_s, span.started_at)

    def _unfinished(self) -> list[Note]:
        """Events of episodes that go on: what of them is written is all that a death leaves."""
        notes = []
        for episode in self._tracker.open_episodes:
            key = (episode.label, episode.onset)
            if self._trail.end_s - self._written_s[key] >= WRITTEN_EVERY_S:
                self._written_s[key] = self._trail.end_s
                clip = None if self._lost_beginning(episode) else self._full_clips.get(key)
                notes.append(Note(event=self._event(episode), episode=key, clip=clip))
        return notes

    def _lost_beginning(self, episode: Episode) -> bool:
        """Whether the store has sound from before what this life has heard."""
        return self._earlier.began(episode) < episode.onset - timedelta(seconds=CLIP_MARGIN_S)

    def _notes(self, changes: Iterable[Change]) -> list[Note]:
        notes: list[Note] = []
        for change in changes:
            if isinstance(change, Counted):
                notes += self._counted(change)
            else:
                notes += self._closed(change)
        return notes

    def _counted(self, counted: Counted) -> list[Note]:
        episode = counted.episode
        notes = self._heard_again(episode)
        key = (episode.label, episode.onset)
        self._open[key] = episode.pulses[0].onset_s - CLIP_MARGIN_S
        self._written_s.setdefault(key, counted.at_s)
        for number, rule in enumerate(self._rules):
            answer = rule.step(counted) if rule.label == episode.label else None
            if isinstance(answer, Tell):
                notes.append(self._tell(episode, answer, number))
            elif isinstance(answer, Hold):
                self._covered.add(key)
        return notes

    def _heard_again(self, episode: Episode) -> list[Note]:
        if episode.label not in self._watched:
            return []
        pulse = episode.pulses[-1]
        if self._watch is not None:
            self._watch.heard(pulse.onset_s)
        again = self._deadman.heard(pulse.onset_s)
        if again is None:
            return []
        text = f"{episode.label} heard again after {again.after_s / 60:.0f} min"
        alert = _alert(AlertKind.RECOVERED, text, pulse.onset, pulse.onset)
        return [Note(alert=alert)]

    def _tell(self, episode: Episode, tell: Tell, rule_number: int) -> Note:
        event = self._event(episode)
        clip = self._trail.cut(tell.first.onset_s - CLIP_MARGIN_S, self._trail.end_s)
        self._written_s[episode.label, episode.onset] = self._trail.end_s
        return Note(
            event=event,
            episode=(episode.label, episode.onset),
            clip=clip,
            alert=msgspec.structs.replace(
                _alert(AlertKind.HEARD, self._texts[rule_number], tell.at, tell.due_at),
                dedupe_key=self._told_keys[rule_number] + tell.at.isoformat(),
            ),
        )

    def _closed(self, closed: Closed) -> list[Note]:
        episode = self._hindsight.recounted(closed.episode)
        key = (episode.label, episode.onset)
        covered = key in self._covered
        self._covered.discard(key)
        start_s = self._open.pop(key)
        stop_s = episode.pulses[-1].offset_s + CLIP_MARGIN_S
        clip = self._full_clips.pop(key, None)
        if clip is None or stop_s < start_s + LONGEST_CLIP_S:
            clip = self._trail.cut(start_s, min(stop_s, start_s + LONGEST_CLIP_S))
        self._written_s.pop(key)
        event = self._event(episode)
        if self._earlier.told_all(event, episode):
            return []
        if self._lost_beginning(episode):
            clip = None
        return [Note(event=event, episode=key, clip=clip, covered=covered)]

    def _keep_full_clips(self) -> None:
        """Cut the longest clip as soon as it is whole: the trail does not last for ever."""
        for key, start_s in self._open.items():
            if key not in self._full_clips and self._trail.end_s >= start_s + LONGEST_CLIP_S:
                self._full_clips[key] = self._trail.cut(start_s, start_s + LONGEST_CLIP_S)

    def _event(self, episode: Episode) -> Event:
        event = Event(
            label=episode.label,
            onset=episode.onset,
            offset=episode.offset,
            pulses=episode.count,
            peak_score=episode.peak_score,
            model_id=self._engine.model_id,
            final=episode.closed,
        )
        return self._earlier.join(event, episode)


def told_keys(rules: Sequence[Rule]) -> list[str]:
    """How the `dedupe_key` of every alert begins that each rule makes.

    A rule's number counts those of its own label: those of others may come and go.
    """
    counts: Counter[str] = Counter()
    keys = []
    for rule in rules:
        keys.append(f"heard:{counts[rule.label]}:{rule.label}:")
        counts[rule.label] += 1
    return keys


def score(engine: Engine, window: Window) -> Scores:
    """What the engine answers for the window's frames, with the window's place in the stream."""
    answers = engine.answers(np.asarray(window.waveform()))
    return Scores(
        probabilities=answers.probabilities,
        pitch_hz=answers.pitch_hz,
        labels=tuple(engine.labels),
        frame_s=engine.frame_s,
        stream_id=window.stream_id,
        first_sample=window.first_sample,
        rate_hz=window.rate_hz,
        started_at=window.started_at,
        started_mono_s=window.started_mono_s,
        model_id=engine.model_id,
    )


def _alert(kind: AlertKind, text: str, created_at: datetime, due_at: datetime) -> Alert:
    return Alert(
        kind=kind,
        text=text,
        created_at=created_at,
        due_at=due_at,
        dedupe_key=f"{kind}:{created_at.isoformat()}",
    )
