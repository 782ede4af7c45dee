"""How well a bundle hears, by event, on continuous sound of devices that it never met.

Recall: of recorded beeps placed in household sound, the share that an episode overlaps, within
0.5 s. False alarms: episodes on streams without a beep, per hour.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from beepwatch.classify.bundle import load_bundle
from beepwatch.classify.engines import Engine, open_engine, probabilities_of_stream
from beepwatch.decide.episodes import Closed, EpisodeTracker
from beepwatch.messages import Scores
from beepwatch.train.fixed_rule import FixedRule
from beepwatch.train.recipe import ThresholdRecipe
from beepwatch.train.streams import HARD, BeepStream, NegativeStream, beep_streams, negative_streams

SNRS_DB = (20.0, 10.0, 5.0, 0.0)
SLACK_S = 0.5  # a detection this near to a beep is of it
START = datetime(2026, 1, 1, tzinfo=UTC)  # of every stream; only differences count

Report = Callable[[str], None]
Span = tuple[float, float]  # seconds


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One detected episode."""

    onset_s: float
    offset_s: float
    pulses: tuple[Span, ...]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One beep stream and what came of it."""

    stream: BeepStream
    probabilities: NDArray[np.float32]  # [frames], of the first label


class System(msgspec.Struct, frozen=True, kw_only=True):
    """One detector's results."""

    name: str
    patterns: dict[float, float]  # share heard by SNR, signals of two pulses or more
    singles: dict[float, float]  # the same for single pulses; empty if the split has none
    false_alarms: dict[str, float]  # by category, may be a mean over tones
    hours: dict[str, float]  # by category

    def per_hour(self, hard: bool) -> float:
        """False alarms an hour over the ordinary or the hard categories."""
        chosen = [category for category in self.hours if (category in HARD) == hard]
        hours = sum(self.hours[category] for category in chosen)
        return sum(self.false_alarms[c] for c in chosen) / hours if hours else 0.0

    def interval_per_hour(self, hard: bool) -> Span:
        """The 95 % interval of `per_hour`, exact for a Poisson count."""
        chosen = [category for category in self.hours if (category in HARD) == hard]
        hours = sum(self.hours[category] for category in chosen)
        count = sum(self.false_alarms[category] for category in chosen)
        if not hours:
            return 0.0, math.inf
        low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
        return float(low / hours), float(chi2.ppf(0.975, 2 * count + 2) / 2 / hours)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle beside the fixed-frequency rule, on one split."""

    split: str
    model_id: str
    threshold: float
    systems: tuple[System, ...]  # beepwatch first
    onset_error_ms: float  # median, over patterns heard at 10 dB and better
    count_exact: float  # share of patterns heard at 10 dB and better with the true pulse count

    def quality(self) -> dict[str, float]:
        """The numbers for `bundle.json`, named by split; what could not be measured is left out."""
        own, rule = self.systems[0], self.systems[1]
        numbers = {f"{self.split}_patterns_{snr:.0f}_db": own.patterns[snr] for snr in own.patterns}
        numbers |= {f"{self.split}_singles_{snr:.0f}_db": own.singles[snr] for snr in own.singles}
        numbers[f"{self.split}_false_alarms_per_hour"] = own.per_hour(hard=False)
        numbers[f"{self.split}_false_alarms_per_hour_hard"] = own.per_hour(hard=True)
        numbers[f"{self.split}_hours"] = sum(own.hours.values())
        numbers[f"{self.split}_onset_error_ms"] = self.onset_error_ms
        numbers[f"{self.split}_pulse_count_exact"] = self.count_exact
        numbers[f"{self.split}_fixed_rule_patterns_10_db"] = rule.patterns[10.0]
        numbers[f"{self.split}_fixed_rule_false_alarms_per_hour"] = rule.per_hour(hard=False)
        return {n: round(value, 4) for n, value in numbers.items() if math.isfinite(value)}

    def table(self) -> str:
        """Plain text for people."""
        snrs = list(self.systems[0].patterns)
        lines = [
            f"split {self.split}, model {self.model_id}, threshold {self.threshold:.2f}",
            "share of beeps heard by SNR in the beep's band, false alarms an hour (95 %)",
            f"{'':24}" + "".join(f"{snr:>7.0f} dB" for snr in snrs) + "    ordinary           hard",
        ]
        for system in self.systems:
            tail = "".join(
                f"{system.per_hour(hard):>8.1f} ({low:.1f}..{high:.1f})"
                for hard in (False, True)
                for low, high in [system.interval_per_hour(hard)]
            )
            for kind, shares in (("patterns", system.patterns), ("singles", system.singles)):
                if shares:
                    row = "".join(f"{100 * shares[snr]:>8.1f} %" for snr in snrs)
                    lines.append(f"{system.name + ' ' + kind:24}{row}{tail}")
                    tail = ""
        own = self.systems[0]
        counts = ", ".join(
            f"{category} {own.false_alarms[category]:.0f} in {own.hours[category]:.2f} h"
            for category in own.hours
        )
        lines.append(f"beepwatch's false alarms: {counts}")
        lines.append(
            f"onset error {self.onset_error_ms:.0f} ms (median), pulse count exact in "
            f"{100 * self.count_exact:.0f} % (patterns heard at 10 dB and better)"
        )
        return "\n".join(lines)


def episodes(
    probabilities: NDArray[np.float32], frame_s: float, rate_hz: int, threshold: float
) -> list[Heard]:
    """What the daemon's own state machine makes of a stream's frames, [frames]."""
    label = "beep"
    tracker = EpisodeTracker({label: threshold}, context_s=0.0)
    scores = Scores(
        probabilities=probabilities[:, np.newaxis],
        labels=(label,),
        frame_s=frame_s,
        stream_id="evaluation",
        first_sample=0,
        rate_hz=rate_hz,
        started_at=START,
        started_mono_s=0.0,
        model_id="",
    )
    changes = tracker.hear(scores) + tracker.finish()
    closed = [change.episode for change in changes if isinstance(change, Closed)]
    return [
        Heard(
            onset_s=episode.pulses[0].onset_s,
            offset_s=episode.pulses[-1].offset_s,
            pulses=tuple((pulse.onset_s, pulse.offset_s) for pulse in episode.pulses),
        )
        for episode in closed
    ]


def overlaps(span: Span, truth: Sequence[Span]) -> bool:
    """Whether a detection lies within 0.5 s of a signal's time."""
    return span[0] <= truth[-1][1] + SLACK_S and span[1] >= truth[0][0] - SLACK_S


def score(engine: Engine, pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Probabilities of the engine's first label over a whole stream, [frames]."""
    return np.concatenate(list(probabilities_of_stream(engine, [pcm])))[:, 0]


def shares(
    trials: Sequence[BeepStream], heard: Sequence[bool], pattern: bool
) -> dict[float, float]:
    """Share heard by SNR, of patterns or of single pulses."""
    by_snr: dict[float, list[bool]] = {}
    for stream, was_heard in zip(trials, heard, strict=True):
        if stream.is_pattern == pattern:
            by_snr.setdefault(stream.snr_db, []).append(was_heard)
    return {snr: float(np.mean(found)) for snr, found in by_snr.items()}


def own_system(
    engine: Engine,
    trials: Sequence[Trial],
    negatives: dict[str, NDArray[np.float32]],
    threshold: float,
) -> System:
    """beepwatch at one threshold."""
    frame_s, rate_hz = engine.frame_s, engine.rate_hz
    heard = [
        any(
            overlaps((e.onset_s, e.offset_s), trial.stream.pulses)
            for e in episodes(trial.probabilities, frame_s, rate_hz, threshold)
        )
        for trial in trials
    ]
    streams = [trial.stream for trial in trials]
    return System(
        name="beepwatch",
        patterns=shares(streams, heard, pattern=True),
        singles=shares(streams, heard, pattern=False),
        false_alarms={
            category: float(len(episodes(probabilities, frame_s, rate_hz, threshold)))
            for category, probabilities in negatives.items()
        },
        hours={c: len(p) * frame_s / 3_600 for c, p in negatives.items()},
    )


def rule_system(
    streams: Sequence[BeepStream], negatives: Sequence[NegativeStream], rate_hz: int
) -> System:
    """The fixed-frequency rule, told each device's true tone; false alarms are a mean of tones."""
    heard = [
        any(
            overlaps(span, stream.pulses)
            for span in FixedRule(tone_hz=stream.pitch_hz).alarms(stream.pcm, rate_hz)
        )
        for stream in streams
    ]
    tones = sorted({stream.pitch_hz for stream in streams})
    return System(
        name="fixed-frequency rule",
        patterns=shares(streams, heard, pattern=True),
        singles=shares(streams, heard, pattern=False),
        false_alarms={
            negative.category: float(
                np.mean(
                    [len(FixedRule(tone_hz=tone).alarms(negative.pcm, rate_hz)) for tone in tones]
                )
            )
            for negative in negatives
        },
        hours={n.category: len(n.pcm) / rate_hz / 3_600 for n in negatives},
    )


def timing(engine: Engine, trials: Sequence[Trial], threshold: float) -> tuple[float, float]:
    """Median onset error in ms and share of exact pulse counts, patterns at 10 dB and better."""
    errors_ms: list[float] = []
    exact: list[bool] = []
    for trial in trials:
        if trial.stream.snr_db < 10 or not trial.stream.is_pattern:
            continue
        truth = trial.stream.pulses
        found = [
            pulse
            for episode in episodes(trial.probabilities, engine.frame_s, engine.rate_hz, threshold)
            if overlaps((episode.onset_s, episode.offset_s), truth)
            for pulse in episode.pulses
        ]
        if not found:
            continue
        exact.append(len(found) == len(truth))
        errors_ms.append(1_000 * min(abs(onset_s - truth[0][0]) for onset_s, _ in found))
    return float(np.median(errors_ms or [np.nan])), float(np.mean(exact or [False]))


def evaluate(
    bundle: Path,
    data: Path,
    split: str = "dev",
    *,
    threshold: float | None = None,
    repeats: int = 4,
    seed: int = 7,
    report: Report = lambda _line: None,
) -> Evaluation:
    """Judge a bundle on a split of `data`; the bundle's own threshold unless another is given."""
    loaded = load_bundle(bundle)
    engine = open_engine(loaded)
    limit = loaded.info.thresholds[engine.labels[0]] if threshold is None else threshold
    trials, negatives, sounds = listen(engine, data, split, repeats, seed, report)
    own = own_system(engine, trials, negatives, limit)
    report("comparing with the fixed-frequency rule")
    rule = rule_system([trial.stream for trial in trials], sounds, engine.rate_hz)
    onset_error_ms, count_exact = timing(engine, trials, limit)
    return Evaluation(
        split=split,
        model_id=engine.model_id,
        threshold=limit,
        systems=(own, rule),
        onset_error_ms=onset_error_ms,
        count_exact=count_exact,
    )


def listen(
    engine: Engine, data: Path, split: str, repeats: int, seed: int, report: Report
) -> tuple[list[Trial], dict[str, NDArray[np.float32]], list[NegativeStream]]:
    """The engine's probabilities on all streams of a split."""
    report(f"composing and scoring the {split} split's beeps")
    trials = [
        Trial(stream=stream, probabilities=score(engine, stream.pcm))
        for stream in beep_streams(data, split, engine.rate_hz, SNRS_DB, repeats, seed)
    ]
    report(f"{len(trials)} beep streams; scoring the streams without")
    sounds = negative_streams(data, split, engine.rate_hz)
    return trials, {s.category: score(engine, s.pcm) for s in sounds}, sounds


def calibrate(
    bundle: Path, data: Path, plan: ThresholdRecipe, *, report: Report = lambda _line: None
) -> tuple[dict[str, float], dict[str, float]]:
    """Thresholds per label, found on the dev split, and the quality measured there with them.

    The lowest threshold at which all dev negatives, hard ones included, give no more than the
    allowed false alarms an hour; `plan.highest` if none does.
    """
    engine = open_engine(load_bundle(bundle))
    trials, negatives, _sounds = listen(engine, data, "dev", 2, 7, report)
    chosen = plan.highest
    for threshold in np.arange(plan.lowest, plan.highest, 0.01).round(2).tolist():
        system = own_system(engine, [], negatives, threshold)
        if sum(system.false_alarms.values()) <= plan.false_alarms_per_hour * sum(
            system.hours.values()
        ):
            chosen = threshold
            break
    report(f"threshold {chosen} after {len(trials)} beep streams of the dev split")
    evaluation = evaluate(bundle, data, "dev", threshold=chosen, report=report)
    return {engine.labels[0]: chosen}, evaluation.quality()
