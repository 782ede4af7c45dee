"""What detectors made of streams, counted as a user would count: beeps heard, false alarms.

A beep is heard if a detection lies within 0.5 s of it. Every other detection is a false alarm, in
streams without a beep and in those with one.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
from scipy.stats import chi2

from beepwatch.train.judging.streams import HARD, LIVING_ROOM_S, BeepStream

SLACK_S = 0.5  # a detection this near to a beep is of it
CLEAR_SNR_DB = 10.0  # from here on timing is judged, and the curve drawn
PULSE_BINS_S = (
    ("0 to 100 ms", 0.1),
    ("100 to 300 ms", 0.3),
    ("300 ms to 1 s", 1.0),
    ("over 1 s", math.inf),
)

Span = tuple[float, float]  # seconds


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One detection."""

    onset_s: float
    offset_s: float
    pulses: tuple[Span, ...]
    score: float = 0.0  # the highest of its frames
    counted: int | None = None  # pulses, in its sound; None if they were not counted there

    @property
    def count(self) -> int:
        """How many pulses it has, as far as is known."""
        return len(self.pulses) if self.counted is None else self.counted

    @property
    def span(self) -> Span:
        """From onset to offset."""
        return self.onset_s, self.offset_s


class Evidence(Protocol):
    """What a detector knows about a stream before a threshold decides."""

    def at(self, threshold: float) -> list[Heard]:
        """Its detections, in time order."""
        ...


class Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """One detector's evidence on all streams."""

    name: str
    threshold: float  # its own operating point
    sweep: tuple[float, ...]  # for the curve, ascending
    beeps: list[Evidence]  # one for each beep stream
    silent: dict[str, list[Evidence]]  # by category; if several, the mean of their alarms counts
    note: str = ""

    def false_alarms(self, threshold: float) -> dict[str, float]:
        """By category of stream without a beep."""
        return {
            category: float(np.mean([len(evidence.at(threshold)) for evidence in several]))
            for category, several in self.silent.items()
        }


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """So many of so many."""

    heard: int
    of: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.heard / self.of


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one beep stream."""

    heard: bool
    elsewhere: int  # detections that are not of the beep
    onset_error_s: float  # nan if not heard
    offset_error_s: float
    pulses: int  # counted in all detections of the beep
    true_pulses: int


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How exact the detections of patterns at 10 dB and better are; nan where none was heard."""

    heard: int
    onset_error_ms: tuple[float, float]  # median and 90th percentile
    offset_error_ms: tuple[float, float]
    count_exact: float  # share
    count_error: float  # mean of the absolute difference


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One detector at one threshold."""

    name: str
    threshold: float
    note: str
    patterns: dict[float, Share]  # by SNR; signals of two pulses or more, of unseen devices
    singles: dict[float, Share]
    kin: dict[float, Share]  # of devices that training may have met
    by_device: dict[str, dict[float, Share]]
    by_pulse: dict[str, dict[float, Share]]
    by_room: dict[str, dict[float, Share]]
    false_alarms: dict[str, float]  # by category, may be a mean
    hours: dict[str, float]
    elsewhere: int  # false alarms beside the beeps, in the beep streams
    elsewhere_hours: float
    timing: Timing

    def counted(self, hard: bool | None) -> tuple[float, float]:
        """False alarms and hours of the ordinary, the hard or (None) all categories."""
        chosen = [c for c in self.hours if hard is None or (c in HARD) == hard]
        return sum(self.false_alarms[c] for c in chosen), sum(self.hours[c] for c in chosen)

    def per_hour(self, hard: bool | None) -> float:
        """False alarms an hour."""
        count, hours = self.counted(hard)
        return count / hours if hours else 0.0


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold of a curve."""

    threshold: float
    false_alarms_per_hour: float  # over all streams without a beep
    recall: float  # of patterns at 10 dB and better


def poisson_interval(count: float, hours: float) -> Span:
    """The exact (Garwood) 95 % interval of a rate per hour, from a count in so many hours."""
    if not hours:
        return 0.0, math.inf
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return float(low / hours), float(chi2.ppf(0.975, 2 * count + 2) / 2 / hours)


def overlaps(span: Span, truth: Sequence[Span]) -> bool:
    """Whether a detection lies within 0.5 s of a signal's time."""
    return span[0] <= truth[-1][1] + SLACK_S and span[1] >= truth[0][0] - SLACK_S


def judge(detections: Sequence[Heard], truth: Sequence[Span]) -> Verdict:
    """Hold the detections on one stream against its beep's pulses."""
    of_beep = [heard for heard in detections if overlaps(heard.span, truth)]
    return Verdict(
        heard=bool(of_beep),
        elsewhere=len(detections) - len(of_beep),
        onset_error_s=abs(of_beep[0].onset_s - truth[0][0]) if of_beep else math.nan,
        offset_error_s=abs(of_beep[-1].offset_s - truth[-1][1]) if of_beep else math.nan,
        pulses=sum(heard.count for heard in of_beep),
        true_pulses=len(truth),
    )


def judge_all(hearing: Hearing, streams: Sequence[BeepStream], threshold: float) -> list[Verdict]:
    """One verdict for each beep stream."""
    return [
        judge(evidence.at(threshold), stream.pulses)
        for evidence, stream in zip(hearing.beeps, streams, strict=True)
    ]


def shares(
    streams: Sequence[BeepStream],
    verdicts: Sequence[Verdict],
    chosen: Callable[[BeepStream], bool],
) -> dict[float, Share]:
    """Share heard by SNR of the chosen streams."""
    by_snr: dict[float, list[bool]] = {}
    for stream, verdict in zip(streams, verdicts, strict=True):
        if chosen(stream):
            by_snr.setdefault(stream.snr_db, []).append(verdict.heard)
    return {snr: Share(heard=sum(found), of=len(found)) for snr, found in by_snr.items()}


def grouped(
    streams: Sequence[BeepStream],
    verdicts: Sequence[Verdict],
    name_of: Callable[[BeepStream], str],
) -> dict[str, dict[float, Share]]:
    """Share heard by SNR of each group that there is."""
    names = [name_of(stream) for stream in streams]
    found: dict[str, dict[float, Share]] = {}
    for name in sorted(set(names)):
        inside = [index for index, other in enumerate(names) if other == name]
        some = [streams[index] for index in inside]
        found[name] = shares(some, [verdicts[index] for index in inside], lambda _stream: True)
    return found


def room_kind(stream: BeepStream) -> str:
    """Whether a room rings like a home's."""
    if stream.room_s is None:
        return "room unknown"
    name = "furnished room" if stream.room_s < LIVING_ROOM_S else "hall, stairwell"
    return f"{name}, RT60 {'under' if stream.room_s < LIVING_ROOM_S else 'over'} 0.7 s"


def pooled(cells: dict[float, Share]) -> Share | None:
    """All SNRs from 10 dB on together."""
    clear = [share for snr_db, share in cells.items() if snr_db >= CLEAR_SNR_DB]
    if not clear:
        return None
    return Share(heard=sum(share.heard for share in clear), of=sum(share.of for share in clear))


def pulse_bin(pulse_s: float) -> str:
    """Name of the bin that a pulse length falls in."""
    return next(name for name, below_s in PULSE_BINS_S if pulse_s < below_s)


def timing(streams: Sequence[BeepStream], verdicts: Sequence[Verdict]) -> Timing:
    """Over the heard patterns at 10 dB and better of unseen devices."""
    clear = [
        verdict
        for stream, verdict in zip(streams, verdicts, strict=True)
        if verdict.heard and is_clear_pattern(stream)
    ]
    return Timing(
        heard=len(clear),
        onset_error_ms=_middle_and_most_ms([verdict.onset_error_s for verdict in clear]),
        offset_error_ms=_middle_and_most_ms([verdict.offset_error_s for verdict in clear]),
        count_exact=_mean([verdict.pulses == verdict.true_pulses for verdict in clear]),
        count_error=_mean([abs(verdict.pulses - verdict.true_pulses) for verdict in clear]),
    )


def is_clear_pattern(stream: BeepStream) -> bool:
    """Two pulses or more of an unseen device at 10 dB or better."""
    return stream.is_pattern and stream.snr_db >= CLEAR_SNR_DB and not stream.kin


def _middle_and_most_ms(errors_s: list[float]) -> tuple[float, float]:
    if not errors_s:
        return math.nan, math.nan
    middle_s, most_s = np.quantile(errors_s, [0.5, 0.9]).tolist()
    return 1_000 * middle_s, 1_000 * most_s


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def result(
    hearing: Hearing,
    streams: Sequence[BeepStream],
    hours: dict[str, float],
    rate_hz: int,
    *,
    threshold: float | None = None,
    name: str | None = None,
) -> Result:
    """A detector at its own threshold or another one."""
    level = hearing.threshold if threshold is None else threshold
    verdicts = judge_all(hearing, streams, level)
    strangers = [stream for stream in streams if not stream.kin]
    strange_verdicts = [v for s, v in zip(streams, verdicts, strict=True) if not s.kin]
    return Result(
        name=name or hearing.name,
        threshold=level,
        note=hearing.note,
        patterns=shares(streams, verdicts, lambda s: s.is_pattern and not s.kin),
        singles=shares(streams, verdicts, lambda s: not s.is_pattern and not s.kin),
        kin=shares(streams, verdicts, lambda s: s.kin),
        by_device=grouped(streams, verdicts, lambda s: s.device),
        by_pulse=grouped(strangers, strange_verdicts, lambda s: pulse_bin(s.pulse_s)),
        by_room=grouped(strangers, strange_verdicts, room_kind),
        false_alarms=hearing.false_alarms(level),
        hours=hours,
        elsewhere=sum(verdict.elsewhere for verdict in verdicts),
        elsewhere_hours=sum(len(stream.pcm) for stream in streams) / rate_hz / 3_600,
        timing=timing(strangers, strange_verdicts),
    )


def curve(hearing: Hearing, streams: Sequence[BeepStream], hours: dict[str, float]) -> list[Point]:
    """Recall of clear patterns against false alarms, a point for each threshold of the sweep."""
    clear = [index for index, stream in enumerate(streams) if is_clear_pattern(stream)]
    points: list[Point] = []
    for threshold in sorted({*hearing.sweep, hearing.threshold}):
        found = [
            judge(hearing.beeps[index].at(threshold), streams[index].pulses).heard
            for index in clear
        ]
        alarms = sum(hearing.false_alarms(threshold).values())
        points.append(
            Point(
                threshold=threshold,
                false_alarms_per_hour=alarms / max(sum(hours.values()), 1e-9),
                recall=_mean(found),
            )
        )
    return points


def lowest_threshold(hearing: Hearing, hours: dict[str, float], per_hour: float) -> float:
    """The lowest of the sweep from which on there are no more false alarms an hour.

    The highest if there is none. Searched from above: a threshold so low that a whole stream is
    one long alarm has few alarms too.
    """
    allowed = per_hour * sum(hours.values())
    lowest = hearing.sweep[-1]
    for threshold in reversed(hearing.sweep):
        if sum(hearing.false_alarms(threshold).values()) > allowed + 1e-9:
            break
        lowest = threshold
    return lowest
