"""From windows to what is to be written: the stations of one process, in their order.

No I/O and no clock: the daemon's classifier, `scan` and the benchmarks run the same chain.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec
import numpy as np

from beepwatch.classify.engines import Engine
from beepwatch.config import Rule
from beepwatch.decide.deadman import DeadMansSwitch
from beepwatch.decide.episodes import Change, Closed, Counted, Episode, EpisodeTracker
from beepwatch.decide.rules import Hold, RuleMachine, Tell
from beepwatch.messages import Alert, AlertKind, Clip, Event, Quiet, Scores, Window
from beepwatch.store.trail import AudioTrail

CLIP_MARGIN_S = 1.0  # before the first pulse and after the last
LONGEST_CLIP_S = 30.0
TRAIL_S = 45.0  # the longest clip, the pause that ends an episode, a few windows

EpisodeKey = tuple[str, datetime]


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


class Pipeline:
    """Classify, decide, and cut the clips of one stream after another.

    `since_s` is when the dead man's switch begins to wait, `last_told_s` the monotonic time of the
    last alert per label in an earlier life, `zone` the local time of quiet hours.
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
        last_told_s: Mapping[str, float] | None = None,
    ) -> None:
        told_s = last_told_s or {}
        self._engine = engine
        self._tracker = EpisodeTracker(thresholds, context_s=context_s)
        self._rules = [
            RuleMachine(rule, zone=zone, last_told_s=told_s.get(rule.label)) for rule in rules
        ]
        self._watched = {rule.label for rule in rules}
        self._deadman = DeadMansSwitch(missing_after_s, since_s=since_s)
        self._trail = AudioTrail(rate_hz=engine.rate_hz, keep_s=TRAIL_S)
        self._covered: set[EpisodeKey] = set()
        self._open: dict[EpisodeKey, float] = {}  # monotonic start of the clips to come
        self._full_clips: dict[EpisodeKey, Clip | None] = {}  # of episodes longer than a clip

    def hear(self, window: Window) -> list[Note]:
        """One window of sound."""
        self._trail.lay(window)
        notes = self._notes(self._tracker.hear(score(self._engine, window)))
        self._keep_full_clips()
        return notes + self.tick(window.started_mono_s, window.started_at)

    def skip(self, quiet: Quiet) -> list[Note]:
        """One window that the gate dropped."""
        self._trail.lay(quiet)
        notes = self._notes(self._tracker.skip(quiet))
        self._keep_full_clips()
        return notes + self.tick(quiet.started_mono_s, quiet.started_at)

    def tick(self, now_s: float, at: datetime) -> list[Note]:
        """Time passes without sound."""
        missed = self._deadman.tick(now_s)
        if missed is None:
            return []
        text = f"nothing heard for {missed.for_s / 60:.0f} min"
        return [Note(alert=_alert(AlertKind.MISSED, text, at, at))]

    def finish(self) -> list[Note]:
        """The sound is over: end what is open."""
        return self._notes(self._tracker.finish())

    def _notes(self, changes: Iterable[Change]) -> list[Note]:
        notes: list[Note] = []
        for change in changes:
            if isinstance(change, Counted):
                notes += self._counted(change)
            else:
                notes.append(self._closed(change))
        return notes

    def _counted(self, counted: Counted) -> list[Note]:
        episode = counted.episode
        notes = self._heard_again(episode)
        key = (episode.label, episode.onset)
        self._open[key] = episode.pulses[0].onset_s - CLIP_MARGIN_S
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
        again = self._deadman.heard(pulse.onset_s)
        if again is None:
            return []
        text = f"{episode.label} heard again after {again.after_s / 60:.0f} min"
        alert = _alert(AlertKind.RECOVERED, text, pulse.onset, pulse.onset)
        return [Note(alert=alert)]

    def _tell(self, episode: Episode, tell: Tell, rule_number: int) -> Note:
        return Note(
            event=self._event(episode),
            episode=(episode.label, episode.onset),
            clip=self._trail.cut(tell.first.onset_s - CLIP_MARGIN_S, self._trail.end_s),
            alert=msgspec.structs.replace(
                _alert(AlertKind.HEARD, episode.label, tell.at, tell.due_at),
                dedupe_key=f"heard:{rule_number}:{episode.label}:{tell.at.isoformat()}",
            ),
        )

    def _closed(self, closed: Closed) -> Note:
        episode = closed.episode
        key = (episode.label, episode.onset)
        covered = key in self._covered
        self._covered.discard(key)
        start_s = self._open.pop(key)
        stop_s = episode.pulses[-1].offset_s + CLIP_MARGIN_S
        clip = self._full_clips.pop(key, None)
        if clip is None or stop_s < start_s + LONGEST_CLIP_S:
            clip = self._trail.cut(start_s, min(stop_s, start_s + LONGEST_CLIP_S))
        return Note(event=self._event(episode), episode=key, clip=clip, covered=covered)

    def _keep_full_clips(self) -> None:
        """Cut the longest clip as soon as it is whole: the trail does not last for ever."""
        for key, start_s in self._open.items():
            if key not in self._full_clips and self._trail.end_s >= start_s + LONGEST_CLIP_S:
                self._full_clips[key] = self._trail.cut(start_s, start_s + LONGEST_CLIP_S)

    def _event(self, episode: Episode) -> Event:
        return Event(
            label=episode.label,
            onset=episode.onset,
            offset=episode.offset,
            pulses=len(episode.pulses),
            peak_score=episode.peak_score,
            model_id=self._engine.model_id,
            final=episode.closed,
        )


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
